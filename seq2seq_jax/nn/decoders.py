"""Decoders by name: Luong's attends with the new state, Bahdanau's with the old one.

An entry of `DECODERS` cuts a step in two, so that only what depends on the step before
runs inside the scan: `advance` (the recurrence), `readout` (from all steps' features at
once). `nn.decoder` puts the parts together.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import attention, layers
from seq2seq_jax.nn.cells import CELLS
from seq2seq_jax.nn.recurrence import unroll as unroll_cell
from seq2seq_jax.nn.stack import (
    Noise,
    context_size,
    decoder_size,
    feed_share,
    look,
    run_layers,
    scan_steps,
)
from seq2seq_jax.types import Array, AttentionMemory, Carry, DecoderState, Params


class Decoder(NamedTuple):
    """One kind of decoder.

    Attributes:
        init: `(key, config, initializers) -> params` of what stands beside the layers.
        feed_size: `(config) -> size` of the feed; 0: no feed.
        readout_size: `(config) -> R`.
        advance: `(params, config, memory, state, projected, noise) -> (state,
            features)`.
        readout: `(params, config, features, embedded) -> [..., R]`.
        first_context: `(config) -> size` of `DecoderState.context`.
        unroll: `(params, config, memory, state, projected, noise) -> (features,
            weights)` of all steps; `partial(scan_steps, advance)` serves any entry.

    `params` is the whole decoder's, with the bottom layer's input matrix parted by
    `stack.part_feed`; `readout` gets what `init` made.
    """

    init: Callable[..., Params]
    feed_size: Callable[[ModelConfig], int]
    readout_size: Callable[[ModelConfig], int]
    advance: Callable[..., tuple[DecoderState, Any]]
    readout: Callable[..., jax.Array]
    first_context: Callable[[ModelConfig], int]
    unroll: Callable[..., tuple[Any, jax.Array]]


def luong_init(
    key: jax.Array, config: ModelConfig, inits: layers.Initializers
) -> Params:
    """W_c `[C + H, H]`, without bias as in the authors' code."""
    size = decoder_size(config)
    width = context_size(config) + size
    return layers.dense_init(key, width, size, inits.kernel, bias=False)


def luong_feed(config: ModelConfig) -> int:
    """Input feeding brings the last attentional vector."""
    return decoder_size(config) if config.input_feeding else 0


def attentional(params: Params, context: Array, output: Array) -> jax.Array:
    """Luong 2015, eq. 5: h~_t = tanh(W_c [c_t ; h_t])."""
    return jnp.tanh(layers.dense(params, jnp.concatenate([context, output], -1)))


def luong_advance(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
) -> tuple[DecoderState, jax.Array]:
    """Luong 2015, section 3: h_t -> a_t -> c_t -> h~_t.

    x_t = [emb(y_{t-1}) ; h~_{t-1}] with input feeding (section 3.3), h~_{-1} = 0.
    """
    if config.input_feeding:
        feed = layers.apply_mask(state.context, noise.inputs[0])
        projected = projected + feed_share(params, feed)
    carry, output = run_layers(params, config, state.carry, projected, noise)
    looked, context = look(params, config, memory, output, state.attention)
    vector = attentional(params["own"], context, output)
    return DecoderState(carry, vector, looked), vector


def luong_unroll(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
) -> tuple[jax.Array, jax.Array]:
    """Without input feeding only the layers are scans; attention is one product."""
    if config.input_feeding:
        return scan_steps(
            luong_advance, params, config, memory, state, projected, noise
        )
    cell, output = CELLS[config.cell], projected
    for i, layer in enumerate(params["layers"]):
        below = output
        if i > 0:
            projected = cell.project(layer, layers.apply_mask(below, noise.inputs[i]))

        def cell_step(
            carry: Carry, x: Array, p: Params = layer, d: Any = noise.recurrent[i]
        ) -> tuple[Carry, jax.Array]:
            return cell.step(p, carry, x, d)

        _, output = unroll_cell(cell_step, state.carry[i], projected)
        if config.residual and i > 0:
            output = output + below
    # All T queries of a row read the row's one memory, as the K beams do in a search.
    wide = AttentionMemory(
        memory.values[..., None, :, :],
        memory.keys[..., None, :, :],
        memory.mask[..., None, :],
    )
    first = attention.initial_state(wide, output)
    looked, context = look(params, config, wide, output, first)
    return attentional(params["own"], context, output), looked.weights


def luong_readout(
    params: Params, config: ModelConfig, features: jax.Array, embedded: Array
) -> jax.Array:
    """The attentional vector is what predicts."""
    return features


def bahdanau_init(
    key: jax.Array, config: ModelConfig, inits: layers.Initializers
) -> Params:
    """U_o, V_o and C_o, one above the other, `[H + E + C, 2 E]`, and a bias."""
    width = decoder_size(config) + config.embedding_size + context_size(config)
    return layers.dense_init(key, width, 2 * config.embedding_size, inits.kernel)


def bahdanau_advance(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
) -> tuple[DecoderState, tuple[jax.Array, jax.Array]]:
    """Bahdanau 2014, A.2.2: e_ij = a(s_{i-1}, h_j) -> c_i -> s_i.

    s_i = f(s_{i-1}, y_{i-1}, c_i): the query is the top layer's old state, the new
    context enters the bottom layer of this same step.
    """
    looked, context = look(params, config, memory, state.carry[-1][-1], state.attention)
    feed = layers.apply_mask(context, noise.inputs[0])
    projected = projected + feed_share(params, feed)
    carry, output = run_layers(params, config, state.carry, projected, noise)
    return DecoderState(carry, context, looked), (output, context)


def bahdanau_readout(
    params: Params, config: ModelConfig, features: Any, embedded: Array
) -> jax.Array:
    """A.2.2's deep output: t~_i = U_o s_i + V_o E y_{i-1} + C_o c_i, maxima of pairs.

    With s_i as section 3.1 writes it (the appendix has s_{i-1}).
    """
    output, context = features
    wide = layers.dense(params, jnp.concatenate([output, embedded, context], axis=-1))
    return jnp.max(wide.reshape(*wide.shape[:-1], -1, 2), axis=-1)


DECODERS = {
    "luong": Decoder(
        init=luong_init,
        feed_size=luong_feed,
        readout_size=decoder_size,
        advance=luong_advance,
        readout=luong_readout,
        first_context=decoder_size,
        unroll=luong_unroll,
    ),
    "bahdanau": Decoder(
        init=bahdanau_init,
        feed_size=context_size,
        readout_size=lambda config: config.embedding_size,
        advance=bahdanau_advance,
        readout=bahdanau_readout,
        first_context=context_size,
        unroll=partial(scan_steps, bahdanau_advance),
    ),
}
