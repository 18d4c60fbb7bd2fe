"""Luong's decoder: attends with the new state, h_t -> a_t -> c_t -> h~_t."""

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
    return jnp.tanh(layers.dense(params, jnp.concatenate([context, output], -1)))


def advance(
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


def unroll(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
) -> tuple[jax.Array, jax.Array]:
    """Without input feeding only the layers are scans; attention is one product."""
    if config.input_feeding:
        return scan_steps(advance, params, config, memory, state, projected, noise)
    output = unroll_bottom(params, config, state.carry, projected, noise)
    output = unroll_upper(params, config, state.carry, output, noise)
    weights, contexts = look_all(params, config, memory, output)
    return attentional(params["own"], contexts, output), weights


def readout(
    params: Params, config: ModelConfig, features: jax.Array, embedded: Array
) -> jax.Array:
    """The attentional vector is what predicts."""
    return features
