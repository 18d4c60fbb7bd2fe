"""log p of given tokens under a linear output layer, one by one, in chunks.

`nn.losses` has their sum, whose gradient it computes as it goes. Here each token's
log-probability is a value that others go on with, so the gradient waits for theirs: the
backward pass computes a chunk's logits again. Logits `[B, T, V]` never exist, and
padding costs no products.
"""

from functools import partial

import jax
import jax.numpy as jnp

from seq2seq_jax.nn import layers
from seq2seq_jax.nn.losses import fold, ordered_chunks
from seq2seq_jax.types import Array

Given = tuple[jax.Array, jax.Array, jax.Array]


@jax.custom_vjp
def log_probs_of(
    readout: Array, kernel: Array, bias: Array, targets: Array, mask: Array
) -> Given:
    """Of logits l = readout W + b and lse = log sum exp l, three numbers a token.

    l_y - lse of the target y, the mean of l - lse over the vocabulary, and its maximum.
    They are 0 on padding. The maximum has no gradient: it is a report.

    Args:
        readout: `[..., R]`.
        kernel: `[R, V]`.
        bias: `[V]`.
        targets: `[...]` ids below V.
        mask: `[...]` bool.

    >>> zeros = jnp.zeros((1, 2)), jnp.zeros((2, 4)), jnp.zeros(4)
    >>> own, mean, best = log_probs_of(*zeros, jnp.array([2]), jnp.array([True]))
    >>> print(f"{own[0]:.4f} {mean[0]:.4f} {best[0]:.4f}")
    -1.3863 -1.3863 -1.3863
    """
    return forward(readout, kernel, bias, targets, mask)[0]


def chunk_logits(x: jax.Array, kernel: Array, bias: Array) -> jax.Array:
    """Logits `[N, V]` of some tokens, float32."""
    return (layers.matmul(x, kernel) + bias).astype(jnp.float32)


def forward(
    readout: Array, kernel: Array, bias: Array, targets: Array, mask: Array
) -> tuple[Given, tuple]:
    """The three, and what the backward pass needs."""
    chunks, places = ordered_chunks(readout, targets, mask, kernel.shape[-1])

    def add(found: jax.Array, chunk: tuple, number: jax.Array) -> jax.Array:
        x, y, real = chunk
        logits = chunk_logits(x, kernel, bias)
        lse = jax.nn.logsumexp(logits, axis=-1)
        target = jnp.take_along_axis(logits, y[..., None], axis=-1)[..., 0]
        each = jnp.stack([target, logits.mean(-1), logits.max(-1)], axis=-1)
        here = jnp.where(real[..., None], each - lse[..., None], 0.0)
        return found.at[number].set(here)

    # Zeros made from data vary over devices as the data does.
    shape = (*chunks[1].shape, 3)
    first = jnp.zeros_like(readout, jnp.float32, shape=shape)
    found = fold(add, first, chunks, jnp.sum(mask)).reshape(-1, 3)[places]
    own, mean, best = jnp.moveaxis(found.reshape(*mask.shape, 3), -1, 0)
    return (own, mean, best), (readout, kernel, bias, targets, mask)


def backward(kept: tuple, cotangents: Given) -> tuple:
    """d l_y = d (onehot - p), of the mean d (1 / V - p), p the softmax."""
    readout, kernel, bias, targets, mask = kept
    size = kernel.shape[-1]
    chunks, places = ordered_chunks(readout, targets, mask, size)
    both = jnp.stack(cotangents[:2], axis=-1)
    slopes, _ = ordered_chunks(both, targets, mask, size)

    def add(totals: tuple, chunk: tuple, number: jax.Array) -> tuple:
        d_kernel, d_bias, rows = totals
        (x, y, real), (d_own, d_mean) = chunk[:3], jnp.moveaxis(chunk[3], -1, 0)
        softmax = jax.nn.softmax(chunk_logits(x, kernel, bias))
        onehot = jnp.arange(size) == y[..., None]
        d_logits = jnp.where(onehot, d_own[..., None], 0.0) + d_mean[..., None] / size
        d_logits -= (d_own + d_mean)[..., None] * softmax
        d_logits = jnp.where(real[..., None], d_logits, 0.0)
        d_kernel += layers.summed_products(
            x.astype(kernel.dtype), d_logits.astype(kernel.dtype)
        )
        rows = rows.at[number].set(layers.matmul(d_logits, kernel.T))
        return d_kernel, d_bias + d_logits.sum(0), rows

    zeros = partial(jnp.zeros_like, readout, dtype=jnp.float32)
    first = zeros(shape=kernel.shape), zeros(shape=size), zeros(shape=chunks[0].shape)
    found = fold(add, first, (*chunks, slopes[0]), jnp.sum(mask))
    d_kernel, d_bias, rows = found
    d_readout = rows.reshape(-1, readout.shape[-1])[places].reshape(readout.shape)
    return (
        d_readout.astype(readout.dtype),
        d_kernel.astype(kernel.dtype),
        d_bias,
        None,
        None,
    )


log_probs_of.defvjp(forward, backward)
