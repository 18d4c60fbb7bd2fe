"""What all decoders share: a stack of cells, its dropout masks, its scan over time.

The bottom layer's input is [embedding ; feed], where feed is what the entry of
`DECODERS` brings from the step before or from this step's attention. The embeddings'
share of the gates is computed for all steps at once, the feed's inside the scan.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import attention, layers
from seq2seq_jax.nn.cells import CELLS
from seq2seq_jax.nn.encoder import annotation_size
from seq2seq_jax.nn.recurrence import from_time_major, to_time_major
from seq2seq_jax.types import Array, AttentionMemory, Carry, DecoderState, Params


@struct.dataclass
class Noise:
    """Dropout masks, a tuple over layers each; None in a place means no dropout there.

    Attributes:
        inputs: `[..., T, D]` on a layer's input; for the bottom layer on the feed
            alone, its embedding is dropped out before.
        recurrent: `[..., H]` on h_{t-1}, the same at every step.
    """

    inputs: Any
    recurrent: Any


def no_noise(config: ModelConfig) -> Noise:
    """No dropout anywhere."""
    return Noise((None,) * config.decoder_layers, (None,) * config.decoder_layers)


def decoder_size(config: ModelConfig) -> int:
    """H of the decoder's layers."""
    return config.decoder_hidden_size or config.hidden_size


def context_size(config: ModelConfig) -> int:
    """C of the contexts: 0 without attention."""
    return 0 if config.attention == "none" else annotation_size(config)


def part_feed(params: Params, config: ModelConfig) -> Params:
    """The bottom layer's input matrix cut in two: `input` `[E, G*H]`, `feed` `[F,
    G*H]`.

    Once, outside the scan: cut inside, each step's gradient would be padded to the
    whole.
    """
    bottom, *above = params["layers"]
    own, feed = jnp.split(bottom["input"], [config.embedding_size])
    return params | {"layers": [bottom | {"input": own, "feed": feed}, *above]}


def inputs(params: Params, config: ModelConfig, embedded: Array) -> jax.Array:
    """The embeddings' share of the bottom layer's gates, for any number of steps."""
    return CELLS[config.cell].project(params["layers"][0], embedded)


def feed_share(params: Params, feed: Array) -> jax.Array:
    """The feed's share of the bottom layer's gates; `inputs` has added the bias."""
    return layers.matmul(feed, params["layers"][0]["feed"])


def run_layers(
    params: Params,
    config: ModelConfig,
    carry: Carry,
    projected: jax.Array,
    noise: Noise,
) -> tuple[Carry, jax.Array]:
    """One step of all layers, the bottom one from its projected input."""
    cell = CELLS[config.cell]
    new = []
    output = projected
    for i, layer in enumerate(params["layers"]):
        below = output
        if i > 0:
            dropped = layers.apply_mask(below, noise.inputs[i])
            projected = cell.project(layer, dropped)
        state, output = cell.step(layer, carry[i], projected, noise.recurrent[i])
        if config.residual and i > 0:
            output = output + below
        new.append(state)
    return tuple(new), output


def look(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    query: Array,
    state: Any,
) -> tuple[Any, jax.Array]:
    """Attend with the configured score."""
    score = attention.SCORES[config.attention]
    return attention.attend(score, params["attention"], memory, query, state)


def scan_steps(
    advance: Callable[..., tuple[DecoderState, Any]],
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
) -> tuple[Any, jax.Array]:
    """Features and attention weights of all steps: one scan over an `advance`."""

    def body(state: DecoderState, xs: Any) -> tuple[DecoderState, Any]:
        projected, dropped = xs
        here = Noise(dropped, noise.recurrent)
        state, features = advance(params, config, memory, state, projected, here)
        return state, (features, state.attention.weights)

    xs = to_time_major((projected, noise.inputs))
    _, outputs = jax.lax.scan(body, state, xs)
    return from_time_major(outputs)
