"""Memories, products with one that many queries may read, and the softmax over it.

A memory `[B, 1, S, C]` serves K queries `[B, K, H]` without being copied: that is how a
beam, and all target steps at once, read it.
"""

import jax
import jax.numpy as jnp

from seq2seq_jax.nn import layers
from seq2seq_jax.types import Array, AttentionMemory, EncoderOutput, Params

TINY = 1e-30  # guards the division in a row that is padding from end to end
NEVER = -1e30  # the energy of a position that gets no weight; finite, so never NaN


def plain_memory(params: Params, encoded: EncoderOutput) -> AttentionMemory:
    """The annotations are values and keys."""
    return AttentionMemory(encoded.annotations, encoded.annotations, encoded.mask)


def projected_memory(params: Params, encoded: EncoderOutput) -> AttentionMemory:
    """Keys are a matrix times the annotations, computed once a sentence."""
    keys = layers.matmul(encoded.annotations, params["kernel"])
    return AttentionMemory(encoded.annotations, keys, encoded.mask)


def keyless_memory(params: Params, encoded: EncoderOutput) -> AttentionMemory:
    """Keys of width 0: the energies do not depend on the annotations."""
    annotations = encoded.annotations
    return AttentionMemory(annotations, annotations[..., :0], encoded.mask)


def empty_memory(params: Params, encoded: EncoderOutput) -> AttentionMemory:
    """Values and keys of width 0: the context is empty."""
    nothing = encoded.annotations[..., :0]
    return AttentionMemory(nothing, nothing, encoded.mask)


def last_position(mask: Array) -> jax.Array:
    """The last real position of each row `[..., S]`, from 0; 0 in an empty row.

    >>> last_position(jnp.array([[True, True, False], [False] * 3])).tolist()
    [1, 0]
    """
    places = jnp.arange(mask.shape[-1])
    return jnp.max(jnp.where(mask, places, 0), axis=-1)


def masked_softmax(energies: Array, mask: Array) -> jax.Array:
    """Softmax over the last axis where the mask is true, 0 elsewhere; never NaN.

    Energies of `NEVER` get 0 too, even where there are no others.

    >>> masked_softmax(jnp.zeros(3), jnp.array([True, True, False])).tolist()
    [0.5, 0.5, 0.0]
    >>> masked_softmax(jnp.zeros(2), jnp.array([False, False])).tolist()
    [0.0, 0.0]
    >>> masked_softmax(jnp.full(2, NEVER), jnp.array([True, True])).tolist()
    [0.0, 0.0]
    """
    mask = mask & ~(energies <= NEVER)  # so written, a NaN stays one
    largest = jnp.max(energies, axis=-1, where=mask, initial=NEVER, keepdims=True)
    # The inner where keeps exp finite, so that no NaN meets the gradient on padding.
    shifted = jnp.where(mask, energies - jax.lax.stop_gradient(largest), 0.0)
    unnormalised = jnp.where(mask, jnp.exp(shifted), 0.0)
    return unnormalised / jnp.maximum(unnormalised.sum(-1, keepdims=True), TINY)


def masked_shares(logs: Array, mask: Array) -> jax.Array:
    """exp(logs) where the mask is true, 0 elsewhere: shares as they are.

    >>> masked_shares(jnp.zeros(2), jnp.array([True, False])).tolist()
    [1.0, 0.0]
    """
    return jnp.where(mask, jnp.exp(jnp.where(mask, logs, 0.0)), 0.0)


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
