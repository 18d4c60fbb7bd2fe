"""Greedy and beam search over any step function, wholly inside jit.

A step function reads the last tokens and says how probable each next token is:

    step(state, tokens [B, K]) -> (state, log_probs [B, K, V], weights [B, K, S])

`state` is any pytree of arrays `[B, K, ...]`; what does not change from hypothesis to
hypothesis (the encoder's output) is closed over by `step` and never copied K times.
`weights` says where the step looked. Wrap `step` to change what may be said.

**What beam search finds.** Each step keeps the K best unfinished hypotheses of a row.
Of all continuations the 2K best are looked at: an end marker among the K best of them
ends its hypothesis, and the K best others live on, so endings never starve the beam. A
hypothesis one token short of its row's limit can only be ended: every result ends with
EOS, and its log-probability is the model's own for just those tokens. The search of a
row is over when K hypotheses have ended, which makes a beam of 1 plain greedy search.
They are ranked by `log_prob / length_penalty(length)`, where the length counts EOS; of
equal ones the first found comes first.

**When a row stops.** At that point, or as soon as nothing alive can still enter the
`n_best` best: log-probabilities never rise, so no hypothesis ends better than its
log-probability so far divided by the largest penalty it can still get. This is exact:
the first results depend neither on `n_best` nor on the other rows of the batch.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax

from seq2seq_jax.inference.penalties import LengthPenalty, no_penalty
from seq2seq_jax.inference.topk import top_k
from seq2seq_jax.types import BOS, EOS, PAD, Hypotheses

Step = Callable[[Any, jax.Array], tuple[Any, jax.Array, jax.Array]]


@struct.dataclass
class Finished:
    """The best ended hypotheses of each row, best first.

    Attributes:
        scores, log_probs: `[B, K]`; -inf where there is none yet.
        lengths: `[B, K]` tokens, EOS included; 0 where there is none yet.
        slots: `[B, K]` the beam that EOS followed.
    """

    scores: jax.Array
    log_probs: jax.Array
    lengths: jax.Array
    slots: jax.Array


@struct.dataclass
class Trace:
    """What happened at each step, from which hypotheses are read off at the end.

    Attributes:
        tokens: `[T, B, K]` the token that each beam took.
        parents: `[T, B, K]` the beam of the step before that it continues.
        weights: `[T, B, K, S]` where each beam of the step before looked.
    """

    tokens: jax.Array
    parents: jax.Array
    weights: jax.Array


@struct.dataclass
class Beam:
    """The search between two steps.

    Attributes:
        time: steps made.
        state: what `step` carries, `[B, K, ...]`.
        tokens: `[B, K]` the last token of each living hypothesis.
        log_probs: `[B, K]` its log-probability, falling; -inf: there is none.
        finished: the ended hypotheses.
        ended: `[B]` how many have ended, kept or not.
        trace: the steps so far.
        done: `[B]` whether a row's search is over.
    """

    time: jax.Array
    state: Any
    tokens: jax.Array
    log_probs: jax.Array
    finished: Finished
    ended: jax.Array
    trace: Trace
    done: jax.Array


class Rules(NamedTuple):
    """What a search keeps to: arguments of `beam_search`, and the penalty as a table.

    Attributes:
        limits: `[B]` largest lengths, at most T.
        divisors: `[T]` the length penalty of 1 to T tokens.
    """

    limits: jax.Array
    divisors: jax.Array
    beam_size: int
    n_best: int
    forbidden: tuple[int, ...]
    bos: int
    eos: int


def beam_search(
    step: Step,
    state: Any,
    limits: jax.Array,
    *,
    beam_size: int,
    max_length: int,
    n_best: int = 1,
    length_penalty: LengthPenalty = no_penalty,
    forbidden: tuple[int, ...] = (PAD, BOS),
    bos: int = BOS,
    eos: int = EOS,
) -> Hypotheses:
    """The `n_best` best hypotheses of each row, best first; see the module's text.

    Args:
        step: see the module's text; its log-probabilities must be at most 0.
        state: pytree of `[B, ...]`, the state before the first step.
        limits: `[B]` ints, the largest length of a row, EOS included; 0 skips the row.
        beam_size: K, the hypotheses alive at a time.
        max_length: T, the size of the results; limits above it count as T.
        n_best: N, at most K.
        length_penalty: lengths `[T]`, as floats, to positive divisors `[T]`.
        forbidden: ids that are never said.
        bos: what every hypothesis starts from.
        eos: what ends it.

    Returns:
        Hypotheses with N in place of K. Where a row has fewer (its limit or what is
        forbidden allows no more), the others have length 0 and score -inf.

    Raises:
        ValueError: `n_best` is not between 1 and `beam_size`.
    """
    if not 1 <= n_best <= beam_size:
        raise ValueError(f"n_best is {n_best}, expected 1 to beam_size ({beam_size})")
    divisors = length_penalty(jnp.arange(1, max_length + 1, dtype=jnp.float32))
    limits = jnp.minimum(limits, max_length)
    rules = Rules(limits, divisors, beam_size, n_best, forbidden, bos, eos)
    ahead = largest_ahead(divisors, limits)
    return run(lambda beam: beam_step(step, rules, ahead, beam), step, rules, state)


def greedy_search(
    step: Step,
    state: Any,
    limits: jax.Array,
    *,
    max_length: int,
    length_penalty: LengthPenalty = no_penalty,
    forbidden: tuple[int, ...] = (PAD, BOS),
    bos: int = BOS,
    eos: int = EOS,
) -> Hypotheses:
    """The most probable token at each step, up to EOS: a beam of 1 for less work.

    Arguments and result are those of `beam_search` with a `beam_size` of 1. Of equally
    probable tokens both take the one with the lowest id.
    """
    divisors = length_penalty(jnp.arange(1, max_length + 1, dtype=jnp.float32))
    limits = jnp.minimum(limits, max_length)
    rules = Rules(limits, divisors, 1, 1, forbidden, bos, eos)
    return run(lambda beam: greedy_step(step, rules, beam), step, rules, state)


def run(
    advance: Callable[[Beam], Beam], step: Step, rules: Rules, state: Any
) -> Hypotheses:
    """Advance until every row is done, then read the hypotheses off the trace."""
    first = first_beam(step, rules, state)
    beam = lax.while_loop(lambda beam: ~beam.done.all(), advance, first)
    return trace_back(beam, rules.n_best)


def first_beam(step: Step, rules: Rules, state: Any) -> Beam:
    """One hypothesis a row, which holds BOS alone; the other beams are impossible."""
    batch, beams, longest = len(rules.limits), rules.beam_size, len(rules.divisors)
    state = jax.tree.map(
        lambda x: jnp.broadcast_to(x[:, None], (batch, beams, *x.shape[1:])), state
    )
    tokens = jnp.full((batch, beams), rules.bos, jnp.int32)
    weights = jax.eval_shape(step, state, tokens)[2]
    nothing = jnp.full((batch, beams), -jnp.inf)
    none = jnp.zeros((batch, beams), jnp.int32)
    steps = jnp.zeros((longest, batch, beams), jnp.int32)
    return Beam(
        time=jnp.int32(0),
        state=state,
        tokens=tokens,
        log_probs=nothing.at[:, 0].set(0.0),
        finished=Finished(nothing, nothing, none, none),
        ended=none[:, 0],
        trace=Trace(steps, steps, jnp.zeros((longest, *weights.shape), weights.dtype)),
        done=rules.limits <= 0,
    )


def beam_step(step: Step, rules: Rules, ahead: jax.Array, beam: Beam) -> Beam:
    """One step of beam search; `ahead` as `largest_ahead` gives it."""
    size, time = rules.beam_size, beam.time
    state, log_probs, weights = step(beam.state, beam.tokens)
    totals = beam.log_probs[..., None] + allowed(log_probs, rules, time)
    vocabulary = totals.shape[-1]
    # At most K of the 2K best are endings, so at least K can live on.
    best, place = top_k(totals.reshape(len(totals), -1), 2 * size)
    parents, tokens = place // vocabulary, place % vocabulary
    ending = tokens == rules.eos
    # An ending counts among the K best only: with K = 1, only if it is the best token.
    ends = ending[:, :size] & ~beam.done[:, None]
    finished = finish(beam, rules, ends, best[:, :size], parents[:, :size])
    ended = beam.ended + (ends & (best[:, :size] > -jnp.inf)).sum(axis=1)
    alive, rank = lax.top_k(jnp.where(ending, -jnp.inf, best), size)
    parents, tokens = pick(parents, rank), pick(tokens, rank)
    beaten = finished.scores[:, rules.n_best - 1] >= alive[:, 0] / ahead[:, time]
    over = (time + 1 >= rules.limits) | (ended >= size) | beaten
    return Beam(
        time=time + 1,
        state=jax.tree.map(lambda x: pick(x, parents), state),
        tokens=tokens,
        log_probs=alive,
        finished=finished,
        ended=ended,
        trace=record(beam, tokens, parents, weights),
        done=beam.done | over,
    )


def greedy_step(step: Step, rules: Rules, beam: Beam) -> Beam:
    """One step of greedy search."""
    state, log_probs, weights = step(beam.state, beam.tokens)
    log_probs = allowed(log_probs, rules, beam.time)
    tokens = jnp.argmax(log_probs, axis=-1).astype(jnp.int32)
    totals = beam.log_probs + log_probs.max(axis=-1)
    ends = (tokens == rules.eos) & ~beam.done[:, None]
    parents = jnp.zeros_like(tokens)
    return Beam(
        time=beam.time + 1,
        state=state,
        tokens=tokens,
        log_probs=totals,
        finished=finish(beam, rules, ends, totals, parents),
        ended=beam.ended,
        trace=record(beam, tokens, parents, weights),
        done=beam.done | ends[:, 0] | (beam.time + 1 >= rules.limits),
    )


def allowed(log_probs: jax.Array, rules: Rules, time: jax.Array) -> jax.Array:
    """`[B, K, V]`, -inf for what may not be said: at the limit, all but EOS."""
    ids = jnp.arange(log_probs.shape[-1])
    ending = ids == rules.eos
    fine = ~jnp.isin(ids, jnp.array(rules.forbidden, jnp.int32))
    last = (time + 1 >= rules.limits)[:, None, None]
    return jnp.where(jnp.where(last, ending, fine), log_probs, -jnp.inf)


def finish(
    beam: Beam,
    rules: Rules,
    ends: jax.Array,
    log_probs: jax.Array,
    slots: jax.Array,
) -> Finished:
    """Put the hypotheses that end now (`ends` `[B, K]`) among the K best ended ones."""
    log_probs = jnp.where(ends, log_probs, -jnp.inf)
    new = Finished(
        scores=log_probs / rules.divisors[beam.time],
        log_probs=log_probs,
        lengths=jnp.full_like(slots, beam.time + 1),
        slots=slots,
    )
    # Of equal scores the first stays: what ends later never displaces an equal.
    both = jax.tree.map(
        lambda old, new: jnp.concatenate([old, new], axis=1), beam.finished, new
    )
    rank = lax.top_k(both.scores, rules.beam_size)[1]
    return jax.tree.map(lambda x: pick(x, rank), both)


def record(
    beam: Beam, tokens: jax.Array, parents: jax.Array, weights: jax.Array
) -> Trace:
    """The trace with one more step."""
    return jax.tree.map(
        lambda steps, new: lax.dynamic_update_index_in_dim(steps, new, beam.time, 0),
        beam.trace,
        Trace(tokens, parents, weights),
    )


def pick(values: jax.Array, beams: jax.Array) -> jax.Array:
    """`[B, K, ...]` at `beams` `[B, N]`: `[B, N, ...]`."""
    index = beams.reshape(*beams.shape, *[1] * (values.ndim - 2))
    return jnp.take_along_axis(values, index, axis=1)


def largest_ahead(divisors: jax.Array, limits: jax.Array) -> jax.Array:
    """`[B, T]`: the largest divisor that `t + 1` tokens can still come to, or 1."""
    lengths = jnp.arange(1, len(divisors) + 1)
    possible = jnp.where(lengths <= limits[:, None], divisors, 0.0)
    largest = lax.cummax(possible, axis=1, reverse=True)
    ahead = jnp.pad(largest[:, 1:], ((0, 0), (0, 1)))
    return jnp.where(ahead > 0, ahead, 1.0)


def trace_back(beam: Beam, n_best: int) -> Hypotheses:
    """The hypotheses that the finished ones' last beams lead back to."""
    best = jax.tree.map(lambda x: x[:, :n_best], beam.finished)

    def back(slots, now):
        time, tokens, parents, weights = now
        inside = time + 1 < best.lengths
        origins = jnp.where(inside, pick(parents, slots), slots)
        real = (time < best.lengths)[..., None]
        return origins, (
            jnp.where(inside, pick(tokens, slots), PAD),
            jnp.where(real, pick(weights, origins), 0.0),
        )

    trace = beam.trace
    times = jnp.arange(len(trace.tokens))
    steps = (times, trace.tokens, trace.parents, trace.weights)
    _, (tokens, weights) = lax.scan(back, best.slots, steps, reverse=True)
    return Hypotheses(
        tokens=tokens.transpose(1, 2, 0),
        scores=best.scores,
        log_probs=best.log_probs,
        lengths=best.lengths,
        alignments=weights.transpose(1, 2, 0, 3),
    )
