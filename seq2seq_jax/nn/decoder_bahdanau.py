"""Bahdanau's decoder: attends with the old state, before the layers are updated.

Its readout (`maxout.readout`) reads the features that its entries differ in: the state
s_i as eq. 4 of section 3.1 writes it, p(y_i | ...) = g(y_{i-1}, s_i, c_i), or s_{i-1}
as appendix A.2.2 does. GroundHog, the authors' code, reads s_{i-1} too, but its states
are a word ahead: s_i has read y_i.
"""

from functools import partial

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import layers, maxout
from seq2seq_jax.nn.quantised import side_by_side
from seq2seq_jax.nn.stack import Noise, feed_share, look, run_layers
from seq2seq_jax.types import Array, AttentionMemory, DecoderState, Params

Read = Array | maxout.Share  # what a readout reads of a context


def advance(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
) -> tuple[DecoderState, tuple[jax.Array, Read]]:
    """Bahdanau 2014, section 3.1: e_ij = a(s_{i-1}, h_j) -> c_i -> s_i.

    s_i = f(s_{i-1}, y_{i-1}, c_i): the query is the top layer's old state, the new
    context enters the bottom layer of this same step. Features: (s_i, c_i).
    """
    query, seeds = state.carry[-1][-1], noise.looks
    looked, context = look(params, config, memory, query, state.attention, seeds)
    share, seen = read(params, memory, context, noise)
    carry, output = run_layers(params, config, state.carry, projected + share, noise)
    return DecoderState(carry, context, looked), (output, seen)


def read(
    params: Params, memory: AttentionMemory, context: Array, noise: Noise
) -> tuple[Array, Read]:
    """A context's share of the gates, and what the readout reads of it."""
    if memory.ready:
        gates = params["layers"][0]["feed"].shape[-1]
        return context[..., :gates], maxout.Share(context[..., gates:])
    return feed_share(params, layers.apply_mask(context, noise.inputs[0])), context


def readied(
    params: Params, config: ModelConfig, memory: AttentionMemory, state: DecoderState
) -> tuple[AttentionMemory, DecoderState]:
    """Values [F h_j ; C_o h_j] for h_j: contexts are then what is made of them.

    F c_i = sum_j a_ij (F h_j), and so C_o c_i: the two products of a context, one of
    them the largest of a step, are made once for each annotation, for all steps and
    all beams. Without noise alone: what it leaves out of c_i is no longer there.
    """
    own = maxout.context_rows(params["own"], config)
    both = side_by_side(params["layers"][0]["feed"], own)
    values = layers.matmul(memory.values, both)
    # Of the first context, which is zeros, they are zeros.
    shape = (*state.context.shape[:-1], both.shape[-1])
    context = jnp.zeros_like(state.context, shape=shape)
    return (
        memory.replace(values=values, ready=True),  # type: ignore[attr-defined]
        DecoderState(state.carry, context, state.attention),
    )


def appendix_advance(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
) -> tuple[DecoderState, tuple[jax.Array, Read]]:
    """Bahdanau 2014, A.2.2: as `advance`, with the features (s_{i-1}, c_i).

    s_{i-1} is the query: the top layer's old state itself, without what a residual
    connection adds to its output.

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


def groundhog_advance(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
) -> tuple[DecoderState, tuple[jax.Array, Read, jax.Array]]:
    """GroundHog: s_{i-1} = f(s_{i-2}, y_{i-1}, c_{i-1}) -> c_i = attend(s_{i-1}).

    So what is read out, and looks, has read the last word already, with the context of
    the step before. At the first step there is no word: s_0 looks as it is. Features:
    (s_{i-1}, c_i, 0 at the first step, else 1).
    """
    share, _ = read(params, memory, state.context, noise)
    moved, _ = run_layers(params, config, state.carry, projected + share, noise)
    later = jnp.asarray(state.attention.time > 0)[..., None]
    carry = jax.tree.map(partial(jnp.where, later), moved, state.carry)
    query, seeds = carry[-1][-1], noise.looks
    looked, context = look(params, config, memory, query, state.attention, seeds)
    _, seen = read(params, memory, context, noise)
    first = later.astype(context.dtype)
    return DecoderState(carry, context, looked), (query, seen, first)


def groundhog_readout(
    params: Params,
    config: ModelConfig,
    features: tuple[jax.Array, jax.Array, jax.Array],
    embedded: Array,
) -> jax.Array:
    """GroundHog's `check_first_word`: as `maxout.readout`, with V_o E y_0 = 0.

    >>> params = {"kernel": jnp.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])}
    >>> s, y, c = jnp.array([4.0]), jnp.array([2.0]), jnp.array([3.0])
    >>> for later in (jnp.zeros(1), jnp.ones(1)):
    ...     print(groundhog_readout(params, ModelConfig(), (s, c, later), y).item())
    4.0
    5.0
    """
    output, context, later = features
    return maxout.readout(params, config, (output, context), embedded * later)
