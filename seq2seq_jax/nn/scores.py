"""Attention scores: how well a query fits each key, by name in `SCORES`."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import layers
from seq2seq_jax.nn.memory import products
from seq2seq_jax.types import (
    Array,
    AttentionMemory,
    AttentionState,
    EncoderOutput,
    Params,
)


class Score(NamedTuple):
    """One kind of attention score.

    Attributes:
        init: `(key, config, query_size, value_size, initializers) -> params`.
        memory: `(params, encoded) -> AttentionMemory`; projects the keys, once.
        energies: `(params, query [..., H], memory, state) -> [..., S]`.
        recurrent: whether the energies depend on where earlier steps looked.
        same_size: whether the query must be as wide as an annotation.
    """

    init: Callable[..., Params]
    memory: Callable[[Params, EncoderOutput], AttentionMemory]
    energies: Callable[..., jax.Array]
    recurrent: bool = False
    same_size: bool = False


def no_init(
    key: jax.Array,
    config: ModelConfig,
    query_size: int,
    value_size: int,
    inits: layers.Initializers,
) -> Params:
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
    params: Params, query: Array, memory: AttentionMemory, state: AttentionState
) -> jax.Array:
    """No preference; with an empty memory only the final state reaches the decoder.

    >>> memory = AttentionMemory(jnp.ones((2, 0)), jnp.ones((2, 0)), jnp.ones(2, bool))
    >>> state = AttentionState(jnp.zeros(2), jnp.zeros(2), jnp.zeros(()))
    >>> none_energies({}, jnp.ones(3), memory, state).tolist()
    [0.0, 0.0]
    """
    return jnp.zeros_like(state.weights)


def dot_energies(
    params: Params, query: Array, memory: AttentionMemory, state: AttentionState
) -> jax.Array:
    """Luong 2015, eq. 8, dot: e_s = h_t . hbar_s.

    >>> memory = AttentionMemory(jnp.eye(2), jnp.eye(2), jnp.ones(2, bool))
    >>> state = AttentionState(jnp.zeros(2), jnp.zeros(2), jnp.zeros(()))
    >>> dot_energies({}, jnp.array([1.0, 2.0]), memory, state).tolist()
    [1.0, 2.0]
    """
    return products(query, memory.keys)


def general_init(
    key: jax.Array,
    config: ModelConfig,
    query_size: int,
    value_size: int,
    inits: layers.Initializers,
) -> Params:
    """W_a as `[C, H]`."""
    return layers.dense_init(key, value_size, query_size, inits.attention, bias=False)


def projected_memory(params: Params, encoded: EncoderOutput) -> AttentionMemory:
    """Keys are a matrix times the annotations, computed once a sentence."""
    keys = layers.matmul(encoded.annotations, params["kernel"])
    return AttentionMemory(encoded.annotations, keys, encoded.mask)


def general_energies(
    params: Params, query: Array, memory: AttentionMemory, state: AttentionState
) -> jax.Array:
    """Luong 2015, eq. 8, general: e_s = h_t . W_a hbar_s, with W_a hbar_s as the keys.

    >>> two = jnp.array([[2.0]])
    >>> memory = AttentionMemory(two, two, jnp.ones(1, bool))
    >>> state = AttentionState(jnp.zeros(1), jnp.zeros(1), jnp.zeros(()))
    >>> general_energies({}, jnp.array([3.0]), memory, state).tolist()
    [6.0]
    """
    return products(query, memory.keys)


def additive_init(
    key: jax.Array,
    config: ModelConfig,
    query_size: int,
    value_size: int,
    inits: layers.Initializers,
) -> Params:
    """U_a `[C, A]` as kernel, W_a `[H, A]` as query, v_a `[A]`."""
    key_k, key_q, key_v = jax.random.split(key, 3)
    size = config.attention_size or query_size
    return {
        "kernel": inits.attention(key_k, (value_size, size)),
        "query": inits.attention(key_q, (query_size, size)),
        "v": inits.vector(key_v, (size, 1))[:, 0],
    }


# Saving tanh(...) of every step for the backward pass would take [T, B, S, A] numbers.
@jax.checkpoint
def additive_energies(
    params: Params, query: Array, memory: AttentionMemory, state: AttentionState
) -> jax.Array:
    """Bahdanau 2014, A.1.2: e_j = v_a . tanh(W_a s_{i-1} + U_a h_j); keys: U_a h_j.

    Luong 2015, eq. 8, concat, v_a . tanh(W_a [h_t ; hbar_s]), is the same function.

    >>> half = jnp.array([[0.5]])
    >>> memory = AttentionMemory(half, half, jnp.ones(1, bool))
    >>> state = AttentionState(jnp.zeros(1), jnp.zeros(1), jnp.zeros(()))
    >>> params = {"query": jnp.eye(1), "v": jnp.ones(1)}
    >>> print(f"{additive_energies(params, jnp.zeros(1), memory, state)[0]:.4f}")
    0.4621
    """
    projected = layers.matmul(query, params["query"])[..., None, :]
    return jnp.sum(jnp.tanh(projected + memory.keys) * params["v"], axis=-1)


SCORES = {
    "none": Score(no_init, no_memory, none_energies),
    "dot": Score(no_init, plain_memory, dot_energies, same_size=True),
    "general": Score(general_init, projected_memory, general_energies),
    "additive": Score(additive_init, projected_memory, additive_energies),
}
