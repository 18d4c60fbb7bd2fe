"""What every search keeps between its steps, and how hypotheses are read off it.

Back-pointers are kept in the loop; the hypotheses are traced once, at its end.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax

from seq2seq_jax.inference.penalties import (
    CoveragePenalty,
    LengthPenalty,
    no_penalty,
)
from seq2seq_jax.traced import hoist
from seq2seq_jax.types import BOS, EOS, PAD, Hypotheses

Step = Callable[[Any, Any, jax.Array], tuple[Any, jax.Array, jax.Array]]
FEWER = 2  # when no more than a row in so many goes on, the others are left behind
LEAST = 8  # rows that go on by themselves; fewer are not worth another loop


@struct.dataclass
class Finished:
    """Ended hypotheses of each row: the best, best first.

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
        coverage: `[B, K, S]` the sum of its weights; None where no penalty reads it.
        finished: the ended hypotheses.
        ended: `[B]` how many have ended, kept or not.
        trace: the steps so far.
        done: `[B]` whether a row's search is over.
    """

    time: jax.Array
    state: Any
    tokens: jax.Array
    log_probs: jax.Array
    coverage: jax.Array | None
    finished: Finished
    ended: jax.Array
    trace: Trace
    done: jax.Array


class Rules(NamedTuple):
    """What a search keeps to: its arguments, and the length penalty as a table.

    Attributes:
        limits: `[B]` largest lengths, at most T.
        shared: `[B, ...]` what the hypotheses of a row share, for the step.
        mask: `[B, S]` real source positions, for the coverage penalty; or None.
        divisors: `[T]` the length penalty of 1 to T tokens.
        coverage_penalty: see `penalties`; or None.
        beam_size, n_best: K, the hypotheses alive at a time; N, at most K.
        forbidden: ids that are never said.
        bos, eos: what every hypothesis starts from, and what ends it.
        stop: when a row's search is over, an entry of `stopping.STOPS`; of beams alone.
        places: whether endings take places in a beam, an entry of `places.PLACES`.
        prune: leave out of a beam what is so much worse than the best; None: nothing.
    """

    limits: jax.Array
    shared: Any
    mask: jax.Array | None
    divisors: jax.Array
    coverage_penalty: CoveragePenalty | None
    beam_size: int
    n_best: int
    forbidden: tuple[int, ...] = (PAD, BOS)
    bos: int = BOS
    eos: int = EOS
    stop: str = "ahead"
    places: str = "kept"
    prune: jax.Array | None = None


def make_rules(
    limits: jax.Array,
    shared: Any,
    *,
    max_length: int,
    beam_size: int,
    n_best: int,
    length_penalty: LengthPenalty = no_penalty,
    coverage_penalty: CoveragePenalty | None = None,
    mask: jax.Array | None = None,
    **rest: Any,
) -> Rules:
    """The rules of any search, from what its callers give.

    Args:
        limits: `[B]` ints, the largest length of a row, EOS included; 0 skips the row.
        shared: what every step reads, a pytree of `[B, ...]`.
        max_length: T, the size of the results; limits above it count as T.
        beam_size, n_best: as `Rules` has them.
        length_penalty: lengths `[T]`, as floats, to positive divisors `[T]`.
        coverage_penalty: added to the score of an ended one, see `penalties`; or None.
        mask: `[B, S]` real source positions, which a coverage penalty needs.
        rest: `forbidden`, `bos`, `eos`, `stop`, `places` and `prune`, as `Rules` has
            them.

    Raises:
        ValueError: `n_best` is not between 1 and `beam_size`.
    """
    if not 1 <= n_best <= beam_size:
        raise ValueError(f"n_best is {n_best}, expected 1 to beam_size ({beam_size})")
    return Rules(
        limits=jnp.minimum(limits, max_length),
        shared=shared,
        mask=mask,
        divisors=length_penalty(jnp.arange(1, max_length + 1, dtype=jnp.float32)),
        coverage_penalty=coverage_penalty,
        beam_size=beam_size,
        n_best=n_best,
        **rest,
    )


def run(
    advance: Callable[..., Beam], step: Step, rules: Rules, own: Any, first: Beam
) -> Hypotheses:
    """Advance until every row is done, then read the hypotheses off the trace.

    Args:
        advance: `(step(state, tokens), rules, own, beam) -> beam`, one step.
        step: of the search.
        rules: of the search.
        own: `[B, ...]` whatever else `advance` reads of a row.
        first: the beam before the first step.
    """
    return trace_back(to_the_end(advance, step, rules, own, first), rules.n_best)


def to_the_end(
    advance: Callable[..., Beam], step: Step, rules: Rules, own: Any, beam: Beam
) -> Beam:
    """The beam with every row done; arguments as those of `run`.

    Rows end at different steps: the longest of a hundred translations takes half as
    many again as the mean. Once few go on, they do so by themselves, and of those the
    last few again; each time costs a loop to compile.
    """
    few = len(rules.limits) // FEWER
    few = few if few >= LEAST else 0
    here = hoist(partial(step, rules.shared), beam.state, beam.tokens)
    beam = lax.while_loop(
        lambda beam: (~beam.done).sum() > few,
        lambda beam: advance(here, rules, own, beam),
        beam,
    )
    if not few:
        return beam
    order = jnp.argsort(beam.done)[:few]  # those that go on come first

    def cut(tree: Any, axis: int = 0) -> Any:
        return jax.tree.map(lambda x: jnp.take(x, order, axis), tree)

    def put(whole: Any, part: Any, axis: int = 0) -> Any:
        places = (slice(None),) * axis + (order,)
        return jax.tree.map(lambda x, y: x.at[places].set(y), whole, part)

    limits, shared, mask = cut((rules.limits, rules.shared, rules.mask))
    fewer = rules._replace(limits=limits, shared=shared, mask=mask)
    part = to_the_end(advance, step, fewer, cut(own), with_rows(cut, beam))
    return with_rows(put, beam, part)


def with_rows(change: Callable[..., Any], beam: Beam, *others: Beam) -> Beam:
    """`change(*trees, axis=...)` of all that has rows on an axis; the last's time."""
    beams = (beam, *others)
    trace = change(*(one.trace for one in beams), axis=1)
    rest = change(*(one.replace(time=None, trace=None) for one in beams))  # type: ignore[attr-defined]
    return rest.replace(time=beams[-1].time, trace=trace)


def first_beam(step: Step, rules: Rules, state: Any, alive: int = 1) -> Beam:
    """`alive` hypotheses a row, which hold BOS alone."""
    batch, beams, longest = len(rules.limits), rules.beam_size, len(rules.divisors)
    state = jax.tree.map(
        lambda x: jnp.broadcast_to(x[:, None], (batch, alive, *x.shape[1:])), state
    )
    tokens = jnp.full((batch, alive), rules.bos, jnp.int32)
    weights = jax.eval_shape(step, rules.shared, state, tokens)[2]
    nothing = jnp.full((batch, beams), -jnp.inf)
    none = jnp.zeros((batch, beams), jnp.int32)
    steps = jnp.zeros((longest, batch, beams), jnp.int32)
    looks = (longest, batch, beams, weights.shape[-1])
    covers = rules.coverage_penalty is not None
    return Beam(
        time=jnp.int32(0),
        state=state,
        tokens=tokens,
        log_probs=jnp.zeros((batch, alive)),
        coverage=jnp.zeros(weights.shape, weights.dtype) if covers else None,
        finished=Finished(nothing, nothing, none, none),
        ended=none[:, 0],
        trace=Trace(steps, steps, jnp.zeros(looks, weights.dtype)),
        done=rules.limits <= 0,
    )


def allowed(log_probs: jax.Array, rules: Rules, time: jax.Array) -> jax.Array:
    """`[B, K, V]`, -inf for what may not be said: at the limit, all but EOS."""
    ids = jnp.arange(log_probs.shape[-1])
    ending = ids == rules.eos
    fine = ~jnp.isin(ids, jnp.array(rules.forbidden, jnp.int32))
    last = (time + 1 >= rules.limits)[:, None, None]
    return jnp.where(jnp.where(last, ending, fine), log_probs, -jnp.inf)


def covered(beam: Beam, weights: jax.Array) -> jax.Array | None:
    """The coverage of each beam with the weights of one more step, where it is kept."""
    return None if beam.coverage is None else beam.coverage + weights


def ending_now(
    beam: Beam,
    rules: Rules,
    ends: jax.Array,
    log_probs: jax.Array,
    slots: jax.Array,
    coverage: jax.Array | None,
) -> Finished:
    """The hypotheses that end at this step, -inf where `ends` `[B, K]` is false.

    Args:
        beam: before the step.
        rules: of the search.
        ends: which of them end.
        log_probs: `[B, K]` with EOS.
        slots: `[B, K]` the beams that EOS follows.
        coverage: as `covered` gives it, by beam.
    """
    log_probs = jnp.where(ends, log_probs, -jnp.inf)
    scores = log_probs / rules.divisors[beam.time]
    if coverage is not None:
        assert rules.coverage_penalty is not None and rules.mask is not None
        scores += pick(rules.coverage_penalty(coverage, rules.mask), slots)
    return Finished(
        scores=scores,
        log_probs=log_probs,
        lengths=jnp.full_like(slots, beam.time + 1),
        slots=slots,
    )


def record(
    beam: Beam, tokens: jax.Array, parents: jax.Array, weights: jax.Array
) -> Trace:
    """The trace with one more step."""
    # Before the first step there may be a single beam.
    weights = jnp.broadcast_to(weights, (*tokens.shape, weights.shape[-1]))
    return jax.tree.map(
        lambda steps, new: lax.dynamic_update_index_in_dim(steps, new, beam.time, 0),
        beam.trace,
        Trace(tokens, parents, weights),
    )


def pick(values: jax.Array, beams: jax.Array) -> jax.Array:
    """`[B, K, ...]` at `beams` `[B, N]`: `[B, N, ...]`."""
    index = beams.reshape(*beams.shape, *[1] * (values.ndim - 2))
    return jnp.take_along_axis(values, index, axis=1)


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
