"""When the beam search of a row is over.

By the rule `ahead`, once K hypotheses have ended and the best of them is at least as
good as the best living one, each by log P over lp of its length so far. K alone are not
enough (the rule `ended`, of fairseq and others): a vocabulary of letters has time for K
early ends before a long word is said, and beams found worse German forms than greedy
search did. A beam of 1 is plain greedy search: what it ends with was better than any
other continuation.

A row also stops as soon as nothing alive can still enter the `n_best` best, which the
first results do not depend on. Let a hypothesis be alive with log-probability L <= 0,
and let M be the largest lp of the lengths that it can still end with. However it goes
on, to Y, log P(Y) <= L, since log-probabilities never rise; and cp(Y) <= 0. So

    s(Y) <= log P(Y) / lp(|Y|) <= L / lp(|Y|) <= L / M

and with the largest L of the row, one number bounds all that may come. Once the worst
of the `n_best` best scores reaches it, nothing more can enter. This is exact: the first
results depend neither on `n_best` nor on the other rows of the batch.

By `first`, OpenNMT-py's rule, a row stops at the first step whose best continuation is
an ending. What would have ended later, and might have scored better by its mean, is not
found; so that rule is for a single output.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from seq2seq_jax.inference.beams import Finished, Rules


class Standing(NamedTuple):
    """How a row's search stands after a step.

    Attributes:
        finished: the ended hypotheses.
        enough: `[B]` whether K have ended.
        first_ends: `[B]` whether the best continuation of this step is an ending.
        ahead: `[B]` the best living log-probability over its length's penalty.
        bounds: `[B]` what the living can score at most.
    """

    finished: Finished
    enough: jax.Array
    first_ends: jax.Array
    ahead: jax.Array
    bounds: jax.Array


def none_ahead(rules: Rules, now: Standing) -> jax.Array:
    """`[B]`: K have ended and no living one is ahead, or nothing more enters."""
    lengths = jnp.maximum(now.finished.lengths, 1)
    ended = (now.finished.log_probs / rules.divisors[lengths - 1]).max(axis=1)
    return now.enough & (ended >= now.ahead) | nothing_enters(rules, now)


def enough_ended(rules: Rules, now: Standing) -> jax.Array:
    """`[B]`: K have ended, or nothing more enters."""
    return now.enough | nothing_enters(rules, now)


def nothing_enters(rules: Rules, now: Standing) -> jax.Array:
    """`[B]`: nothing alive can still enter the `n_best` best; see the module's text."""
    return now.finished.scores[:, rules.n_best - 1] >= now.bounds


def first_ended(rules: Rules, now: Standing) -> jax.Array:
    """`[B]`: the best continuation of this step is an ending, or K have ended."""
    return now.enough | now.first_ends


# When a row stops, before its limit.
STOPS: dict[str, Callable[[Rules, Standing], jax.Array]] = {
    "ahead": none_ahead,
    "ended": enough_ended,
    "first": first_ended,
}


def largest_ahead(divisors: jax.Array, limits: jax.Array) -> jax.Array:
    """`[B, T]`: the largest divisor that `t + 1` tokens can still come to, or 1."""
    lengths = jnp.arange(1, len(divisors) + 1)
    possible = jnp.where(lengths <= limits[:, None], divisors, 0.0)
    largest = lax.cummax(possible, axis=1, reverse=True)
    ahead = jnp.pad(largest[:, 1:], ((0, 0), (0, 1)))
    return jnp.where(ahead > 0, ahead, 1.0)
