"""Heads: from the readout to a distribution and its loss, by name in `HEADS`."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax.nn import layers
from seq2seq_jax.types import Array, Params, Sums


class Head(NamedTuple):
    """One kind of output.

    Attributes:
        init: `(key, readout_size, target_size, initializers, tied) -> params`.
        apply: `(params, readout [..., R], table=None) -> outputs`; a `table [V, E]`
            takes the place of the head's own matrix (tied embeddings).
        loss: `(outputs, targets, mask, label_smoothing) -> Sums`.
    """

    init: Callable[..., Params]
    apply: Callable[..., jax.Array]
    loss: Callable[..., Sums]


def vocabulary_init(
    key: jax.Array,
    readout_size: int,
    target_size: int,
    inits: layers.Initializers,
    tied: bool,
) -> Params:
    """`[R, V]` and a bias; only the bias where the embeddings serve as the matrix."""
    params = layers.dense_init(key, readout_size, target_size, inits.kernel)
    return {"bias": params["bias"]} if tied else params


def vocabulary(params: Params, readout: Array, table: Array | None = None) -> jax.Array:
    """Logits `[..., V]` = readout W + b; tied: readout E^T + b (Press & Wolf 2017).

    >>> vocabulary({"bias": jnp.zeros(3)}, jnp.ones(2), table=jnp.ones((3, 2))).tolist()
    [2.0, 2.0, 2.0]
    """
    kernel = params["kernel"] if table is None else table.T
    return layers.matmul(readout, kernel) + params["bias"]


def cross_entropy(
    logits: Array, targets: Array, mask: Array, label_smoothing: float = 0.0
) -> Sums:
    """Sums over real tokens of the label-smoothed cross-entropy (Szegedy et al. 2016).

    With smoothing u, the target distribution is (1 - u) on the target plus u / V on
    every
    token: loss = lse - (1 - u) logit_y - u mean(logits), lse = log sum exp. A
        prediction counts as correct where no logit is above the target's.

    Args:
        logits: `[..., V]`.
        targets: `[...]` ids.
        mask: `[...]` bool.
        label_smoothing: u.

    >>> sums = cross_entropy(jnp.zeros((1, 4)), jnp.array([2]), jnp.array([True]))
    >>> print(f"{sums.nll:.4f}", sums.weight)
    1.3863 1.0
    """
    largest = jax.lax.stop_gradient(jnp.max(logits, axis=-1))
    lse = jnp.log(jnp.sum(jnp.exp(logits - largest[..., None]), axis=-1)) + largest
    target = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    nll = lse - target
    smooth = lse - jnp.mean(logits, axis=-1) if label_smoothing else nll
    loss = (1.0 - label_smoothing) * nll + label_smoothing * smooth
    return Sums(
        loss=jnp.sum(jnp.where(mask, loss, 0.0)),
        nll=jnp.sum(jnp.where(mask, nll, 0.0)),
        correct=jnp.sum(jnp.where(mask, target >= largest, False).astype(jnp.float32)),
        weight=jnp.sum(mask.astype(jnp.float32)),
    )


HEADS = {"vocabulary": Head(vocabulary_init, vocabulary, cross_entropy)}
