"""GNMT's decoders: the bottom layer looks, and all layers read the context.

Wu et al. 2016, section 3: a_t = attention(y_{t-1}, x_1 ... x_M), where y_{t-1} is the
bottom layer's output of the step before; a_t goes to all layers of step t. Residual
connections add a layer's input from below alone, without the context beside it. A
`ground` is the bottom layer's step with its look; only it waits for the step before.
Of three `ground`s, what the bottom layer says and what the layers above read, where the
context was 0 and is 1 now:

>>> from seq2seq_jax.nn import attention, stack
>>> config = ModelConfig(cell="rnn", attention="dot")
>>> names = ("input", "feed", "recurrent")
>>> layer = {n: jnp.eye(1) for n in names} | {"bias": jnp.zeros(1)}
>>> params = {"layers": [layer], "attention": {"score": {}, "alignment": {}}}
>>> one, zero = jnp.ones((1, 1)), jnp.zeros(1)
>>> memory = AttentionMemory(one, one, jnp.ones(1, bool))
>>> looked = attention.initial_state(config, memory, zero)
>>> state = DecoderState(((zero,),), zero, looked)
>>> arguments = params, config, memory, state, zero, stack.no_noise(config)
>>> for ground in (previous, current, before):
...     _, (output, beside) = ground(*arguments)
...     print(f"{ground.__name__:8} {output[0]:.4f} {beside[0]:.1f}")
previous 0.0000 0.0
current  0.0000 1.0
before   0.7616 1.0
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import attention, layers, sizes
from seq2seq_jax.nn.stack import (
    Looked,
    Noise,
    bottom_step,
    feed_share,
    look,
    looks_now,
    scan_steps,
    unroll_upper,
    upper_steps,
)
from seq2seq_jax.types import Array, AttentionMemory, DecoderState, Params

Features = tuple[jax.Array, Array]
Ground = Callable[..., tuple[DecoderState, Features]]


def refuse(config: ModelConfig) -> str:
    """It needs a context to hand on, and layers above the bottom one.

    >>> refuse(ModelConfig(decoder_layers=2))
    ''
    """
    if not attention.context_size(config):
        return (
            f"hands a context to all layers, but model.attention is "
            f"{config.attention!r}: set model.attention additive, or model.decoder "
            f"luong"
        )
    if config.decoder_layers < 2:
        return (
            "looks with the bottom layer for the layers above it, but "
            "model.decoder_layers is 1: set model.decoder_layers 2, or model.decoder "
            "luong"
        )
    return ""


def feeds(config: ModelConfig) -> tuple[int, ...]:
    """Each layer reads a context beside its input from below."""
    return (attention.context_size(config),) * config.decoder_layers


def fed_bottom(
    params: Params,
    config: ModelConfig,
    state: DecoderState,
    context: Array,
    projected: jax.Array,
    noise: Noise,
) -> tuple:
    """The bottom layer's `(carry, output)` from [e(y_{t-1}) ; context]."""
    feed = layers.apply_mask(context, noise.inputs[0])
    projected = projected + feed_share(params, feed)
    return bottom_step(params, config, state.carry, projected, noise)


def current(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
) -> tuple[DecoderState, Features]:
    """tensorflow/nmt `gnmt_v2`: the layers above read this step's context.

    h^1_t = f([e(y_{t-1}) ; c_{t-1}], h^1_{t-1}), c_{-1} = 0;  c_t = attend(h^1_t);
    h^l_t = f([h^{l-1}_t ; c_t], h^l_{t-1}). Chen et al. 2018 (RNMT+) wire so as well.
    """
    carry, output = fed_bottom(params, config, state, state.context, projected, noise)
    seeds = noise.looks
    looked, context = look(params, config, memory, output, state.attention, seeds)
    return DecoderState((carry,), context, looked), (output, context)


def previous(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
) -> tuple[DecoderState, Features]:
    """tensorflow/nmt `gnmt`: as `current`, but above they read the context before.

    h^l_t = f([h^{l-1}_t ; c_{t-1}], h^l_{t-1}). Since c_{t-1} = attend(h^1_{t-1}),
    this is the paper's wiring but for the first step, whose context is 0 here.
    """
    new, (output, _) = current(params, config, memory, state, projected, noise)
    return new, (output, state.context)


def before(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
) -> tuple[DecoderState, Features]:
    """Wu et al. 2016, section 3: look with h^1_{t-1}, then all layers read c_t.

    c_t = attend(h^1_{t-1});  h^1_t = f([e(y_{t-1}) ; c_t], h^1_{t-1});
    h^l_t = f([h^{l-1}_t ; c_t], h^l_{t-1}). The first look is the first state's.
    """
    query, seeds = state.carry[0][-1], noise.looks
    looked, context = look(params, config, memory, query, state.attention, seeds)
    carry, output = fed_bottom(params, config, state, context, projected, noise)
    return DecoderState((carry,), context, looked), (output, context)


def advance(
    ground: Ground,
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
) -> tuple[DecoderState, Features]:
    """The bottom layer and its look, then the layers above; features: (h^L_t, c)."""
    new, (output, beside) = ground(params, config, memory, state, projected, noise)
    above, top = upper_steps(params, config, state.carry, output, noise, beside)
    carry = (*new.carry, *above)
    return DecoderState(carry, new.context, new.attention), (top, beside)


def unroll(
    ground: Ground,
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
    looked: Looked = looks_now,
) -> tuple[Features, tuple]:
    """Only the bottom layer and its look are one scan: nothing flows back to them."""
    low = DecoderState(state.carry[:1], state.context, state.attention)
    mine = Noise(noise.inputs[:1], noise.recurrent[:1], noise.zones[:1], noise.looks)
    (outputs, besides), seen = scan_steps(
        ground, params, config, memory, low, projected, mine, looked
    )
    top = unroll_upper(params, config, state.carry, outputs, noise, besides)
    return (top, besides), seen


def readout(
    params: Params, config: ModelConfig, features: Features, embedded: Array
) -> jax.Array:
    """Wu et al. 2016, figure 1: the top layer's output alone predicts.

    >>> features = jnp.ones(1), jnp.full(1, 2.0)
    >>> readout({}, ModelConfig(), features, jnp.zeros(1)).tolist()
    [1.0]
    """
    return features[0]


def rnmt_readout_size(config: ModelConfig) -> int:
    """H + C."""
    return sizes.decoder_size(config) + attention.context_size(config)


def rnmt_readout(
    params: Params, config: ModelConfig, features: Features, embedded: Array
) -> jax.Array:
    """Chen et al. 2018 (RNMT+), section 4.1: [h^L_t ; c_t], the context predicts too.

    >>> features = jnp.ones(1), jnp.full(1, 2.0)
    >>> rnmt_readout({}, ModelConfig(), features, jnp.zeros(1)).tolist()
    [1.0, 2.0]
    """
    return jnp.concatenate(features, axis=-1)
