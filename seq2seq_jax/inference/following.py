"""What a step function finds each token of given hypotheses: forced decoding."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from seq2seq_jax.inference.beams import Step
from seq2seq_jax.traced import hoist
from seq2seq_jax.types import BOS, EOS, Hypotheses


def token_log_probs(
    step: Step, shared: Any, state: Any, found: Hypotheses
) -> jax.Array:
    """`[B, N, T]` log-probabilities of what was found, EOS included, 0 behind it.

    Args:
        step, shared, state: as a search takes them; other ones than found it, where a
            rule bent what that search read.
        found: hypotheses `[B, N]`; those of length 0 get zeros.
    """
    places = jnp.arange(found.tokens.shape[-1])
    lengths = found.lengths[..., None]
    said = jnp.where(places == lengths - 1, EOS, found.tokens)
    beams = found.tokens.shape[1]
    state = jax.tree.map(
        lambda x: jnp.broadcast_to(x[:, None], (len(x), beams, *x.shape[1:])), state
    )
    start = jnp.full(said.shape[:2], BOS, said.dtype)
    here = hoist(partial(step, shared), state, start)

    def advance(time: jax.Array, carry: tuple) -> tuple:
        state, last, sums = carry
        state, log_probs, _ = here(state, last)
        token = lax.dynamic_index_in_dim(said, time, 2, keepdims=False)
        own = jnp.take_along_axis(log_probs, token[..., None], axis=-1)
        return state, token, lax.dynamic_update_slice_in_dim(sums, own, time, 2)

    none = jnp.zeros(said.shape, jnp.float32)
    carry = (state, start, none)
    *_, each = lax.fori_loop(0, found.lengths.max(), advance, carry)
    return jnp.where(places < lengths, each, 0.0)


def with_token_log_probs(
    step: Step, shared: Any, state: Any, found: Hypotheses
) -> Hypotheses:
    """The hypotheses with the step function's own log-probabilities; scores stay."""
    each = token_log_probs(step, shared, state, found)
    sums = jnp.where(found.lengths > 0, each.sum(axis=-1), -jnp.inf)
    return dataclasses.replace(found, log_probs=sums, token_log_probs=each)
