"""Diverse beam search (Vijayakumar et al. 2018), over any step function.

The K beams are G groups, each a beam search of its own with K / G beams. Within a step
they move one after the other, and a token costs a group lambda for each time that the
groups before it said it at this step (Hamming diversity):

    log p(y) - lambda * |{hypotheses of groups before that say y now}|

The penalty guides the search alone. At the end what all groups found is ranked by its
own log-probability, as one beam's would be, and of equal outputs one is kept.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from seq2seq_jax.inference.beams import (
    Beam,
    Rules,
    Step,
    first_beam,
    make_rules,
    pick,
    trace_back,
)
from seq2seq_jax.inference.following import with_token_log_probs
from seq2seq_jax.inference.search import beam_step
from seq2seq_jax.inference.stopping import largest_ahead
from seq2seq_jax.traced import hoist
from seq2seq_jax.types import Hypotheses


def diverse_search(
    step: Step,
    shared: Any,
    state: Any,
    limits: jax.Array,
    *,
    groups: int,
    diversity: float | jax.Array,
    beam_size: int,
    n_best: int,
    own: tuple[Step, Any, Any] | None = None,
    **terms: Any,
) -> Hypotheses:
    """The `n_best` best of all groups, with log-probabilities of tokens.

    Args:
        step, shared, state, limits, n_best, terms: as in `beam_search`.
        groups: G, which divides `beam_size`; 1 is beam search.
        diversity: lambda, 0 or more.
        beam_size: K, of all groups together.
        own: the step function whose log-probabilities results have, what its rows share
            and their state; None: that of the search.
    """
    size = beam_size // groups
    rules = make_rules(limits, shared, beam_size=size, n_best=size, **terms)
    ahead = largest_ahead(rules.divisors, rules.limits)
    first = first_beam(step, rules, state)
    plain = partial(step, shared)
    width = jax.eval_shape(plain, first.state, first.tokens)[1].shape[-1]

    move = partial(advance, rules, ahead, diversity, width)
    beams = move(plain, (first,) * groups)
    here = hoist(plain, beams[0].state, beams[0].tokens)
    beams = lax.while_loop(
        lambda beams: ~jnp.stack([beam.done for beam in beams]).all(),
        partial(move, here),
        beams,
    )
    found = [trace_back(beam, size) for beam in beams]
    every = jax.tree.map(lambda *x: jnp.concatenate(x, axis=1), *found)
    return ranked(every, own or (step, shared, state), rules.divisors, n_best)


def advance(
    rules: Rules,
    ahead: jax.Array,
    diversity: float | jax.Array,
    width: int,
    step: Callable[..., tuple],
    beams: tuple[Beam, ...],
) -> tuple[Beam, ...]:
    """One step of all groups, one after the other; `width` is V."""
    said, moved = jnp.zeros((len(rules.limits), width)), []
    for beam in beams:

        def dearer(state: Any, tokens: jax.Array, said: jax.Array = said) -> tuple:
            state, log_probs, weights = step(state, tokens)
            return state, log_probs - diversity * said[:, None], weights

        after = beam_step(dearer, rules, ahead, beam)
        alive = (after.log_probs > -jnp.inf) & ~beam.done[:, None]
        ones = jax.nn.one_hot(after.tokens, width) * alive[..., None]
        said += ones.sum(axis=1)
        moved.append(after)
    return tuple(moved)


def ranked(
    found: Hypotheses, own: tuple[Step, Any, Any], divisors: jax.Array, n_best: int
) -> Hypotheses:
    """The best by their own log-probability; of equal outputs the first is kept."""
    exact = with_token_log_probs(*own, found)
    divisor = divisors[jnp.maximum(found.lengths - 1, 0)]
    there = found.lengths > 0
    change = jnp.where(there, exact.log_probs - found.log_probs, 0.0)
    same = (found.tokens[:, :, None] == found.tokens[:, None]).all(axis=-1)
    same &= found.lengths[:, :, None] == found.lengths[:, None]
    earlier = jnp.tril(jnp.ones(same.shape[1:], bool), -1)
    there &= ~(same & earlier).any(axis=-1)
    scores = jnp.where(there, found.scores + change / divisor, -jnp.inf)
    best, rank = lax.top_k(scores, n_best)

    kept = jax.tree.map(lambda x: pick(x, rank), exact)
    lengths = jnp.where(best > -jnp.inf, kept.lengths, 0)
    return dataclasses.replace(kept, scores=best, lengths=lengths)
