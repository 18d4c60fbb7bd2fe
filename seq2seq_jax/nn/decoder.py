"""The decoder: sizes, first state, one step, the teacher-forced unroll of any entry."""

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import attention, bridges, layers
from seq2seq_jax.nn.cells import CELLS
from seq2seq_jax.nn.decoders import DECODERS
from seq2seq_jax.nn.encoder import annotation_size
from seq2seq_jax.nn.stack import Noise, decoder_size, inputs, no_noise, part_feed
from seq2seq_jax.types import (
    Array,
    AttentionMemory,
    DecoderState,
    EncoderOutput,
    Key,
    Params,
)


def layer_input_sizes(config: ModelConfig) -> list[int]:
    """Input size of each layer."""
    feed = DECODERS[config.decoder].feed_size(config)
    above = [decoder_size(config)] * (config.decoder_layers - 1)
    return [config.embedding_size + feed, *above]


def init(key: jax.Array, config: ModelConfig, inits: layers.Initializers) -> Params:
    """Parameters of the layers, the attention, the bridge and the entry's own."""
    keys = jax.random.split(key, 4)
    cell, size = CELLS[config.cell], decoder_size(config)
    layer_keys = jax.random.split(keys[0], config.decoder_layers)
    parts = len(cell.initial_carry(jnp.zeros(1), 1))
    return {
        "layers": [
            cell.init(k, inputs, size, inits)
            for k, inputs in zip(layer_keys, layer_input_sizes(config), strict=True)
        ],
        "attention": attention.SCORES[config.attention].init(
            keys[1], size, annotation_size(config), config.attention_size or size, inits
        ),
        "bridge": bridges.BRIDGES[config.bridge].init(
            keys[2], parts, annotation_size(config), size, config.decoder_layers, inits
        ),
        "own": DECODERS[config.decoder].init(keys[3], config, inits),
    }


def start(
    params: Params, config: ModelConfig, encoded: EncoderOutput
) -> tuple[AttentionMemory, DecoderState]:
    """Project the keys once and bridge the encoder's last carry to the first state."""
    memory = attention.SCORES[config.attention].memory(params["attention"], encoded)
    ends = bridges.ends(encoded.carry, config.decoder_layers)
    bridge = bridges.BRIDGES[config.bridge]
    carry = bridge.apply(params["bridge"], ends, decoder_size(config))
    top = carry[-1][-1]
    context_shape = (*top.shape[:-1], DECODERS[config.decoder].first_context(config))
    state = DecoderState(
        carry=carry,
        context=jnp.zeros_like(top, shape=context_shape),
        attention=attention.initial_state(memory, top),
    )
    return memory, state


def make_noise(
    key: Key, config: ModelConfig, like: Array, steps: tuple[int, ...] = ()
) -> Noise:
    """Dropout masks for rows shaped as `like [..., D]` over `steps` time steps."""
    rows, size = like.shape[:-1], decoder_size(config)
    feed = DECODERS[config.decoder].feed_size(config)
    widths = [feed, *[size] * (config.decoder_layers - 1)]
    keys = layers.split_key(key, 2 * config.decoder_layers)
    n = config.decoder_layers
    return Noise(
        inputs=tuple(
            layers.dropout_mask(k, config.dropout, (*rows, *steps, width))
            for k, width in zip(keys[:n], widths, strict=True)
        ),
        recurrent=tuple(
            layers.dropout_mask(k, config.recurrent_dropout, (*rows, size))
            for k in keys[n:]
        ),
    )


def step(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    embedded: Array,
) -> tuple[DecoderState, jax.Array]:
    """One step without noise: `embedded [..., E] -> (state, readout [..., R])`."""
    entry, params = DECODERS[config.decoder], part_feed(params, config)
    projected = inputs(params, config, embedded)
    state, features = entry.advance(
        params, config, memory, state, projected, no_noise(config)
    )
    return state, entry.readout(params["own"], config, features, embedded)


def unroll(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    embedded: Array,
    key: Key = None,
) -> tuple[jax.Array, jax.Array]:
    """Teacher-forced readouts `[..., T, R]` and weights `[..., T, S]`.

    From `embedded [..., T, E]`. No target mask is needed: the decoder is causal and
    padding comes last.
    """
    entry, params = DECODERS[config.decoder], part_feed(params, config)
    noise = make_noise(key, config, embedded[..., 0, :], (embedded.shape[-2],))
    projected = inputs(params, config, embedded)
    features, weights = entry.unroll(params, config, memory, state, projected, noise)
    return entry.readout(params["own"], config, features, embedded), weights
