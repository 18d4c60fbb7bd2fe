"""Bahdanau's decoder: attends with the old state, before the layers are updated.

Its readout (`maxout.readout`) reads the features that its two entries differ in: the
state s_i as section 3.1 writes it, p(y_i | ...) = g(y_{i-1}, s_i, c_i), or s_{i-1} as
appendix A.2.2 does, and GroundHog, the authors' code, which shifts the states by one.
"""

import jax

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import layers
from seq2seq_jax.nn.stack import Noise, feed_share, look, run_layers
from seq2seq_jax.types import AttentionMemory, DecoderState, Params


def advance(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
) -> tuple[DecoderState, tuple[jax.Array, jax.Array]]:
    """Bahdanau 2014, section 3.1: e_ij = a(s_{i-1}, h_j) -> c_i -> s_i.

    s_i = f(s_{i-1}, y_{i-1}, c_i): the query is the top layer's old state, the new
    context enters the bottom layer of this same step. Features: (s_i, c_i).
    """
    looked, context = look(params, config, memory, state.carry[-1][-1], state.attention)
    feed = layers.apply_mask(context, noise.inputs[0])
    projected = projected + feed_share(params, feed)
    carry, output = run_layers(params, config, state.carry, projected, noise)
    return DecoderState(carry, context, looked), (output, context)


def appendix_advance(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
) -> tuple[DecoderState, tuple[jax.Array, jax.Array]]:
    """Bahdanau 2014, A.2.2: as `advance`, with the features (s_{i-1}, c_i).

    s_{i-1} is the query: the top layer's old state itself, without what a residual
    connection adds to its output.

    >>> import jax.numpy as jnp
    >>> from seq2seq_jax.nn import attention, stack
    >>> config = ModelConfig(cell="rnn", attention="dot")
    >>> names = ("input", "feed", "recurrent")
    >>> layer = {n: jnp.eye(1) for n in names} | {"bias": jnp.zeros(1)}
    >>> nothing = {"score": {}, "alignment": {}}
    >>> params = {"layers": [layer], "attention": nothing}
    >>> one, old = jnp.ones((1, 1)), jnp.array([0.25])
    >>> memory = AttentionMemory(one, one, jnp.ones(1, bool))
    >>> looked = attention.initial_state(config, memory, old)
    >>> state = DecoderState(((old,),), old, looked)
    >>> arguments = params, config, memory, state, old, stack.no_noise(config)
    >>> for step in (advance, appendix_advance):
    ...     _, (s, context) = step(*arguments)
    ...     print(f"{s[0]:.4f} {context[0]:.1f}")
    0.9051 1.0
    0.2500 1.0
    """
    new, (_, context) = advance(params, config, memory, state, projected, noise)
    return new, (state.carry[-1][-1], context)
