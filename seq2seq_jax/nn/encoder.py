"""The encoder: stacked recurrent layers, in one direction or in both."""

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import layers
from seq2seq_jax.nn.cells import CELLS
from seq2seq_jax.nn.recurrence import unroll
from seq2seq_jax.types import Array, Carry, EncoderOutput, Key, Params


def annotation_size(config: ModelConfig) -> int:
    """C: the size of an annotation."""
    return config.hidden_size * (2 if config.bidirectional else 1)


def init(key: jax.Array, config: ModelConfig, inits: layers.Initializers) -> Params:
    """A list over layers of a list over directions of cell parameters."""
    directions = 2 if config.bidirectional else 1
    keys = jax.random.split(key, (config.encoder_layers, directions))
    sizes = [config.embedding_size]
    sizes += [annotation_size(config)] * (config.encoder_layers - 1)
    cell = CELLS[config.cell]
    return [
        [cell.init(k, size, config.hidden_size, inits) for k in row]
        for row, size in zip(keys, sizes, strict=True)
    ]


def encode(
    params: Params, config: ModelConfig, x: jax.Array, mask: Array, key: Key = None
) -> EncoderOutput:
    """Annotations h_j = [h->_j ; h<-_j] (Bahdanau 2014, eq. 7) of the top layer.

    Args:
        params: of `init`.
        config: the model's.
        x: `[..., S, E]`, the frontend's output; dropped out here.
        mask: `[..., S]` bool.
        key: for dropout.
    """
    carries = []
    for i, layer in enumerate(params):
        here, inner, key = layers.split_key(key, 3)
        inputs = layers.dropout(here, config.dropout, x)
        carry, output = run_layer(layer, config, inputs, mask, inner)
        residual = config.residual and i > 0 and output.shape == x.shape
        x = output + x if residual else output
        carries.append(carry)
    return EncoderOutput(x, tuple(carries), jnp.asarray(mask))


def run_layer(
    params: Params, config: ModelConfig, x: jax.Array, mask: Array, key: Key
) -> tuple[tuple[Carry, ...], jax.Array]:
    """One layer: the last carry of each direction, and the directions side by side."""
    cell = CELLS[config.cell]
    carries, outputs = [], []
    for direction, cell_params in enumerate(params):
        mine, key = layers.split_key(key, 2)
        first = cell.initial_carry(x[..., 0, :], config.hidden_size)
        drop = layers.dropout_mask(mine, config.recurrent_dropout, first[-1].shape)

        def step(
            carry: Carry,
            projected: Array,
            p: Params = cell_params,
            d: Array | None = drop,
        ) -> tuple[Carry, jax.Array]:
            return cell.step(p, carry, projected, d)

        projected = cell.project(cell_params, x)
        carry, output = unroll(step, first, projected, mask, reverse=direction == 1)
        carries.append(carry)
        outputs.append(output)
    return tuple(carries), jnp.concatenate(outputs, axis=-1)
