"""Attention: a score says how well a query fits each key, a softmax makes the weights.

`SCORES` lists the scores by name. A memory `[B, 1, S, C]` serves K queries `[B, K, H]`
without being copied: that is how a beam, and all target steps at once, read it.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax.nn import layers
from seq2seq_jax.types import (
    Array,
    AttentionMemory,
    AttentionState,
    EncoderOutput,
    Params,
)

TINY = 1e-30  # guards the division in a row that is padding from end to end


class Score(NamedTuple):
    """One kind of attention score.

    Attributes:
        init: `(key, query_size, value_size, attention_size, initializers) -> params`.
        memory: `(params, encoded) -> AttentionMemory`; projects the keys, once.
        energies: `(params, query [..., H], keys [..., S, A], state) -> [..., S]`.
    """

    init: Callable[..., Params]
    memory: Callable[[Params, EncoderOutput], AttentionMemory]
    energies: Callable[..., jax.Array]


def attend(
    score: Score,
    params: Params,
    memory: AttentionMemory,
    query: Array,
    state: AttentionState,
) -> tuple[AttentionState, jax.Array]:
    """Weights a = softmax(energies) and context c = sum_s a_s values_s.

    Bahdanau 2014, eqs. 5 and 6.

    Args:
        score: an entry of `SCORES`, with its `params`.
        memory: values `[..., S, C]`, keys `[..., S, A]`, mask `[..., S]`.
        query: `[..., H]`.
        state: the attention state of the step before.

    Returns:
        The new state, whose weights are 0 on padding and sum to 1 (to 0 in a row
        without any real position), and the context `[..., C]`.
    """
    energies = score.energies(params, query, memory.keys, state)
    weights = masked_softmax(energies, memory.mask)
    return (
        AttentionState(weights=weights, coverage=state.coverage + weights),
        weighted_sum(weights, memory.values),
    )


def initial_state(memory: AttentionMemory, query: Array) -> AttentionState:
    """No weights and no coverage yet, for queries shaped as `query [..., H]`."""
    nothing = jnp.zeros_like(query, shape=(*query.shape[:-1], memory.mask.shape[-1]))
    return AttentionState(weights=nothing, coverage=nothing)


def masked_softmax(energies: Array, mask: Array) -> jax.Array:
    """Softmax over the last axis where the mask is true, 0 elsewhere; never NaN.

    >>> masked_softmax(jnp.zeros(3), jnp.array([True, True, False])).tolist()
    [0.5, 0.5, 0.0]
    >>> masked_softmax(jnp.zeros(2), jnp.array([False, False])).tolist()
    [0.0, 0.0]
    """
    largest = jnp.max(energies, axis=-1, where=mask, initial=-1e30, keepdims=True)
    # The inner where keeps exp finite, so that no NaN meets the gradient on padding.
    shifted = jnp.where(mask, energies - jax.lax.stop_gradient(largest), 0.0)
    unnormalised = jnp.where(mask, jnp.exp(shifted), 0.0)
    return unnormalised / jnp.maximum(unnormalised.sum(-1, keepdims=True), TINY)


def products(query: Array, keys: Array) -> jax.Array:
    """q . k_s for each s; one memory may serve many queries.

    `[..., A], [..., S, A] -> [..., S]`, or `[..., K, A], [..., 1, S, A] -> [..., K, S]`
    as one matrix product.
    """
    if serves_many(query, keys):
        return jnp.einsum("...ka,...sa->...ks", query, jnp.squeeze(keys, -3))
    return jnp.einsum("...a,...sa->...s", query, keys)


def weighted_sum(weights: Array, values: Array) -> jax.Array:
    """sum_s a_s v_s: `[..., S], [..., S, C] -> [..., C]`, or for many queries.

    `[..., K, S], [..., 1, S, C] -> [..., K, C]`, as in `products`.
    """
    if serves_many(weights, values):
        return jnp.einsum("...ks,...sc->...kc", weights, jnp.squeeze(values, -3))
    return jnp.einsum("...s,...sc->...c", weights, values)


def serves_many(queries: Array, memory: Array) -> bool:
    """Whether the axis before S is 1 in the memory: all queries share it."""
    return memory.ndim > 2 and queries.ndim == memory.ndim - 1 and memory.shape[-3] == 1


def no_init(key: jax.Array, *sizes: object) -> Params:
    """No parameters."""
    return {}


def plain_memory(params: Params, encoded: EncoderOutput) -> AttentionMemory:
    """The annotations are values and keys."""
    return AttentionMemory(encoded.annotations, encoded.annotations, encoded.mask)


def no_memory(params: Params, encoded: EncoderOutput) -> AttentionMemory:
    """Values and keys of width 0: the context is empty."""
    nothing = encoded.annotations[..., :0]
    return AttentionMemory(nothing, nothing, encoded.mask)


def none_energies(
    params: Params, query: Array, keys: Array, state: AttentionState
) -> jax.Array:
    """No preference; with an empty memory only the final state reaches the decoder.

    >>> state = AttentionState(jnp.zeros(2), jnp.zeros(2))
    >>> none_energies({}, jnp.ones(3), jnp.ones((2, 0)), state).tolist()
    [0.0, 0.0]
    """
    return jnp.zeros_like(state.weights)


def dot_energies(
    params: Params, query: Array, keys: Array, state: AttentionState
) -> jax.Array:
    """Luong 2015, eq. 8, dot: e_s = h_t . hbar_s.

    >>> state = AttentionState(jnp.zeros(2), jnp.zeros(2))
    >>> dot_energies({}, jnp.array([1.0, 2.0]), jnp.eye(2), state).tolist()
    [1.0, 2.0]
    """
    return products(query, keys)


def general_init(
    key: jax.Array,
    query_size: int,
    value_size: int,
    attention_size: int,
    inits: layers.Initializers,
) -> Params:
    """W_a as `[C, H]`."""
    return layers.dense_init(key, value_size, query_size, inits.kernel, bias=False)


def projected_memory(params: Params, encoded: EncoderOutput) -> AttentionMemory:
    """Keys are a matrix times the annotations, computed once a sentence."""
    keys = layers.matmul(encoded.annotations, params["kernel"])
    return AttentionMemory(encoded.annotations, keys, encoded.mask)


def general_energies(
    params: Params, query: Array, keys: Array, state: AttentionState
) -> jax.Array:
    """Luong 2015, eq. 8, general: e_s = h_t . W_a hbar_s, with W_a hbar_s as the keys.

    >>> state = AttentionState(jnp.zeros(1), jnp.zeros(1))
    >>> general_energies({}, jnp.array([3.0]), jnp.array([[2.0]]), state).tolist()
    [6.0]
    """
    return products(query, keys)


def additive_init(
    key: jax.Array,
    query_size: int,
    value_size: int,
    attention_size: int,
    inits: layers.Initializers,
) -> Params:
    """U_a `[C, A]` as kernel, W_a `[H, A]` as query, v_a `[A]`."""
    key_k, key_q, key_v = jax.random.split(key, 3)
    return {
        "kernel": inits.kernel(key_k, (value_size, attention_size)),
        "query": inits.kernel(key_q, (query_size, attention_size)),
        "v": inits.kernel(key_v, (attention_size, 1))[:, 0],
    }


# Saving tanh(...) of every step for the backward pass would take [T, B, S, A] numbers.
@jax.checkpoint
def additive_energies(
    params: Params, query: Array, keys: Array, state: AttentionState
) -> jax.Array:
    """Bahdanau 2014, A.1.2: e_j = v_a . tanh(W_a s_{i-1} + U_a h_j); keys: U_a h_j.

    >>> state = AttentionState(jnp.zeros(1), jnp.zeros(1))
    >>> params = {"query": jnp.eye(1), "v": jnp.ones(1)}
    >>> e = additive_energies(params, jnp.zeros(1), jnp.array([[0.5]]), state)
    >>> print(f"{e[0]:.4f}")
    0.4621
    """
    projected = layers.matmul(query, params["query"])[..., None, :]
    return jnp.sum(jnp.tanh(projected + keys) * params["v"], axis=-1)


SCORES = {
    "none": Score(no_init, no_memory, none_energies),
    "dot": Score(no_init, plain_memory, dot_energies),
    "general": Score(general_init, projected_memory, general_energies),
    "additive": Score(additive_init, projected_memory, additive_energies),
}
