"""What an output may say: constraints on any search, as a step function round another.

    step(shared, state, tokens) -> (state, log_probs, weights)

becomes one that remembers what each hypothesis has said and gives -inf to what it may
not say next. What may be said keeps the model's own log-probability, so scores are
those of `score`, and a constraint that forbids nothing changes nothing. The repetition
penalty alone bends what is left: what was said before is said again at a price.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax.inference.beams import Step
from seq2seq_jax.types import EOS, PAD, UNK, Array


class Constraints(NamedTuple):
    """What is asked of the outputs of each row; None: nothing.

    Attributes:
        least: `[B]` ints, the smallest lengths, EOS included. Where nothing but EOS may
            be said, it may be, however short.
        prefix: `[B, P]` ids that outputs begin with, `PAD` behind them. They may be
            said whatever else is asked.
        wanted: `[B, W]` phrases that outputs hold, for `holding.holding_search`.
    """

    least: Array | None = None
    prefix: Array | None = None
    wanted: Array | None = None


class Manners(NamedTuple):
    """What is asked of the outputs of all rows alike.

    Attributes:
        ngram: n, so that no n tokens stand twice in an output in one order; 0: off.
        banned: `[V]` which ids are never said; or None.
        phrases: `[F, L]` ids that never stand in an output in that order, two or more
            of them, `PAD` before them; or None.
        repetition: theta of Keskar et al. 2019: log p of what was said before counts
            theta times; above 1 against repetition. None: 1.
    """

    ngram: int = 0
    banned: Array | None = None
    phrases: Array | None = None
    repetition: Array | None = None


FREE = Constraints()
ANYHOW = Manners()


class Saying(NamedTuple):
    """A hypothesis under constraints.

    Attributes:
        state: what the model carries.
        said: `[..., T + 1]` its tokens, BOS first, `PAD` behind them.
        length: `[...]` how many they are, BOS counted: the length if it ended now.
    """

    state: Any
    said: jax.Array
    length: jax.Array


def constrained(
    step: Step,
    shared: Any,
    state: Any,
    max_length: int,
    asked: Constraints = FREE,
    manners: Manners = ANYHOW,
) -> tuple[Step, Any, Any]:
    """A step function under constraints, what its rows share, and their first state.

    Args:
        step: of the model.
        shared: of `[B, ...]`, as a search takes it.
        state: of `[B, ...]`, before the first step.
        max_length: T, tokens of an output, EOS included, at most.
        asked: of each row.
        manners: of all rows.
    """
    rows = jax.tree.leaves(state)[0].shape[0]
    said = jnp.full((rows, max_length + 1), PAD, jnp.int32)
    first = Saying(state, said, jnp.zeros(rows, jnp.int32))

    def advance(both: Any, before: Saying, tokens: jax.Array) -> tuple:
        shared, asked = both
        state, log_probs, weights = step(shared, before.state, tokens)
        here = jnp.arange(before.said.shape[-1]) == before.length[..., None]
        said = jnp.where(here, tokens[..., None], before.said)
        count = before.length + 1
        size = log_probs.shape[-1]
        banned = unmannerly(said, count, manners, size)
        if asked.least is not None:
            short = (count < asked.least[:, None]) & ~banned[..., UNK:].all(axis=-1)
            banned |= short[..., None] & (jnp.arange(size) == EOS)
        if asked.prefix is not None:
            wanted, there = prefix_token(count, asked.prefix)
            others = jnp.arange(size) != wanted[..., None]
            banned = jnp.where(there[..., None], others, banned)
        if manners.repetition is not None:
            again = repeats(said, count, 1, size)
            log_probs *= jnp.where(again, manners.repetition, 1.0)
        log_probs = jnp.where(banned, -jnp.inf, log_probs)
        return Saying(state, said, count), log_probs, weights

    return advance, (shared, asked), first


def unmannerly(
    said: jax.Array, count: jax.Array, manners: Manners, size: int
) -> jax.Array:
    """`[..., V]`: what no output may say next; arguments as those of `repeats`."""
    banned = jnp.zeros((*count.shape, size), bool)
    if manners.ngram:
        banned |= repeats(said, count, manners.ngram, size)
    if manners.banned is not None:
        known = jnp.asarray(manners.banned)  # what is copied stands behind it
        banned |= jnp.pad(known, (0, size - len(known)))
    if manners.phrases is not None:
        banned |= completes(said, count, manners.phrases, size)
    return banned


def completes(
    said: jax.Array, count: jax.Array, phrases: Array, size: int
) -> jax.Array:
    """`[..., V]`: what would complete one of the phrases `[F, L]`, `PAD` before them.

    >>> said, phrases = jnp.array([1, 5, 6, 0]), jnp.array([[0, 6, 7], [6, 6, 4]])
    >>> jnp.flatnonzero(completes(said, jnp.array(3), phrases, 9)).tolist()
    [7]
    """
    longest = phrases.shape[-1]
    place = count[..., None] - jnp.arange(longest - 1, 0, -1)
    recent = jnp.take_along_axis(said, jnp.maximum(place, 0), axis=-1)
    recent = jnp.where(place > 0, recent, -1)[..., None, :]  # BOS begins no phrase
    begun = phrases[:, :-1]
    same = ((recent == begun) | (begun == PAD)).all(axis=-1)
    return marked(jnp.where(same, phrases[:, -1], size), size)


def repeats(said: jax.Array, count: jax.Array, n: int, size: int) -> jax.Array:
    """`[..., V]`: what would end n tokens that were said in that order before.

    Paulus et al. 2018, section 2.5, for n = 3. EOS ends no such n-gram.

    Args:
        said: `[..., T + 1]`, BOS first.
        count: `[...]` how many of them are said.
        n: 1 or more; 1: no token twice.
        size: V.

    >>> said = jnp.array([1, 5, 6, 5, 0])
    >>> jnp.flatnonzero(repeats(said, jnp.array(4), 2, 8)).tolist()
    [6]
    """
    longest = said.shape[-1]
    ends = jnp.arange(n - 1, longest)  # of the n-grams before
    same = ends < count[..., None]
    for back in range(1, n):  # token `back` before the end, and before the next one
        place = jnp.maximum(count - back, 0)[..., None]
        recent = jnp.take_along_axis(said, place, axis=-1)
        same &= said[..., n - 1 - back : longest - back] == recent
    marks = marked(jnp.where(same, said[..., n - 1 :], size), size)
    return marks.at[..., EOS].set(False)


def marked(ids: jax.Array, size: int) -> jax.Array:
    """`[..., V]` with true at each of `ids` `[..., N]`; `size` itself marks nothing."""
    flat = ids.reshape(-1, ids.shape[-1])
    marks = jnp.zeros((flat.shape[0], size), bool)
    marks = marks.at[jnp.arange(len(flat))[:, None], flat].set(True, mode="drop")
    return marks.reshape(*ids.shape[:-1], size)


def prefix_token(count: jax.Array, prefix: Array) -> tuple[jax.Array, jax.Array]:
    """The next token of `prefix` `[B, P]` for `[B, K]`, and whether there is one."""
    longest = prefix.shape[-1]
    place = jnp.minimum(count - 1, longest - 1)
    wanted = jnp.take_along_axis(prefix, place, axis=-1)
    return wanted, (count <= longest) & (wanted != PAD)
