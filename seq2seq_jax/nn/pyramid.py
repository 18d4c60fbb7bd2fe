"""The listener of Listen, Attend and Spell: each layer halves the length."""

from typing import Any

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import layers, sizes
from seq2seq_jax.nn.cells import CELLS
from seq2seq_jax.nn.runs import run_layer
from seq2seq_jax.types import Array, EncoderOutput, Key, Params


def init(key: jax.Array, config: ModelConfig, inits: layers.Initializers) -> Params:
    """Parameters by layer and direction; a layer above the first reads pairs."""
    cell, size = CELLS[config.cell], config.hidden_size
    *keys, last = jax.random.split(key, config.encoder_layers + 1)
    made: dict[str, Any] = {"layers": []}
    inputs = config.embedding_size
    for layer, mine in enumerate(keys):
        each = jax.random.split(mine, sizes.directions(config, layer))
        made["layers"].append([cell.init(k, inputs, size, inits) for k in each])
        outputs = sizes.encoder_layer_size(config, layer)
        inputs = 2 * outputs
    if config.encoder_projection:
        shape = outputs, config.encoder_projection
        made["projection"] = layers.dense_init(last, *shape, inits.kernel)
    return made


def encode(
    params: Params, config: ModelConfig, x: jax.Array, mask: Array, key: Key = None
) -> EncoderOutput:
    """h_i^j = BLSTM(h_(i-1)^j, [h_(2i)^(j-1) ; h_(2i+1)^(j-1)]).

    Chan et al. 2016, eq. 5; j counts layers. The first reads each item by itself.
    Where a length is odd, the last pair has zeros in its second half.

    Args:
        params: of `init`.
        config: the model's.
        x: `[..., S, E]`, the frontend's output; dropped out here.
        mask: `[..., S]` bool.
        key: for dropout and zoneout.

    Returns:
        Annotations `[..., S', C]`, S' being S halved, and rounded up, for each layer
        above the first.
    """
    carries, mask = [], jnp.asarray(mask)
    for number, layer in enumerate(params["layers"]):
        here, inner, key = layers.split_key(key, 3)
        if number:
            x, mask = pairs(x), mask[..., ::2]
        inputs = layers.dropout(here, config.dropout, x)
        carry, x = run_layer(layer, config, inputs, mask, inner)
        carries.append(carry)
    if config.encoder_projection:
        x = jnp.where(mask[..., None], layers.dense(params["projection"], x), 0.0)
    return EncoderOutput(x, tuple(carries), mask)


def pairs(x: jax.Array) -> jax.Array:
    """Neighbours side by side: `[..., S, D] -> [..., S / 2, 2 D]`, rounded up.

    >>> pairs(jnp.arange(1.0, 4.0)[:, None]).tolist()
    [[1.0, 2.0], [3.0, 0.0]]
    """
    *rows, length, width = x.shape
    x = jnp.pad(x, [(0, 0)] * len(rows) + [(0, length % 2), (0, 0)])
    return x.reshape(*rows, -1, 2 * width)


def shorter(config: ModelConfig, length: int) -> int:
    """S' of a source of length S.

    >>> shorter(ModelConfig(encoder_layers=3), 9)
    3
    """
    return -(-length // 2 ** (config.encoder_layers - 1))
