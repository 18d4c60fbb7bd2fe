"""Luong's decoder: attends with the new state, h_t -> a_t -> c_t -> h~_t.

Its entries differ in the attentional vector h~_t, which has a tanh in the paper and
none in tensorflow/nmt, and in whether that is read out.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import attention, layers, sizes
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

Vector = Callable[[Params, jax.Array, Array], jax.Array]


def init(key: jax.Array, config: ModelConfig, inits: layers.Initializers) -> Params:
    """W_c `[C + H, H]`, without bias as in the authors' code."""
    size = sizes.decoder_size(config)
    width = attention.context_size(config) + size
    return layers.dense_init(key, width, size, inits.kernel, bias=False)


def feed_size(config: ModelConfig) -> int:
    """Input feeding brings the last attentional vector."""
    return sizes.decoder_size(config) if config.input_feeding else 0


def projects(config: ModelConfig) -> bool:
    """Whether the memory holds W_c's share of each annotation.

    Contexts of several heads stand side by side; those are multiplied as they come. So
    are those that a hierarchy of sources is chosen by.
    """
    several = config.attention_heads > 1 or config.combination == "hierarchical"
    return not several and attention.context_size(config) > 0


def memory(
    params: Params, config: ModelConfig, memory: AttentionMemory
) -> AttentionMemory:
    """Values W_c^c h_s for h_s: the context is then the share W_c^c c_t of eq. 5.

    W_c [c_t ; h_t] = sum_s a_s (W_c^c h_s) + W_c^h h_t: one product a sentence in place
    of one in every step, and for every beam.
    """
    if not projects(config):
        return memory
    values = layers.matmul(memory.values, context_rows(params, config))
    return memory.replace(values=values)  # type: ignore[attr-defined]


def context_rows(params: Params, config: ModelConfig) -> Array:
    """W_c^c `[C, H]`, what W_c multiplies a context by."""
    return params["kernel"][: attention.context_size(config)]


def share(params: Params, config: ModelConfig, context: jax.Array) -> jax.Array:
    """W_c^c c_t from what attention gives."""
    if projects(config):
        return context
    return layers.matmul(context, context_rows(params, config))


def attentional(params: Params, share: jax.Array, output: Array) -> jax.Array:
    """Luong 2015, eq. 5: h~_t = tanh(W_c [c_t ; h_t]), from the context's share.

    >>> params = {"kernel": jnp.array([[1.0], [2.0]])}
    >>> print(f"{attentional(params, jnp.array([-1.0]), jnp.array([1.0]))[0]:.4f}")
    0.7616
    """
    return jnp.tanh(linear(params, share, output))


def linear(params: Params, share: jax.Array, output: Array) -> jax.Array:
    """tensorflow/nmt (`AttentionWrapper`'s attention layer): h~_t = W_c [c_t ; h_t].

    >>> params = {"kernel": jnp.array([[1.0], [2.0]])}
    >>> linear(params, jnp.array([-1.0]), jnp.array([1.0])).tolist()
    [1.0]
    """
    return share + layers.matmul(output, params["kernel"][-output.shape[-1] :])


def attended(
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
    Gives the new state, whose context is h~_t, and the top layer's output h_t.
    """
    if config.input_feeding:
        feed = layers.apply_mask(state.context, noise.inputs[0])
        projected = projected + feed_share(params, feed)
    carry, output = run_layers(params, config, state.carry, projected, noise)
    looked, context = look(params, config, memory, output, state.attention, noise.looks)
    own = params["own"]
    fed = vector(own, share(own, config, context), output)
    return DecoderState(carry, fed, looked), output


def advance(vector: Vector, *arguments: Any) -> tuple[DecoderState, Array]:
    """A step of which h~_t is read out; arguments as those of `attended`."""
    state, _ = attended(vector, *arguments)
    return state, state.context


def fed_advance(*arguments: Any) -> tuple[DecoderState, jax.Array]:
    """tensorflow/nmt without `output_attention`: h_t is read out, h~_t is only fed.

    So a step's output reads the context of the step before, through its input.
    """
    return attended(linear, *arguments)


def fed_refuse(config: ModelConfig) -> str:
    """Attention reaches the output by input feeding alone.

    >>> fed_refuse(ModelConfig())
    ''
    """
    if config.input_feeding:
        return ""
    return (
        "has no other use for attention than to feed it to the next step: set "
        "model.input_feeding True, or model.decoder luong_linear"
    )


def unroll(
    vector: Vector,
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
) -> tuple[jax.Array, tuple]:
    """Without input feeding only the layers are scans; attention is one product."""
    if config.input_feeding:
        step = partial(advance, vector)
        return scan_steps(step, params, config, memory, state, projected, noise)
    output = unroll_bottom(params, config, state.carry, projected, noise)
    output = unroll_upper(params, config, state.carry, output, noise)
    seen, contexts = look_all(params, config, memory, output, noise.looks)
    own = params["own"]
    return vector(own, share(own, config, contexts), output), seen


def readout(
    params: Params, config: ModelConfig, features: jax.Array, embedded: Array
) -> jax.Array:
    """The attentional vector is what predicts.

    >>> readout({}, ModelConfig(), jnp.ones(1), jnp.zeros(1)).tolist()
    [1.0]
    """
    return features
