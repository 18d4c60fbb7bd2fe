"""Beam search for outputs that hold given phrases, over any step function.

Dynamic beam allocation (Post & Vilar 2018), with another table of what was said. A
phrase of L tokens is held where they stand in the output one after the other. Of each
phrase a hypothesis notes which beginnings of it are the end of what was said (Shift-And
of Baeza-Yates & Gonnet 1992: a phrase that is broken off starts again from wherever it
can), and whether it is held. Of the N tokens of all phrases it has said

    n = sum over phrases that are held of L  +  the longest beginning of another one

so N - n more tokens would hold all of them, and n is the hypothesis's bank. A step's
candidates are the best continuations of each hypothesis and all that say a token of a
phrase. Each bank that has any gets an equal share of the K places, the highest first
where they do not come out even; of more banks than places those have one that are
evenly apart, the highest always. What a bank cannot fill goes to the best of others.

EOS may be said where all phrases are held, and a token where the rest still fits into
the row's limit after it: each output holds its phrases, unless its limit or another
constraint lets none (phrases count as if they stood apart, though some may overlap).
Then, and only then, what is asked in vain is not asked for.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from seq2seq_jax.inference.beams import (
    Beam,
    Rules,
    Step,
    allowed,
    first_beam,
    make_rules,
    pick,
    run,
)
from seq2seq_jax.inference.constraints import marked
from seq2seq_jax.inference.search import Continued, moved
from seq2seq_jax.inference.stopping import largest_ahead
from seq2seq_jax.inference.topk import top_k
from seq2seq_jax.types import EOS, PAD, Array, Hypotheses


class Phrases(NamedTuple):
    """The phrases of each row, one behind the other with a `PAD` between them.

    Attributes:
        ids: `[B, W]` their tokens.
        starts, ends: `[B, W]` where a phrase starts, and its last token.
        sizes: `[B, W]` tokens of the phrase up to this one; 0 at `PAD`.
        last: `[B, W]` the place of the phrase's last token.
    """

    ids: jax.Array
    starts: jax.Array
    ends: jax.Array
    sizes: jax.Array
    last: jax.Array


class Holding(NamedTuple):
    """A hypothesis that is to hold phrases.

    Attributes:
        state: what the step function under it carries.
        length: `[...]` tokens said, BOS counted: the length if it ended now.
        running: `[..., W]` whether the phrase up to there is what was said last.
        held: `[..., W]` at a phrase's last token: whether it was ever said.
    """

    state: Any
    length: jax.Array
    running: jax.Array
    held: jax.Array


def holding_search(
    step: Step,
    shared: Any,
    state: Any,
    limits: jax.Array,
    *,
    wanted: Array,
    n_best: int,
    **terms: Any,
) -> Hypotheses:
    """The `n_best` best that hold their row's phrases; without any, `beam_search`.

    Args:
        step, shared, state, limits, n_best: as in `beam_search`.
        wanted: `[B, W]` the phrases of each row, `PAD` between and behind them.
        terms: `beam_size`, `max_length` and others of `beams.make_rules`, but for
            `places` and `prune`, and `stop` is exact.
    """
    rules = make_rules(limits, shared, n_best=n_best, **terms)
    phrases = phrases_of(jnp.asarray(wanted))
    shared = shared, phrases, rules.limits
    rules, state = rules._replace(shared=shared), first_of(state, phrases)
    under = partial(hold, step)
    own = largest_ahead(rules.divisors, rules.limits), phrases
    first = first_beam(under, rules, state)
    first = advance(partial(under, shared), rules, own, first)
    return run(advance, under, rules, own, first)


def phrases_of(ids: jax.Array) -> Phrases:
    """What is read of phrases `[B, W]`.

    >>> print(phrases_of(jnp.array([[7, 5, 0, 6]])).sizes)
    [[1 2 0 1]]
    """
    here, real = jnp.arange(ids.shape[-1]), ids != PAD
    starts = real & ~jnp.pad(real, ((0, 0), (1, 0)))[:, :-1]
    ends = real & ~jnp.pad(real, ((0, 0), (0, 1)))[:, 1:]
    begun = lax.cummax(jnp.where(starts, here, 0), axis=1)
    last = jnp.where(ends, here, ids.shape[-1] - 1)
    sizes = jnp.where(real, here - begun + 1, 0)
    return Phrases(ids, starts, ends, sizes, lax.cummin(last, axis=1, reverse=True))


def first_of(state: Any, phrases: Phrases) -> Holding:
    """Of `[B, ...]`, before the first step."""
    nothing = jnp.zeros(phrases.ids.shape, bool)
    return Holding(state, jnp.zeros(len(nothing), jnp.int32), nothing, nothing)


def hold(step: Step, shared: Any, before: Holding, tokens: jax.Array) -> tuple:
    """A step function round another, which bans what leaves no room for the phrases."""
    inner, phrases, limits = shared
    state, log_probs, weights = step(inner, before.state, tokens)
    each = jax.vmap(jax.vmap(follow, (None, 0, 0, 0)))
    running, held = each(phrases, before.running, before.held, tokens)
    now = Holding(state, before.length + 1, running, held)
    return now, with_room(log_probs, now, phrases, limits), weights


def follow(
    phrases: Phrases, running: jax.Array, held: jax.Array, token: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """`running` and `held` of one hypothesis `[W]` with one more token."""
    goes_on = phrases.starts | jnp.pad(running, (1, 0))[:-1]
    running = (phrases.ids == token) & (phrases.sizes > 0) & goes_on
    return running, held | (running & phrases.ends)


def said(phrases: Phrases, running: jax.Array, held: jax.Array) -> jax.Array:
    """n of one hypothesis."""
    begun = jnp.where(running & ~held[phrases.last], phrases.sizes, 0)
    return jnp.where(held, phrases.sizes, 0).sum() + begun.max()


def said_with(now: Holding, phrases: Phrases) -> jax.Array:
    """`[B, K, W]`: n of each hypothesis with each token of a phrase behind it."""

    def one(
        phrases: Phrases, running: jax.Array, held: jax.Array, token: jax.Array
    ) -> jax.Array:
        return said(phrases, *follow(phrases, running, held, token))

    each = jax.vmap(one, (None, None, None, 0))
    of_rows = jax.vmap(jax.vmap(each, (None, 0, 0, None)))
    return of_rows(phrases, now.running, now.held, phrases.ids)


def said_without(now: Holding, phrases: Phrases) -> jax.Array:
    """`[B, K]`: n with any other token behind it: what is begun is broken off."""
    return jnp.where(now.held, phrases.sizes[:, None], 0).sum(axis=-1)


def with_room(
    log_probs: jax.Array, now: Holding, phrases: Phrases, limits: jax.Array
) -> jax.Array:
    """`[B, K, V]`, -inf for what leaves no room, and for EOS while phrases are left.

    What would leave nothing to say bans nothing.
    """
    size, there = log_probs.shape[-1], phrases.sizes > 0
    total, without = there.sum(axis=-1)[:, None], said_without(now, phrases)
    left = limits[:, None] - now.length  # tokens behind the next one, EOS included
    others = total - without < left
    own = total[..., None] - said_with(now, phrases) < left[..., None]
    ids = jnp.where(own & there[:, None], phrases.ids[:, None], size)
    fits = others[..., None] | marked(ids, size)
    ends = ((without == total) | (left <= 0))[..., None]
    bound = jnp.where(
        jnp.where(jnp.arange(size) == EOS, ends, fits), log_probs, -jnp.inf
    )
    some = (bound[..., EOS:] > -jnp.inf).any(axis=-1, keepdims=True)
    return jnp.where(some, bound, log_probs)


def advance(
    step: Callable[..., tuple],
    rules: Rules,
    own: tuple[jax.Array, Phrases],
    beam: Beam,
) -> Beam:
    """One step of the search; `own` is what `largest_ahead` gives, and the phrases."""
    (ahead, phrases), size = own, rules.beam_size
    state, log_probs, weights = step(beam.state, beam.tokens)
    totals = beam.log_probs[..., None] + allowed(log_probs, rules, beam.time)
    every, banks = candidates(totals, state, phrases, size)
    there = every.log_probs > -jnp.inf
    ending = every.tokens == rules.eos
    most = phrases.ids.shape[-1]
    best = chosen(every, allotted(banks, there, size, most))
    lives = chosen(every, allotted(banks, there & ~ending, size, most))
    alive = jnp.where(lives.tokens == rules.eos, -jnp.inf, lives.log_probs)
    lives = lives._replace(log_probs=alive)
    ends = (best.tokens == rules.eos) & ~beam.done[:, None]
    return moved(rules, ahead, beam, (state, weights), ends, best, lives)


def candidates(
    totals: jax.Array, now: Holding, phrases: Phrases, size: int
) -> tuple[Continued, jax.Array]:
    """Continuations, best first, and their banks, from log-probabilities `[B, J, V]`.

    Tokens of phrases are candidates of every hypothesis; of the others those that are
    among its own 2K best, so the 2K best of all are there.
    """
    rows, beams, vocabulary = totals.shape
    ids, width = phrases.ids, phrases.ids.shape[-1]
    real = phrases.sizes > 0
    again = (ids[:, :, None] == ids[:, None]) & jnp.tril(
        jnp.ones((width, width), bool), -1
    )
    first = (real & ~again.any(axis=-1))[:, None]
    places = jnp.broadcast_to(ids[:, None], (rows, beams, width))
    own = jnp.take_along_axis(totals, jnp.where(real[:, None], places, 0), axis=-1)
    taken = marked(jnp.where(real, ids, vocabulary), vocabulary)[:, None]
    others, tokens = top_k(
        jnp.where(taken, -jnp.inf, totals), min(2 * size, vocabulary)
    )
    without = said_without(now, phrases)[..., None]
    parts = (
        (others, jnp.where(first, own, -jnp.inf)),
        (tokens, places),
        (jnp.broadcast_to(without, others.shape), said_with(now, phrases)),
        tuple(
            jnp.broadcast_to(jnp.arange(beams)[:, None], x.shape)
            for x in (others, places)
        ),
    )
    flat = [jnp.concatenate(pair, axis=-1).reshape(rows, -1) for pair in parts]
    missing = max(0, size - flat[0].shape[1])
    fills = (-jnp.inf, PAD, 0, 0)
    scores, tokens, banks, parents = (
        jnp.pad(x, ((0, 0), (0, missing)), constant_values=fill)
        for x, fill in zip(flat, fills, strict=True)
    )
    order = jnp.argsort(-scores, axis=-1, stable=True)
    scores, parents, tokens, banks = (
        pick(x, order) for x in (scores, parents, tokens, banks)
    )
    return Continued(scores, parents, tokens), banks


def allotted(banks: jax.Array, there: jax.Array, size: int, most: int) -> jax.Array:
    """`[B, K]`: which candidates get the K places, in their order, others behind them.

    Args:
        banks: `[B, N]` of candidates, best first, 0 to `most`.
        there: `[B, N]` which of them can have a place.
        size: K.
        most: the highest bank that there can be.

    >>> banks, there = jnp.array([[0, 0, 0, 0, 1, 3]]), jnp.ones((1, 6), bool)
    >>> allotted(banks, there, 4, 3).tolist()  # one each, and the best of the rest
    [[0, 1, 4, 5]]
    """
    member = (banks[..., None] == jnp.arange(most + 1)) & there[..., None]
    rank = jnp.cumsum(member, axis=1) - 1
    filled = member.any(axis=1)
    above = jnp.cumsum(filled[:, ::-1], axis=1)[:, ::-1] - filled
    count = jnp.maximum(filled.sum(axis=1, keepdims=True), 1)
    share = -(-(above + 1) * size // count) + (-above * size // count)
    own = jnp.take_along_axis(rank, banks[..., None], axis=2)[..., 0]
    within = own < jnp.take_along_axis(share, banks, axis=1)
    number = jnp.arange(banks.shape[1])
    worth = jnp.where(there, 1 + within, 0) * len(number) - number
    places = lax.top_k(worth, size)[1]
    # What fills the beam up without having a place stands behind all that has one.
    return pick(
        places, jnp.argsort(jnp.where(pick(there, places), places, len(number)))
    )


def chosen(every: Continued, places: jax.Array) -> Continued:
    """Those at `[B, K]`."""
    return Continued(*(pick(x, places) for x in every))
