"""What an output may say: constraints on any search, as a step function round another.

    step(shared, state, tokens) -> (state, log_probs, weights)

becomes one that remembers what each hypothesis has said and gives -inf to what it may
not say next. What may be said keeps the model's own log-probability, so scores are
those of `score`, and a constraint that forbids nothing changes nothing.
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
    """

    least: Array | None = None
    prefix: Array | None = None


FREE = Constraints()


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
    step: Step, shared: Any, state: Any, max_length: int, asked: Constraints, ngram: int
) -> tuple[Step, Any, Any]:
    """A step function under constraints, what its rows share, and their first state.

    Args:
        step: of the model.
        shared: of `[B, ...]`, as a search takes it.
        state: of `[B, ...]`, before the first step.
        max_length: T, tokens of an output, EOS included, at most.
        asked: of each row.
        ngram: n, so that no n tokens stand twice in an output in one order; 0: off.
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
        banned = jnp.zeros(log_probs.shape, bool)
        if ngram:
            banned |= repeats(said, count, ngram, size)
        if asked.least is not None:
            short = (count < asked.least[:, None]) & ~banned[..., UNK:].all(axis=-1)
            banned |= short[..., None] & (jnp.arange(size) == EOS)
        if asked.prefix is not None:
            wanted, there = prefix_token(count, asked.prefix)
            others = jnp.arange(size) != wanted[..., None]
            banned = jnp.where(there[..., None], others, banned)
        log_probs = jnp.where(banned, -jnp.inf, log_probs)
        return Saying(state, said, count), log_probs, weights

    return advance, (shared, asked), first


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
    ids = jnp.where(same, said[..., n - 1 :], size)
    flat = ids.reshape(-1, ids.shape[-1])
    marks = jnp.zeros((flat.shape[0], size), bool)
    marks = marks.at[jnp.arange(len(flat))[:, None], flat].set(True, mode="drop")
    return marks.reshape(*said.shape[:-1], size).at[..., EOS].set(False)


def prefix_token(count: jax.Array, prefix: Array) -> tuple[jax.Array, jax.Array]:
    """The next token of `prefix` `[B, P]` for `[B, K]`, and whether there is one."""
    longest = prefix.shape[-1]
    place = jnp.minimum(count - 1, longest - 1)
    wanted = jnp.take_along_axis(prefix, place, axis=-1)
    return wanted, (count <= longest) & (wanted != PAD)
