"""Luong's decoder: attends with the new state, h_t -> a_t -> c_t -> h~_t.

Its two entries differ in the attentional vector h~_t: the paper's has a tanh, that of
tensorflow/nmt has none.
"""

from collections.abc import Callable
from functools import partial

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
from seq2seq_jax.types import Array, AttentionMemory, DecoderState, Params

Vector = Callable[[Params, Array, Array], jax.Array]


def init(key: jax.Array, config: ModelConfig, inits: layers.Initializers) -> Params:
    """W_c `[C + H, H]`, without bias as in the authors' code."""
    size = sizes.decoder_size(config)
    width = sizes.context_size(config) + size
    return layers.dense_init(key, width, size, inits.kernel, bias=False)


def feed_size(config: ModelConfig) -> int:
    """Input feeding brings the last attentional vector."""
    return sizes.decoder_size(config) if config.input_feeding else 0


def attentional(params: Params, context: Array, output: Array) -> jax.Array:
    """Luong 2015, eq. 5: h~_t = tanh(W_c [c_t ; h_t]).

    >>> params = {"kernel": jnp.array([[1.0], [2.0]])}
    >>> vector = attentional(params, jnp.array([-1.0]), jnp.array([1.0]))
    >>> print(f"{vector[0]:.4f}")
    0.7616
    """
    return jnp.tanh(linear(params, context, output))


def linear(params: Params, context: Array, output: Array) -> jax.Array:
    """tensorflow/nmt (`AttentionWrapper`'s attention layer): h~_t = W_c [c_t ; h_t].

    >>> params = {"kernel": jnp.array([[1.0], [2.0]])}
    >>> linear(params, jnp.array([-1.0]), jnp.array([1.0])).tolist()
    [1.0]
    """
    return layers.dense(params, jnp.concatenate([context, output], -1))


def advance(
    vector: Vector,
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
    attended = vector(params["own"], context, output)
    return DecoderState(carry, attended, looked), attended


def unroll(
    vector: Vector,
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
) -> tuple[jax.Array, jax.Array]:
    """Without input feeding only the layers are scans; attention is one product."""
    if config.input_feeding:
        step = partial(advance, vector)
        return scan_steps(step, params, config, memory, state, projected, noise)
    output = unroll_bottom(params, config, state.carry, projected, noise)
    output = unroll_upper(params, config, state.carry, output, noise)
    weights, contexts = look_all(params, config, memory, output)
    return vector(params["own"], contexts, output), weights


def readout(
    params: Params, config: ModelConfig, features: jax.Array, embedded: Array
) -> jax.Array:
    """The attentional vector is what predicts.

    >>> readout({}, ModelConfig(), jnp.ones(1), jnp.zeros(1)).tolist()
    [1.0]
    """
    return features
