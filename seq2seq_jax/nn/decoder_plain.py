"""The decoder without attention: what it knows of the source is its first state."""

import jax

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import attention
from seq2seq_jax.nn.stack import (
    Noise,
    look,
    look_all,
    run_layers,
    unroll_bottom,
    unroll_upper,
)
from seq2seq_jax.types import Array, AttentionMemory, DecoderState, Params


def refuse(config: ModelConfig) -> str:
    """It looks nowhere.

    >>> refuse(ModelConfig(attention="none"))
    ''
    """
    if not attention.context_size(config):
        return ""
    return (
        f"predicts from its layers alone, but model.attention is {config.attention!r}: "
        f"set model.attention none, or model.decoder luong"
    )


def advance(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
) -> tuple[DecoderState, jax.Array]:
    """h_t = LSTM(h_{t-1}, e(y_{t-1})), the layers as they are; features: top h_t."""
    carry, output = run_layers(params, config, state.carry, projected, noise)
    looked, context = look(params, config, memory, output, state.attention)
    return DecoderState(carry, context, looked), output


def unroll(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
) -> tuple[jax.Array, tuple]:
    """Each layer is a scan of its own."""
    output = unroll_bottom(params, config, state.carry, projected, noise)
    output = unroll_upper(params, config, state.carry, output, noise)
    seen, _ = look_all(params, config, memory, output)
    return output, seen


def readout(
    params: Params, config: ModelConfig, features: jax.Array, embedded: Array
) -> jax.Array:
    """Sutskever 2014, section 2: p(y_t | ...) = softmax(W h_t) of the top layer's h_t.

    >>> import jax.numpy as jnp
    >>> readout({}, ModelConfig(), jnp.ones(1), jnp.zeros(1)).tolist()
    [1.0]
    """
    return features
