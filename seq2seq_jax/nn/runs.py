"""One layer of an encoder over its source, in one direction or in both."""

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import backends, layers
from seq2seq_jax.nn.cells import CELLS, zones_of
from seq2seq_jax.types import Array, Carry, Key, Params


def run_layer(
    params: Params,
    config: ModelConfig,
    x: jax.Array,
    mask: Array,
    key: Key,
    first: int = 0,
) -> tuple[tuple[Carry, ...], jax.Array]:
    """One layer: the last carry of each direction, and the directions side by side."""
    cell = CELLS[config.cell]
    carries, outputs = [], []
    for direction, cell_params in enumerate(params, first):
        mine, zone_key, key = layers.split_key(key, 3)
        start = cell.initial_carry(x[..., 0, :], config.hidden_size)
        shape = start[-1].shape
        drop = layers.dropout_mask(mine, config.recurrent_dropout, shape)
        steps = (*shape[:-1], x.shape[-2], shape[-1])
        carry, output = backends.run(
            cell_params,
            config,
            start,
            x,
            mask,
            drop,
            zones_of(zone_key, config.zoneout, cell, steps),
            reverse=direction == 1,
        )
        carries.append(carry)
        outputs.append(output)
    return tuple(carries), jnp.concatenate(outputs, axis=-1)
