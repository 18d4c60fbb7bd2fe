"""Length penalties: functions of lengths to what log-probabilities are divided by.

A length counts EOS. Divisors are positive; larger ones favour longer hypotheses.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

LengthPenalty = Callable[[jax.Array], jax.Array]


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
