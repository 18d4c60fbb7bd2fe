"""What all decoders share: a stack of cells, its noise, its scan over time.

The bottom layer's input is [embedding ; feed], where feed is what the entry of
`DECODERS` brings from the step before or from this step's attention. The embeddings'
share of the gates is computed for all steps at once, the feed's inside the scan. An
entry may also add something to the input of the layers above (`beside`).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import attention, backends, layers, sizes
from seq2seq_jax.nn.cells import CELLS, zoned_step
from seq2seq_jax.nn.recurrence import from_time_major, scan_of, to_time_major
from seq2seq_jax.nn.residuals import RESIDUALS
from seq2seq_jax.types import (
    Array,
    AttentionMemory,
    AttentionState,
    Carry,
    DecoderState,
    Params,
)

Looked = Callable[[DecoderState, DecoderState], tuple[Array, Array | None]]


@struct.dataclass
class Noise:
    """Masks, a tuple over layers each; None in a place means no noise there.

    Attributes:
        inputs: `[..., T, D]` dropout on a layer's input; for the bottom layer on the
            feed alone, its embedding is dropped out before.
        recurrent: `[..., H]` dropout on h_{t-1}, the same at every step.
        zones: carries of `[..., T, H]` booleans, see `cells.zoned_step`.
        looks: `[..., T, 2 N]`, no tuple: seeds for attention, see
            `attention.make_noise`.
    """

    inputs: Any
    recurrent: Any
    zones: Any
    looks: Any = None


def no_noise(config: ModelConfig) -> Noise:
    """No noise anywhere."""
    nothing = (None,) * config.decoder_layers
    return Noise(nothing, nothing, nothing)


def part_feed(params: Params, config: ModelConfig) -> Params:
    """The bottom layer's input matrix cut in two: `input` `[E, G*H]` and `feed`.

    Once, outside the scan: cut inside, each step's gradient would be padded to the
    whole.
    """
    bottom, *above = params["layers"]
    if "feed" in bottom:
        return params
    size = config.embedding_size
    own, feed = bottom["input"][:size], bottom["input"][size:]
    return params | {"layers": [bottom | {"input": own, "feed": feed}, *above]}


def join_feed(params: Params) -> Params:
    """What `part_feed` cut, whole again."""
    bottom, *above = params["layers"]
    whole = {name: x for name, x in bottom.items() if name != "feed"}
    whole["input"] = jnp.concatenate([bottom["input"], bottom["feed"]])
    return params | {"layers": [whole, *above]}


def inputs(params: Params, config: ModelConfig, embedded: Array) -> jax.Array:
    """The embeddings' share of the bottom layer's gates, for any number of steps."""
    return CELLS[config.cell].project(params["layers"][0], embedded)


def feed_share(params: Params, feed: Array) -> jax.Array:
    """The feed's share of the bottom layer's gates; `inputs` has added the bias."""
    return layers.matmul(feed, params["layers"][0]["feed"])


def bottom_step(
    params: Params,
    config: ModelConfig,
    carry: Carry,
    projected: jax.Array,
    noise: Noise,
) -> tuple[Carry, jax.Array]:
    """One step of the bottom layer, of which `carry` is the first: its own carry."""
    return zoned_step(
        CELLS[config.cell],
        params["layers"][0],
        carry[0],
        projected,
        noise.recurrent[0],
        noise.zones[0],
        config.zoneout,
    )


def upper_input(below: Array, beside: Array | None, dropped: Array | None) -> jax.Array:
    """An upper layer's input: the output `below`, and what comes beside it."""
    whole = below if beside is None else jnp.concatenate([below, beside], axis=-1)
    return layers.apply_mask(whole, dropped)


def connected(
    params: Params, config: ModelConfig, layer: int, below: list, output: jax.Array
) -> jax.Array:
    """The output of a layer above the bottom one with its residual connection."""
    size = output.shape[-1]
    if not sizes.has_residual(config, layer, below[-1].shape[-1], size):
        return output
    kind = RESIDUALS[config.residual]
    return kind.apply(params["residuals"][layer], below, output)


def upper_steps(
    params: Params,
    config: ModelConfig,
    carry: Carry,
    output: jax.Array,
    noise: Noise,
    beside: Array | None = None,
) -> tuple[Carry, jax.Array]:
    """One step of the layers above the bottom one, from its output."""
    cell, new, below = CELLS[config.cell], [], [output]
    for i, layer in list(enumerate(params["layers"]))[1:]:
        x = upper_input(below[-1], beside, noise.inputs[i])
        state, output = zoned_step(
            cell,
            layer,
            carry[i],
            cell.project(layer, x),
            noise.recurrent[i],
            noise.zones[i],
            config.zoneout,
        )
        output = connected(params, config, i, below, output)
        new.append(state)
        below.append(output)
    return tuple(new), output


def run_layers(
    params: Params,
    config: ModelConfig,
    carry: Carry,
    projected: jax.Array,
    noise: Noise,
) -> tuple[Carry, jax.Array]:
    """One step of all layers, the bottom one from its projected input."""
    bottom, output = bottom_step(params, config, carry, projected, noise)
    above, output = upper_steps(params, config, carry, output, noise)
    return (bottom, *above), output


def unroll_bottom(
    params: Params,
    config: ModelConfig,
    carry: Carry,
    projected: jax.Array,
    noise: Noise,
) -> jax.Array:
    """Outputs `[..., T, H]` of the bottom layer where its input is known beforehand."""
    return backends.run_projected(
        params["layers"][0],
        config,
        carry[0],
        projected,
        drop=noise.recurrent[0],
        zones=noise.zones[0],
    )[1]


def unroll_upper(
    params: Params,
    config: ModelConfig,
    carry: Carry,
    output: jax.Array,
    noise: Noise,
    beside: Array | None = None,
) -> jax.Array:
    """Outputs `[..., T, H]` of the top layer, from those of the bottom one.

    Nothing flows from the layers above back to the bottom one, so each is a scan of its
    own whose input product is one product of all steps.
    """
    below = [output]
    for i, layer in list(enumerate(params["layers"]))[1:]:
        _, output = backends.run(
            layer,
            config,
            carry[i],
            upper_input(below[-1], beside, noise.inputs[i]),
            drop=noise.recurrent[i],
            zones=noise.zones[i],
        )
        output = connected(params, config, i, below, output)
        below.append(output)
    return output


def look(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    query: Array,
    state: Any,
    seeds: Any = None,
) -> tuple[Any, jax.Array]:
    """Attend with the decoder's own attention."""
    return attention.attend(params["attention"], config, memory, query, state, seeds)


def look_all(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    queries: jax.Array,
    seeds: Any = None,
) -> tuple[tuple[Array, Array | None], jax.Array]:
    """`(seen of each step, contexts [..., T, C])` of queries `[..., T, H]`.

    One product where a step's weights do not depend on earlier ones: all T queries of a
    row read the row's one memory, as the K beams do in a search. Else a scan.
    """
    if not attention.is_recurrent(config):
        wide = attention.shared(config, memory)
        first = attention.initial_state(config, wide, queries)
        times = jnp.arange(queries.shape[-2], dtype=jnp.float32)
        time = jnp.broadcast_to(times, first.time.shape)
        first = first.replace(time=time)  # type: ignore[attr-defined]
        looked, contexts = look(params, config, wide, queries, first, seeds)
        return seen(looked), contexts

    def body(state: Any, now: tuple) -> tuple[Any, tuple]:
        state, context = look(params, config, memory, now[0], state, now[1])
        return state, (seen(state), context)

    first = attention.initial_state(config, memory, queries[..., 0, :])
    _, outputs = scan_of(config)(body, first, to_time_major((queries, seeds)))
    return from_time_major(outputs)


def seen(state: AttentionState) -> tuple[Array, Array | None]:
    """What is told of a look: weights `[..., S]`, and what was drawn."""
    return state.weights, state.drawn


def looks_now(before: DecoderState, after: DecoderState) -> tuple[Array, Array | None]:
    """The look whose context a step's output read, where it is its own."""
    return seen(after.attention)


def looked_before(
    before: DecoderState, after: DecoderState
) -> tuple[Array, Array | None]:
    """The same where it is the last step's; 0 at the first step, as the context is."""
    looked = before.attention
    weights = jnp.where(looked.time[..., None] > 0, looked.weights, 0.0)
    return weights, looked.drawn


def scan_steps(
    advance: Callable[..., tuple[DecoderState, Any]],
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
    looked: Looked = looks_now,
) -> tuple[Any, tuple[Array, Array | None]]:
    """Features and looks of all steps: one scan over an `advance`."""

    def body(before: DecoderState, xs: Any) -> tuple[DecoderState, Any]:
        projected, dropped, zones, seeds = xs
        here = Noise(dropped, noise.recurrent, zones, seeds)
        state, features = advance(params, config, memory, before, projected, here)
        return state, (features, looked(before, state))

    xs = to_time_major((projected, noise.inputs, noise.zones, noise.looks))
    _, outputs = scan_of(config)(body, state, xs)
    return from_time_major(outputs)
