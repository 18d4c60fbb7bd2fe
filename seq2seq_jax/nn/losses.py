"""Cross-entropy of a linear output layer, in chunks: logits `[B, T, V]` never exist.

At V = 8,000 the logits of one batch outweigh everything else in memory. Here a loop
takes a few hundred tokens at a time, and the same pass that computes their loss
computes its gradient, so that nothing is stored for the backward pass and nothing
computed twice. Real tokens come first, and the loop ends with the last of them: padding
costs no products.

Of a vocabulary that is cut over devices (`nn/shards.py`) each has the logits of its
part alone. For each chunk they tell each other a few numbers a token, the largest
logit, the sum of exponentials and the target's logit, and the softmax is that of the
whole vocabulary.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from seq2seq_jax.nn import layers, shards
from seq2seq_jax.nn.shards import Shards
from seq2seq_jax.types import Array, Sums

LOGITS = 2**21  # logits at a time: 8 MB, which stay in the cache of most machines
SMALLEST = 64  # tokens at a time, however large the vocabulary


@partial(jax.custom_vjp, nondiff_argnums=(5, 6))
def linear_cross_entropy(
    readout: Array,
    kernel: Array,
    bias: Array,
    targets: Array,
    mask: Array,
    label_smoothing: float = 0.0,
    cut: Shards | None = None,
) -> Sums:
    """Sums over real tokens of the label-smoothed cross-entropy.

    Szegedy et al. 2016, section 7: with logits l = readout W + b and smoothing u, the
    target distribution is 1 - u on the target plus u / V on every token, so the loss is
    lse - (1 - u) l_y - u mean(l), where lse is log sum exp l. A prediction counts as
    correct where no logit is above the target's. Only `loss` has a gradient; the other
    sums are reports.

    Args:
        readout: `[..., R]`.
        kernel: `[R, V]`.
        bias: `[V]`.
        targets: `[...]` ids.
        mask: `[...]` bool.
        label_smoothing: u.
        cut: how the vocabulary is; kernel and bias are then this device's, `[R, V / M]`
            and `[V / M]`. None: it is not.

    >>> zeros = jnp.zeros((1, 2)), jnp.zeros((2, 4)), jnp.zeros(4)
    >>> sums = linear_cross_entropy(*zeros, jnp.array([2]), jnp.array([True]), 0.0)
    >>> print(f"{sums.loss:.4f} {sums.nll:.4f} {sums.weight}")
    1.3863 1.3863 1.0
    """

    def add(sums: Sums, chunk: tuple, _: jax.Array) -> Sums:
        x, y, real = chunk
        here = chunk_sums(x, y, real, kernel, bias, label_smoothing, cut)[0]
        return jax.tree.map(jnp.add, sums, here)

    chunks, _ = ordered_chunks(readout, targets, mask, kernel.shape[-1])
    count = shards.longest(jnp.sum(mask), cut)
    return fold(add, no_sums(readout), chunks, count)


def coverage_loss(weights: Array, mask: Array) -> jax.Array:
    """sum_t sum_i min(a_i^t, c_i^t), See et al. 2017, eq. 12, over real tokens.

    c^t = sum_{t' < t} a^{t'} (eq. 10): what is looked at again costs.

    Args:
        weights: `[..., T, S]`.
        mask: `[..., T]` bool.

    >>> weights = jnp.array([[1.0, 0.0], [0.25, 0.75], [0.5, 0.5]])
    >>> float(coverage_loss(weights, jnp.array([True, True, True])))
    1.25
    """
    before = jnp.cumsum(weights, axis=-2) - weights
    each = jnp.minimum(weights, before).sum(axis=-1)
    return jnp.sum(jnp.where(mask, each, 0.0))


def doubly_stochastic_loss(weights: Array, mask: Array) -> jax.Array:
    """sum_i (1 - sum_t a_ti)^2, Xu et al. 2015, eq. 14, over real steps.

    Every place is to be looked at about as much as every other. A place at which no
    step looks at all counts as padding.

    Args:
        weights: `[..., T, S]`.
        mask: `[..., T]` bool.

    >>> weights = jnp.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    >>> float(doubly_stochastic_loss(weights, jnp.array([True, True, False])))
    0.5
    """
    looked = jnp.where(mask[..., None], weights, 0.0).sum(axis=-2)
    return jnp.sum(jnp.where(looked > 0, (1.0 - looked) ** 2, 0.0))


def no_sums(like: Array) -> Sums:
    """Sums of nothing; zeros made from data vary over devices as the data does."""
    return Sums(*[jnp.zeros_like(like, shape=(), dtype=jnp.float32)] * 4)


def real_first(mask: Array) -> jax.Array:
    """The place of each token `[N]` once the real ones stand before the others.

    >>> real_first(jnp.array([False, True, True])).tolist()
    [2, 0, 1]
    """
    real = jnp.reshape(mask, -1)
    others = jnp.sum(real) + jnp.cumsum(~real)
    return jnp.where(real, jnp.cumsum(real), others) - 1


def in_order(x: Array, places: jax.Array, *tail: int) -> jax.Array:
    """`x [..., *tail]` as `[N, *tail]`, each token at its place."""
    flat = jnp.reshape(x, (places.size, *tail))
    return jnp.zeros_like(flat).at[places].set(flat)


def in_chunks(readout: Array, targets: Array, mask: Array, vocabulary: int) -> tuple:
    """The three flattened over tokens, filled up with padding: `[n, size, ...]`.

    Chunks are of about one size: the last one is worked through whole.
    """
    tokens = targets.size
    count = -(-tokens // max(SMALLEST, LOGITS // vocabulary))
    size = -(-tokens // count)
    missing = -tokens % size

    def cut(x: Array, *tail: int) -> jax.Array:
        flat = jnp.reshape(x, (tokens, *tail))
        padded = jnp.pad(flat, [(0, missing), *[(0, 0)] * len(tail)])
        return padded.reshape(-1, size, *tail)

    return cut(readout, readout.shape[-1]), cut(targets), cut(mask)


def ordered_chunks(
    readout: Array, targets: Array, mask: Array, vocabulary: int
) -> tuple[tuple, jax.Array]:
    """`in_chunks` with the real tokens first, and each token's place among them."""
    places = real_first(mask)
    parts = in_order(readout, places, readout.shape[-1]), in_order(targets, places)
    return in_chunks(*parts, in_order(mask, places), vocabulary), places


def fold(
    step: Callable[[Any, tuple, jax.Array], Any],
    first: Any,
    chunks: tuple,
    count: jax.Array,
) -> Any:
    """`step(carry, chunk, number) -> carry` over the chunks of `count` tokens."""

    def body(number: jax.Array, carry: Any) -> Any:
        return step(carry, jax.tree.map(lambda x: x[number], chunks), number)

    return jax.lax.fori_loop(0, -(-count // chunks[1].shape[1]), body, first)


def chunk_sums(
    readout: Array,
    targets: Array,
    mask: Array,
    kernel: Array,
    bias: Array,
    label_smoothing: float,
    cut: Shards | None = None,
) -> tuple[Sums, tuple[jax.Array, jax.Array]]:
    """A chunk's sums, and exp(l - max) with its sum: the softmax, for the gradient."""
    logits = layers.matmul(readout, kernel) + bias
    filling = shards.is_filling(kernel.shape[-1], cut)
    known = logits if filling is None else jnp.where(filling, -jnp.inf, logits)
    largest = shards.largest(jnp.max(known, axis=-1, keepdims=True), cut)
    exps = jnp.exp(known - largest)
    norm = jnp.sum(exps, axis=-1, keepdims=True)
    places, own = shards.own_places(targets, kernel.shape[-1], cut)
    target = jnp.take_along_axis(logits, places[..., None], axis=-1)[..., 0]
    mean = mean_logit(logits, filling, cut) if label_smoothing else None
    if own is not None:
        parts = [norm[..., 0], jnp.where(own, target, 0.0)]
        parts += [] if mean is None else [mean]
        # Stacked, so that they are one all-reduce whatever the compiler joins.
        total, target, *rest = shards.summed(jnp.stack(parts), cut)
        norm, mean = total[..., None], rest[0] if rest else None
    lse = (jnp.log(norm) + largest)[..., 0]
    nll = lse - target
    loss = nll
    if mean is not None:
        smooth = lse - mean
        loss = (1.0 - label_smoothing) * nll + label_smoothing * smooth
    sums = Sums(
        loss=jnp.sum(jnp.where(mask, loss, 0.0)),
        nll=jnp.sum(jnp.where(mask, nll, 0.0)),
        correct=jnp.sum(mask & (target >= largest[..., 0])).astype(jnp.float32),
        weight=jnp.sum(mask).astype(jnp.float32),
    )
    return sums, (exps, norm)


def mean_logit(
    logits: jax.Array, filling: jax.Array | None, cut: Shards | None
) -> jax.Array:
    """This device's share of the mean `[...]` over the whole vocabulary."""
    if cut is None:
        return jnp.mean(logits, axis=-1)
    known = logits if filling is None else jnp.where(filling, 0.0, logits)
    return jnp.sum(known, axis=-1) / cut.size


def chunk_slopes(
    parts: tuple[jax.Array, jax.Array],
    targets: Array,
    mask: Array,
    label_smoothing: float,
    cut: Shards | None,
) -> jax.Array:
    """The loss's gradient in a chunk's logits: softmax - (1 - u) onehot - u / V."""
    exps, norm = parts
    columns = exps.shape[-1]
    size = columns if cut is None else cut.size
    places, own = shards.own_places(targets, columns, cut)
    onehot = jnp.arange(columns) == places[..., None]
    if own is not None:
        onehot &= own[..., None]
    d_logits = exps / norm - label_smoothing / size
    d_logits = d_logits - jnp.where(onehot, 1.0 - label_smoothing, 0.0)
    filling = shards.is_filling(columns, cut)
    real = mask[..., None] if filling is None else mask[..., None] & ~filling
    return jnp.where(real, d_logits, 0.0)


def forward(
    readout: Array,
    kernel: Array,
    bias: Array,
    targets: Array,
    mask: Array,
    label_smoothing: float,
    cut: Shards | None,
) -> tuple[Sums, tuple]:
    """The sums and the loss's gradient."""
    size = kernel.shape[-1]

    def add(totals: tuple, chunk: tuple, number: jax.Array) -> tuple:
        d_kernel, d_bias, d_readout, total = totals
        x, y, real = chunk
        sums, parts = chunk_sums(x, y, real, kernel, bias, label_smoothing, cut)
        d_logits = chunk_slopes(parts, y, real, label_smoothing, cut)
        d_kernel = d_kernel + layers.summed_products(
            x.astype(kernel.dtype), d_logits.astype(kernel.dtype)
        )
        d_x = layers.matmul(d_logits, kernel.T)
        return (
            d_kernel,
            d_bias + d_logits.sum(0),
            d_readout.at[number].set(d_x),
            jax.tree.map(jnp.add, total, sums),
        )

    # Zeros made from data vary over devices as the data does.
    zeros = partial(jnp.zeros_like, readout, dtype=jnp.float32)
    chunks, places = ordered_chunks(readout, targets, mask, size)
    rows = zeros(shape=chunks[0].shape)
    slopes = zeros(shape=kernel.shape), zeros(shape=size), rows
    first = *shards.different(slopes, cut), no_sums(readout)
    count = shards.longest(jnp.sum(mask), cut)
    d_kernel, d_bias, rows, sums = fold(add, first, chunks, count)
    d_readout = shards.summed(rows, cut).reshape(-1, readout.shape[-1])[places]
    d_readout = d_readout.reshape(readout.shape).astype(readout.dtype)
    return sums, (d_readout, d_kernel.astype(kernel.dtype), d_bias)


def backward(
    label_smoothing: float, cut: Shards | None, gradients: tuple, cotangent: Sums
) -> tuple:
    """The stored gradients times the loss's cotangent; ids and mask have none."""
    scaled = jax.tree.map(lambda g: g * cotangent.loss.astype(g.dtype), gradients)
    return (*scaled, None, None)


linear_cross_entropy.defvjp(forward, backward)
