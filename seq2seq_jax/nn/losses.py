"""Cross-entropy of a linear output layer, in chunks: logits `[B, T, V]` never exist.

At V = 8,000 the logits of one batch outweigh everything else in memory. Here a scan
takes a few hundred tokens at a time, and the same pass that computes their loss
computes its gradient, so that nothing is stored for the backward pass and nothing
computed twice.
"""

from functools import partial

import jax
import jax.numpy as jnp

from seq2seq_jax.nn import layers
from seq2seq_jax.types import Array, Sums

LOGITS = 2**21  # logits at a time: 8 MB, which stay in the cache of most machines
SMALLEST = 64  # tokens at a time, however large the vocabulary


@partial(jax.custom_vjp, nondiff_argnums=(5,))
def linear_cross_entropy(
    readout: Array,
    kernel: Array,
    bias: Array,
    targets: Array,
    mask: Array,
    label_smoothing: float = 0.0,
) -> Sums:
    """Sums over real tokens of the label-smoothed cross-entropy (Szegedy et al. 2016).

    With logits l = readout W + b and smoothing u, the target distribution is 1 - u on
    the target plus u / V on every token: loss = lse - (1 - u) l_y - u mean(l), where
    lse is log sum exp l. A prediction counts as correct where no logit is above the
    target's. Only `loss` has a gradient; the other sums are reports.

    Args:
        readout: `[..., R]`.
        kernel: `[R, V]`.
        bias: `[V]`.
        targets: `[...]` ids.
        mask: `[...]` bool.
        label_smoothing: u.

    >>> zeros = jnp.zeros((1, 2)), jnp.zeros((2, 4)), jnp.zeros(4)
    >>> sums = linear_cross_entropy(*zeros, jnp.array([2]), jnp.array([True]), 0.0)
    >>> print(f"{sums.loss:.4f} {sums.nll:.4f} {sums.weight}")
    1.3863 1.3863 1.0
    """

    def body(total: None, chunk: tuple) -> tuple[None, Sums]:
        x, y, real = chunk
        return total, chunk_sums(x, y, real, kernel, bias, label_smoothing)[0]

    chunks = in_chunks(readout, targets, mask, kernel.shape[-1])
    _, sums = jax.lax.scan(body, None, chunks)
    return jax.tree.map(jnp.sum, sums)


def in_chunks(readout: Array, targets: Array, mask: Array, vocabulary: int) -> tuple:
    """The three flattened over tokens, filled up with padding: `[n, size, ...]`."""
    tokens = targets.size
    size = min(tokens, max(SMALLEST, LOGITS // vocabulary))
    missing = -tokens % size

    def cut(x: Array, *tail: int) -> jax.Array:
        flat = jnp.reshape(x, (tokens, *tail))
        padded = jnp.pad(flat, [(0, missing), *[(0, 0)] * len(tail)])
        return padded.reshape(-1, size, *tail)

    return cut(readout, readout.shape[-1]), cut(targets), cut(mask)


def chunk_sums(
    readout: Array,
    targets: Array,
    mask: Array,
    kernel: Array,
    bias: Array,
    label_smoothing: float,
) -> tuple[Sums, tuple[jax.Array, jax.Array]]:
    """A chunk's sums, and exp(l - max) with its sum: the softmax, for the gradient."""
    logits = layers.matmul(readout, kernel) + bias
    largest = jnp.max(logits, axis=-1, keepdims=True)
    exps = jnp.exp(logits - largest)
    norm = jnp.sum(exps, axis=-1, keepdims=True)
    lse = (jnp.log(norm) + largest)[..., 0]
    target = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    nll = lse - target
    loss = nll
    if label_smoothing:
        smooth = lse - jnp.mean(logits, axis=-1)
        loss = (1.0 - label_smoothing) * nll + label_smoothing * smooth
    sums = Sums(
        loss=jnp.sum(jnp.where(mask, loss, 0.0)),
        nll=jnp.sum(jnp.where(mask, nll, 0.0)),
        correct=jnp.sum(mask & (target >= largest[..., 0])).astype(jnp.float32),
        weight=jnp.sum(mask).astype(jnp.float32),
    )
    return sums, (exps, norm)


def forward(
    readout: Array,
    kernel: Array,
    bias: Array,
    targets: Array,
    mask: Array,
    label_smoothing: float,
) -> tuple[Sums, tuple]:
    """The sums and the loss's gradient: d l = softmax - (1 - u) onehot - u / V."""
    size = kernel.shape[-1]

    def body(totals: tuple, chunk: tuple) -> tuple[tuple, tuple]:
        d_kernel, d_bias = totals
        x, y, real = chunk
        sums, (exps, norm) = chunk_sums(x, y, real, kernel, bias, label_smoothing)
        onehot = jnp.arange(size) == y[..., None]
        d_logits = exps / norm - label_smoothing / size
        d_logits = d_logits - jnp.where(onehot, 1.0 - label_smoothing, 0.0)
        d_logits = jnp.where(real[..., None], d_logits, 0.0)
        d_readout = layers.matmul(d_logits, kernel.T)
        d_kernel = d_kernel + layers.matmul(x.T, d_logits.astype(kernel.dtype))
        return (d_kernel, d_bias + d_logits.sum(0)), (sums, d_readout)

    # Zeros made from data vary over devices as the data does.
    zeros = jnp.zeros_like(readout, shape=kernel.shape, dtype=jnp.float32)
    first = zeros, jnp.zeros_like(zeros, shape=size)
    chunks = in_chunks(readout, targets, mask, size)
    totals, (sums, d_readout) = jax.lax.scan(body, first, chunks)
    d_readout = d_readout.reshape(-1, readout.shape[-1])[: targets.size]
    d_readout = d_readout.reshape(readout.shape).astype(readout.dtype)
    gradients = (d_readout, totals[0].astype(kernel.dtype), totals[1])
    return jax.tree.map(jnp.sum, sums), gradients


def backward(label_smoothing: float, gradients: tuple, cotangent: Sums) -> tuple:
    """The stored gradients times the loss's cotangent; ids and mask have none."""
    scaled = jax.tree.map(lambda g: g * cotangent.loss.astype(g.dtype), gradients)
    return (*scaled, None, None)


linear_cross_entropy.defvjp(forward, backward)
