"""Penalties: what log-probabilities are divided by, and what is added at the end.

A length penalty is a function of lengths, EOS counted, to positive divisors; larger
ones favour longer hypotheses. A coverage penalty is a function of a hypothesis's summed
attention weights, and of which source positions are real, to a number of at most 0.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

LengthPenalty = Callable[[jax.Array], jax.Array]
CoveragePenalty = Callable[[jax.Array, jax.Array], jax.Array]

# The least attention that counts: a position that got none at all would make every
# hypothesis impossible, and their order unknown.
LEAST = 1e-30


def no_penalty(lengths: jax.Array) -> jax.Array:
    """Scores are sums of log-probabilities: short hypotheses win."""
    return jnp.ones_like(lengths)


def gnmt_penalty(alpha: float | jax.Array) -> LengthPenalty:
    """`((5 + |Y|) / 6) ** alpha` (Wu et al. 2016, eq. 14); alpha 0 is no penalty.

    >>> gnmt_penalty(1.0)(jnp.array([1.0, 7.0])).tolist()
    [1.0, 2.0]
    """
    return lambda lengths: ((5.0 + lengths) / 6.0) ** alpha


def average_penalty(alpha: float | jax.Array) -> LengthPenalty:
    """`|Y| ** alpha`; with alpha 1 scores are mean log-probabilities of a token."""
    return lambda lengths: lengths**alpha


def gnmt_coverage(beta: float | jax.Array) -> CoveragePenalty:
    """`beta * sum_i log(min(sum_j p_ij, 1))` (Wu et al. 2016, eq. 14).

    p_ij is the weight of the source's position i when token j was said; j runs over all
    tokens of the hypothesis, EOS too. It costs a hypothesis to leave words out.

    Args:
        beta: 0 or more; the paper's is 0.2.

    Returns:
        Sums of weights over j `[B, K, S]`, and a mask `[B, S]` that is true at the
        source's real positions i, its EOS too, to `[B, K]`.

    >>> coverage = jnp.array([[[2.0, 1.0, 0.0], [1.0, 0.5, 0.0]]])
    >>> print(gnmt_coverage(1.0)(coverage, jnp.array([[True, True, False]])))
    [[ 0. -0.6931472]]
    """

    def penalty(coverage: jax.Array, mask: jax.Array) -> jax.Array:
        logs = jnp.log(jnp.clip(coverage, LEAST, 1.0))
        return beta * jnp.where(mask[:, None], logs, 0.0).sum(-1)

    return penalty


# What a length penalty is made from: alpha.
LENGTH_PENALTIES: dict[str, Callable[[float | jax.Array], LengthPenalty]] = {
    "gnmt": gnmt_penalty,
    "average": average_penalty,
    "none": lambda alpha: no_penalty,
}
