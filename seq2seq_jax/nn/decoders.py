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
from seq2seq_jax.nn import layers, sizes
from seq2seq_jax.nn.stack import (
    Noise,
    feed_share,
    look,
    look_all,
    run_layers,
    scan_steps,
    unroll_bottom,
    unroll_upper,
)
from seq2seq_jax.types import (
    Array,
    AttentionMemory,
    Carry,
    DecoderState,
    EncoderOutput,
    Params,
)


class Decoder(NamedTuple):
    """One kind of decoder.

    Attributes:
        init: `(key, config, initializers) -> params` of what stands beside the layers.
        feeds: `(config) -> sizes`, over layers, of what comes beside the embedding (the
            bottom layer's feed) or beside the output of the layer below; 0: nothing.
        readout_size: `(config) -> R`.
        start: `(params, config, encoded, carry) -> (carry, context)`, the first ones,
            from the bridge's carry.
        advance: `(params, config, memory, state, projected, noise) -> (state,
            features)`.
        readout: `(params, config, features, embedded) -> [..., R]`.
        unroll: `(params, config, memory, state, projected, noise) -> (features,
            weights)` of all steps; `partial(scan_steps, advance)` serves any entry.
        refuse: `(config) -> reason` why it cannot serve a config and a way out, or "".

    `params` is the whole decoder's, with the bottom layer's input matrix parted by
    `stack.part_feed`; `readout` gets what `init` made.
    """

    init: Callable[..., Params]
    feeds: Callable[[ModelConfig], tuple[int, ...]]
    readout_size: Callable[[ModelConfig], int]
    start: Callable[..., tuple[Carry, jax.Array]]
    advance: Callable[..., tuple[DecoderState, Any]]
    readout: Callable[..., jax.Array]
    unroll: Callable[..., tuple[Any, jax.Array]]
    refuse: Callable[[ModelConfig], str] = lambda config: ""


def only_bottom(size: Callable[[ModelConfig], int]) -> Callable[..., tuple[int, ...]]:
    """`feeds` of a decoder that brings something to its bottom layer alone."""
    return lambda config: (size(config), *[0] * (config.decoder_layers - 1))


def zero_context(size: Callable[[ModelConfig], int]) -> Callable[..., tuple]:
    """`start` with the bridge's carry and a context of zeros."""

    def start(
        params: Params, config: ModelConfig, encoded: EncoderOutput, carry: Carry
    ) -> tuple[Carry, jax.Array]:
        top = carry[-1][-1]
        return carry, jnp.zeros_like(top, shape=(*top.shape[:-1], size(config)))

    return start


def luong_init(
    key: jax.Array, config: ModelConfig, inits: layers.Initializers
) -> Params:
    """W_c `[C + H, H]`, without bias as in the authors' code."""
    size = sizes.decoder_size(config)
    width = sizes.context_size(config) + size
    return layers.dense_init(key, width, size, inits.kernel, bias=False)


def luong_feed(config: ModelConfig) -> int:
    """Input feeding brings the last attentional vector."""
    return sizes.decoder_size(config) if config.input_feeding else 0


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
    output = unroll_bottom(params, config, state.carry, projected, noise)
    output = unroll_upper(params, config, state.carry, output, noise)
    weights, contexts = look_all(params, config, memory, output)
    return attentional(params["own"], contexts, output), weights


def luong_readout(
    params: Params, config: ModelConfig, features: jax.Array, embedded: Array
) -> jax.Array:
    """The attentional vector is what predicts."""
    return features


def maxout_size(config: ModelConfig) -> int:
    """l, the units of a maxout readout."""
    return config.readout_size or config.embedding_size


def maxout_init(
    key: jax.Array, config: ModelConfig, inits: layers.Initializers
) -> Params:
    """U_o, V_o and C_o, one above the other, `[H + E + C, 2 l]`, and a bias."""
    width = sizes.decoder_size(config) + config.embedding_size
    width += sizes.context_size(config)
    return layers.dense_init(key, width, 2 * maxout_size(config), inits.kernel)


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


def maxout_readout(
    params: Params, config: ModelConfig, features: Any, embedded: Array
) -> jax.Array:
    """Bahdanau 2014, A.2.2, deep output: maxima of pairs (Goodfellow et al. 2013).

    t~_i = U_o s + V_o E y_{i-1} + C_o c_i;  t_i = [max(t~_{i,2j-1}, t~_{i,2j})]_j, from
    the `features` (s, c_i): s is s_i as section 3.1 writes it, or s_{i-1} as in A.2.2.
    """
    output, context = features
    wide = layers.dense(params, jnp.concatenate([output, embedded, context], axis=-1))
    return jnp.max(wide.reshape(*wide.shape[:-1], -1, 2), axis=-1)


DECODERS = {
    "luong": Decoder(
        init=luong_init,
        feeds=only_bottom(luong_feed),
        readout_size=sizes.decoder_size,
        start=zero_context(sizes.decoder_size),
        advance=luong_advance,
        readout=luong_readout,
        unroll=luong_unroll,
    ),
    "bahdanau": Decoder(
        init=maxout_init,
        feeds=only_bottom(sizes.context_size),
        readout_size=maxout_size,
        start=zero_context(sizes.context_size),
        advance=bahdanau_advance,
        readout=maxout_readout,
        unroll=partial(scan_steps, bahdanau_advance),
    ),
}
