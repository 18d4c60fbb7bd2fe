"""Heads for numbers: a mean, a Gaussian, or quantiles of each target.

Their outputs are `[..., M, W]`: W numbers of each of M targets. A target that is NaN is
missing: it has no loss, and no gradient comes of it.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from seq2seq_jax.nn import layers
from seq2seq_jax.types import Array, Params, Sums

LEAST = 1e-3  # a deviation's smallest value, so that no likelihood is infinite
LOG_2PI = 1.8378770664093453


def init(
    key: jax.Array,
    readout_size: int,
    target_size: int,
    inits: layers.Initializers,
    tied: bool,
    width: int,
) -> Params:
    """`width` layers `[R, M]`, each with a bias; nothing can be tied."""
    keys = jax.random.split(key, width)
    sizes = readout_size, target_size, inits.output
    return {"parts": [layers.dense_init(each, *sizes) for each in keys]}


def numbers(params: Params, readout: Array) -> jax.Array:
    """Every part's `[..., M]` side by side: `[..., M, W]`, float32 or wider."""
    return jnp.stack([layers.dense(part, readout) for part in params["parts"]], -1)


def mean(params: Params, readout: Array, table: None = None) -> jax.Array:
    """Means `[..., M, 1]` = readout W + b.

    >>> part = {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}
    >>> mean({"parts": [part]}, jnp.ones(2))[:, 0].tolist()
    [2.0, 2.0, 2.0]
    """
    return numbers(params, readout)


def gaussian(params: Params, readout: Array, table: None = None) -> jax.Array:
    """Means and deviations `[..., M, 2]`: mu = r W + b, sigma = log(1 + exp(r V + c)).

    Salinas et al. 2020 (DeepAR), section 3.1. No deviation is below `LEAST`.

    >>> part = {"kernel": jnp.zeros((2, 1)), "bias": jnp.zeros(1)}
    >>> mu, sigma = gaussian({"parts": [part, part]}, jnp.ones(2))[0]
    >>> print(f"{mu:.1f} {sigma:.4f}")
    0.0 0.6941
    """
    mu, raw = jnp.moveaxis(numbers(params, readout), -1, 0)
    return jnp.stack([mu, LEAST + jax.nn.softplus(raw)], -1)


def quantiles(params: Params, readout: Array, table: None = None) -> jax.Array:
    """Quantiles `[..., M, W]` at `levels(W)`, as the layers have them, in no order."""
    return numbers(params, readout)


def levels(width: int) -> jax.Array:
    """The levels of W quantiles, evenly spaced: k / (W + 1).

    >>> levels(3).tolist()
    [0.25, 0.5, 0.75]
    """
    return jnp.arange(1, width + 1) / (width + 1)


def squared_error(outputs: jax.Array, target: jax.Array) -> jax.Array:
    """(y - mu)^2 of targets `[..., M]`."""
    return (target - outputs[..., 0]) ** 2


def gaussian_nll(outputs: jax.Array, target: jax.Array) -> jax.Array:
    """-log N(y; mu, sigma^2) = log sigma + ((y - mu) / sigma)^2 / 2 + log(2 pi) / 2.

    >>> print(f"{gaussian_nll(jnp.array([[0.0, 1.0]]), jnp.zeros(1))[0]:.4f}")
    0.9189
    """
    mu, sigma = outputs[..., 0], outputs[..., 1]
    return jnp.log(sigma) + ((target - mu) / sigma) ** 2 / 2 + LOG_2PI / 2


def pinball(outputs: jax.Array, target: jax.Array) -> jax.Array:
    """The mean over levels of 2 max(q (y - f), (q - 1) (y - f)).

    Koenker & Bassett 1978; twice it, so that of the median alone it is |y - f|.

    >>> pinball(jnp.array([[1.0]]), jnp.array([3.0])).tolist()
    [2.0]
    """
    q = levels(outputs.shape[-1])
    error = target[..., None] - outputs
    return jnp.mean(2 * jnp.maximum(q * error, (q - 1) * error), -1)


def first(outputs: jax.Array) -> jax.Array:
    """The mean `[..., M]`."""
    return outputs[..., 0]


def median(outputs: jax.Array) -> jax.Array:
    """The middle one `[..., M]` of an odd number of quantiles."""
    return outputs[..., outputs.shape[-1] // 2]


def scores_of(
    each: Callable[[jax.Array, jax.Array], jax.Array],
) -> Callable[..., Sums]:
    """A head's `score`: the sums of its outputs, from a target's own loss."""

    def score(outputs: jax.Array, targets: Array, mask: Array) -> Sums:
        """Sums over targets `[..., M]` that are there, of outputs `[..., M, W]`."""
        real = mask[..., None] & ~jnp.isnan(targets)
        # Before the loss: where a NaN went in, a gradient of 0 would come out as NaN.
        known = jnp.where(real, targets, 0.0)
        lost = jnp.where(real, each(outputs, known), 0.0).sum()
        return Sums(lost, lost, jnp.zeros_like(lost), real.sum(dtype=lost.dtype))

    return score


def losses_of(
    apply: Callable[..., jax.Array], score: Callable[..., Sums]
) -> Callable[..., Sums]:
    """A head's `loss` from its outputs and their score."""

    def loss(
        params: Params,
        readout: Array,
        targets: Array,
        mask: Array,
        label_smoothing: float = 0.0,
        table: None = None,
        cut: None = None,
    ) -> Sums:
        """Sums over targets that are there; nothing is smoothed, tied or cut."""
        return score(apply(params, readout), targets, mask)

    return loss
