"""The decoder: sizes, first state, one step, the teacher-forced unroll of any entry."""

from functools import partial
from typing import Any

import jax

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import attention, bridges, layers, sizes
from seq2seq_jax.nn.cells import CELLS, zones_of
from seq2seq_jax.nn.decoders import DECODERS
from seq2seq_jax.nn.recurrence import in_time_order
from seq2seq_jax.nn.residuals import RESIDUALS
from seq2seq_jax.nn.stack import Noise, inputs, no_noise, part_feed
from seq2seq_jax.types import (
    Array,
    AttentionMemory,
    DecoderState,
    EncoderOutput,
    Key,
    Params,
)


def readout_size(config: ModelConfig) -> int:
    """R: what the head reads, the entry's readout or its narrower projection."""
    return config.output_rank or DECODERS[config.decoder].readout_size(config)


def readout_width(config: ModelConfig) -> int:
    """R, and what an entry's readout holds beside that for a head that copies."""
    return readout_size(config) + DECODERS[config.decoder].beside(config)


def read_out(
    params: Params, config: ModelConfig, features: Any, embedded: Array
) -> jax.Array:
    """The entry's readout `[..., R]`, or wider, of any number of steps.

    With `output_rank` the output layer is a product of two matrices (Cho et al. 2014,
    section 4.1.1), of which the first one is applied here.
    """
    entry = DECODERS[config.decoder]
    readout = entry.readout(params["own"], config, features, embedded)
    if config.output_rank is None:
        return readout
    return layers.matmul(readout, params["output_factor"])


def below_sizes(config: ModelConfig) -> list[int]:
    """What each layer reads from below: the embedding's size, then the decoder's."""
    above = [sizes.decoder_size(config)] * (config.decoder_layers - 1)
    return [config.embedding_size, *above]


def init(key: jax.Array, config: ModelConfig, inits: layers.Initializers) -> Params:
    """Parameters of the layers, the attention, the bridge and the entry's own."""
    keys = jax.random.split(key, 6)
    cell, entry = CELLS[config.cell], DECODERS[config.decoder]
    size, annotations = sizes.decoder_size(config), sizes.annotation_size(config)
    feeds, below = entry.feeds(config), below_sizes(config)
    per_layer = enumerate(jax.random.split(keys[4], config.decoder_layers))
    residual = RESIDUALS[config.residual]
    made = {
        "layers": [
            cell.init(k, width + feed, size, inits)
            for k, width, feed in zip(
                jax.random.split(keys[0], config.decoder_layers),
                below,
                feeds,
                strict=True,
            )
        ],
        "residuals": [
            residual.init(k, size, inits)
            if i > 0 and sizes.has_residual(config, i, size, size)
            else {}
            for i, k in per_layer
        ],
        "attention": attention.init(keys[1], config, size, annotations, inits),
        "bridge": bridges.BRIDGES[config.bridge].init(
            keys[2], config, cell.parts, inits
        ),
        "own": entry.init(keys[3], config, inits),
    }
    if config.output_rank is not None:
        shape = (entry.readout_size(config), config.output_rank)
        made["output_factor"] = inits.kernel(keys[5], shape)
    return made


@jax.named_scope("decoder")
def start(
    params: Params, config: ModelConfig, encoded: EncoderOutput
) -> tuple[AttentionMemory, DecoderState]:
    """Project the memory once; bridge the encoder's last carry to the first state."""
    entry, bridge = DECODERS[config.decoder], bridges.BRIDGES[config.bridge]
    memory = attention.memory(params["attention"], config, encoded)
    memory = entry.memory(params["own"], config, memory)
    carry = bridge.apply(params["bridge"], config, encoded)
    carry, context = entry.start(params, config, encoded, carry)
    looked = attention.initial_state(config, memory, carry[-1][-1])
    return memory, DecoderState(carry, context, looked)


def readied(
    params: Params, config: ModelConfig, memory: AttentionMemory, state: DecoderState
) -> tuple[AttentionMemory, DecoderState]:
    """Memory and first state for a search that has several hypotheses of a row.

    As the entry's `readied` makes them, or as they are where it has none, or where
    attention reads the annotations themselves for more than contexts.
    """
    ready = DECODERS[config.decoder].readied
    one = config.attention_heads == 1 and config.combination != "hierarchical"
    if ready is None or not one or not attention.context_size(config):
        return memory, state
    return ready(part_feed(params, config), config, memory, state)


def make_noise(
    key: Key, config: ModelConfig, like: Array, steps: tuple[int, ...] = ()
) -> Noise:
    """Noise for rows shaped as `like [..., D]` over `steps` time steps."""
    rows, size, n = like.shape[:-1], sizes.decoder_size(config), config.decoder_layers
    feed, *beside = DECODERS[config.decoder].feeds(config)
    widths = [feed, *[size + width for width in beside]]
    keys = layers.split_key(key, 3 * n + 1)
    return Noise(
        inputs=tuple(
            layers.dropout_mask(k, config.dropout, (*rows, *steps, width))
            for k, width in zip(keys[:n], widths, strict=True)
        ),
        recurrent=tuple(
            layers.dropout_mask(k, config.recurrent_dropout, (*rows, size))
            for k in keys[n : 2 * n]
        ),
        zones=tuple(
            zones_of(k, config.zoneout, CELLS[config.cell], (*rows, *steps, size))
            for k in keys[2 * n : 3 * n]
        ),
        looks=attention.make_noise(keys[-1], config, (*rows, *steps)),
    )


@jax.named_scope("decoder")
def step(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    embedded: Array,
    noise: Noise | None = None,
    projected: Array | None = None,
) -> tuple[DecoderState, jax.Array, Array]:
    """One step: `embedded [..., E] -> (state, readout [..., R], weights [..., S])`.

    `projected`: the embeddings' share of the gates, where that is known (`shares`).
    """
    entry, params = DECODERS[config.decoder], part_feed(params, config)
    if projected is None:
        projected = inputs(params, config, embedded)
    new, features = entry.advance(
        params, config, memory, state, projected, noise or no_noise(config)
    )
    weights, _ = entry.looked(state, new)
    return new, read_out(params, config, features, embedded), weights


def shares(params: Params, config: ModelConfig, embedded: Array) -> jax.Array:
    """The embeddings' share of the bottom layer's gates `[..., G*H]`."""
    return inputs(part_feed(params, config), config, embedded)


@jax.named_scope("decoder")
def unroll(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    embedded: Array,
    key: Key = None,
) -> tuple[jax.Array, Array, Array | None]:
    """Teacher-forced readouts `[..., T, R]`, weights `[..., T, S]` and what was drawn.

    From `embedded [..., T, E]`. No target mask is needed: the decoder is causal and
    padding comes last.
    """
    entry, params = DECODERS[config.decoder], part_feed(params, config)
    noise = make_noise(key, config, embedded[..., 0, :], (embedded.shape[-2],))
    projected = in_time_order(partial(inputs, params, config), embedded)
    features, seen = entry.unroll(params, config, memory, state, projected, noise)
    return read_out(params, config, features, embedded), *seen
