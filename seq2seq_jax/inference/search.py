"""Greedy search, beam search and sampling over any step function, wholly inside jit.

A step function reads the last tokens and says how probable each next token is:

    step(shared, state, tokens [B, K])
        -> (state, log_probs [B, K, V], weights [B, K, S])

`state` is any pytree of arrays `[B, K, ...]`; `shared`, of arrays `[B, ...]`, is what
the hypotheses of a row have in common (the encoder's output), never copied K times.
`weights` says where the step looked. Wrap `step` to change what may be said.

**What beam search finds.** Each step keeps the K best unfinished hypotheses of a row.
Of all continuations the 2K best are looked at: an end marker among the K best of them
ends its hypothesis, and the K best others live on, so endings never starve the beam. A
hypothesis one token short of its row's limit can only be ended: every result ends with
EOS, and its log-probability is the model's own for just those tokens. Ended ones are
ranked by (Wu et al. 2016, eq. 14)

    s(Y) = log P(Y) / lp(|Y|) + cp(Y),    lp > 0,    cp <= 0

where the length counts EOS; of equal ones the first found comes first. The penalties
lp and cp rank what has ended and nothing else: living hypotheses of a row have one
length, and what they leave out they may still say, so they go by log P alone.

`stopping` tells when a row stops, `places` what rules of papers there are for who has a
place in the beam.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from seq2seq_jax.inference.beams import (
    Beam,
    Finished,
    Rules,
    Step,
    allowed,
    covered,
    ending_now,
    first_beam,
    make_rules,
    pick,
    record,
    run,
)
from seq2seq_jax.inference.draws import draw, narrowed
from seq2seq_jax.inference.places import near, near_the_best, outside
from seq2seq_jax.inference.stopping import STOPS, Standing, largest_ahead
from seq2seq_jax.inference.topk import top_k
from seq2seq_jax.types import Hypotheses


def beam_search(
    step: Step,
    shared: Any,
    state: Any,
    limits: jax.Array,
    *,
    n_best: int = 1,
    **terms: Any,
) -> Hypotheses:
    """The `n_best` best hypotheses of each row, best first; see the module's text.

    Args:
        step: see the module's text; its log-probabilities must be at most 0.
        shared, limits: as in `beams.make_rules`.
        state: pytree of `[B, ...]`, the state before the first step.
        n_best: N, at most `beam_size`.
        terms: `beam_size`, `max_length` and the other arguments of `beams.make_rules`.

    Returns:
        Hypotheses with N in place of K. Where a row has fewer (its limit or what is
        forbidden allows no more), the others have length 0 and score -inf.

    Raises:
        ValueError: `n_best` is not between 1 and `beam_size`.
    """
    rules = make_rules(limits, shared, n_best=n_best, **terms)
    ahead = largest_ahead(rules.divisors, rules.limits)
    # All beams would say the same at the first step: it is made by one of them.
    first = first_beam(step, rules, state)
    first = beam_step(functools.partial(step, shared), rules, ahead, first)
    return run(beam_step, step, rules, ahead, first)


def greedy_search(
    step: Step, shared: Any, state: Any, limits: jax.Array, **terms: Any
) -> Hypotheses:
    """The most probable token at each step, up to EOS: a beam of 1 for less work.

    Arguments and result are those of `beam_search` with a `beam_size` of 1. Of equally
    probable tokens both take the one with the lowest id.
    """
    rules = make_rules(limits, shared, beam_size=1, n_best=1, **terms)

    def take_best(own: Any, log_probs: jax.Array, time: jax.Array) -> jax.Array:
        return jnp.argmax(log_probs, axis=-1)

    first = first_beam(step, rules, state)
    return run(functools.partial(lone_step, take_best), step, rules, (), first)


def sample_search(
    step: Step,
    shared: Any,
    state: Any,
    limits: jax.Array,
    keys: jax.Array,
    *,
    samples: int,
    temperature: float | jax.Array = 1.0,
    top_k: jax.Array | None = None,
    top_p: jax.Array | None = None,
    **terms: Any,
) -> Hypotheses:
    """Draw each token from `softmax(log p / temperature)` over what may be said.

    Args:
        step, shared, state, limits: as in `beam_search`.
        keys: `[B]` typed PRNG keys. What a row draws depends on its own key alone, and
            what sample n of it draws on that key and n: neither on the other rows nor
            on how many samples there are.
        samples: N, drawn for each row.
        temperature: 0 or more; 1 draws from the model itself, 0 is greedy search.
        top_k, top_p: draw from the most probable alone, as `draws.narrowed` tells.
        terms: `max_length` and others of `beams.make_rules`; penalties are for the
            scores alone.

    Returns:
        Hypotheses with N in place of K, in the order drawn. Their log-probabilities are
        the model's own, whatever the temperature.
    """
    rules = make_rules(limits, shared, beam_size=samples, n_best=samples, **terms)
    numbers = jnp.arange(samples)
    own = jax.vmap(jax.vmap(jax.random.fold_in, (None, 0)), (0, None))(keys, numbers)
    choose = functools.partial(draw_each, temperature, top_k, top_p)
    first = first_beam(step, rules, state, samples)
    return run(functools.partial(lone_step, choose), step, rules, own, first)


def draw_each(
    temperature: float | jax.Array,
    top_k: jax.Array | None,
    top_p: jax.Array | None,
    keys: jax.Array,
    log_probs: jax.Array,
    time: jax.Array,
) -> jax.Array:
    """The tokens `[B, N]` that are drawn at a step, by their own keys `[B, N]`."""

    def one(key: jax.Array, log_probs: jax.Array) -> jax.Array:
        return draw(jax.random.fold_in(key, time), log_probs, temperature)

    likely = narrowed(log_probs, temperature, top_k, top_p)
    return jax.vmap(jax.vmap(one))(keys, likely)


def beam_step(
    step: Callable[..., tuple], rules: Rules, ahead: jax.Array, beam: Beam
) -> Beam:
    """One step of beam search; `ahead` as `largest_ahead` gives it.

    The step function has got what it shares here.
    """
    size, time = rules.beam_size, beam.time
    state, log_probs, weights = step(beam.state, beam.tokens)
    log_probs = near(allowed(log_probs, rules, time), rules.prune)
    totals = beam.log_probs[..., None] + log_probs
    rows, beams, vocabulary = totals.shape
    missing = max(0, 2 * size - beams * vocabulary)
    totals = jnp.pad(
        totals.reshape(rows, -1), ((0, 0), (0, missing)), constant_values=-jnp.inf
    )
    # At most K of the 2K best are endings, so at least K can live on.
    best, place = top_k(totals, 2 * size)
    parents, tokens = jnp.minimum(place // vocabulary, beams - 1), place % vocabulary
    ending = tokens == rules.eos
    # An ending counts among the K best only: with K = 1, only if it is the best token.
    ends = ending[:, :size] & ~beam.done[:, None]
    out = outside(rules.places, size, beam.ended, 2 * size)
    if out is not None:
        ends &= ~out[:, :size]
        ending |= out
    first = Continued(best[:, :size], parents[:, :size], tokens[:, :size])
    alive, rank = lax.top_k(jnp.where(ending, -jnp.inf, best), size)
    lives = Continued(alive, pick(parents, rank), pick(tokens, rank))
    return moved(rules, ahead, beam, (state, weights), ends, first, lives)


class Continued(NamedTuple):
    """Continuations of hypotheses, best first.

    Attributes:
        log_probs: `[B, K]` with the new token.
        parents, tokens: `[B, K]` the beam that each continues, and by what.
    """

    log_probs: jax.Array
    parents: jax.Array
    tokens: jax.Array


def moved(
    rules: Rules,
    ahead: jax.Array,
    beam: Beam,
    stepped: tuple[Any, jax.Array],
    ends: jax.Array,
    best: Continued,
    lives: Continued,
) -> Beam:
    """The beam after a step.

    Args:
        rules, ahead, beam: as in `beam_step`.
        stepped: the step's state and weights, by beam.
        ends: `[B, K]` which of `best` end.
        best: among others, all that end.
        lives: what lives on.
    """
    time, (state, weights) = beam.time, stepped
    coverage = covered(beam, weights)
    new = ending_now(beam, rules, ends, best.log_probs, best.parents, coverage)
    finished = best_of(beam.finished, new, rules.beam_size)
    ended = beam.ended + (ends & (best.log_probs > -jnp.inf)).sum(axis=1)
    alive = near_the_best(
        lives.log_probs, rules.divisors[time], finished.scores[:, 0], rules.prune
    )
    best_alive = alive[:, 0]
    now = Standing(
        finished=finished,
        enough=ended >= rules.beam_size,
        first_ends=ends[:, 0],
        ahead=best_alive / rules.divisors[time],
        bounds=best_alive / ahead[:, time],
    )
    over = (time + 1 >= rules.limits) | STOPS[rules.stop](rules, now)
    parents = lives.parents
    state, coverage = jax.tree.map(lambda x: pick(x, parents), (state, coverage))
    return Beam(
        time=time + 1,
        state=state,
        tokens=lives.tokens,
        log_probs=alive,
        coverage=coverage,
        finished=finished,
        ended=ended,
        trace=record(beam, lives.tokens, parents, weights),
        done=beam.done | over,
    )


def lone_step(
    choose: Callable[..., jax.Array],
    step: Callable[..., tuple],
    rules: Rules,
    own: Any,
    beam: Beam,
) -> Beam:
    """One step of hypotheses that do not compete.

    `choose(own, log_probs, time)` says how each goes on.
    """
    state, log_probs, weights = step(beam.state, beam.tokens)
    coverage = covered(beam, weights)
    log_probs = allowed(log_probs, rules, beam.time)
    tokens = choose(own, log_probs, beam.time).astype(jnp.int32)
    said = jnp.take_along_axis(log_probs, tokens[..., None], axis=-1)[..., 0]
    totals = beam.log_probs + said
    goes_on = (beam.finished.lengths == 0) & ~beam.done[:, None]
    ends = (tokens == rules.eos) & (totals > -jnp.inf) & goes_on
    slots = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)
    new = ending_now(beam, rules, ends, totals, slots, coverage)
    finished = jax.tree.map(lambda *x: jnp.where(ends, *x), new, beam.finished)
    over = (finished.lengths > 0).all(axis=1) | (beam.time + 1 >= rules.limits)
    return Beam(
        time=beam.time + 1,
        state=state,
        tokens=tokens,
        log_probs=totals,
        coverage=coverage,
        finished=finished,
        ended=beam.ended + ends.sum(axis=1),
        trace=record(beam, tokens, slots, weights),
        done=beam.done | over,
    )


def best_of(old: Finished, new: Finished, size: int) -> Finished:
    """The `size` best of both; an equal one that ended before stays in its place."""
    both = jax.tree.map(lambda *x: jnp.concatenate(x, axis=1), old, new)
    rank = lax.top_k(both.scores, size)[1]
    return jax.tree.map(lambda x: pick(x, rank), both)
