"""Scheduled sampling: a decoder that in training reads some of what it says itself."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from seq2seq_jax.types import BOS, PAD, Array

UNSAID = (PAD, BOS)  # what no search ever says


def own_inputs(
    step: Callable[[Any, jax.Array, Any], tuple[Any, jax.Array]],
    state: Any,
    gold: Array,
    own: Array,
    noise: Any = None,
) -> jax.Array:
    """The decoder's inputs `[..., T]`: gold, or what it has just said itself.

    Bengio et al. 2015, section 2.4: before each step a coin decides whether the decoder
    reads the true last token or the one that it finds most probable (the paper allows a
    sample from its distribution, too). The first input is always the true one.

    Args:
        step: `(state, tokens [...], noise of the step) -> (state, logits [..., V])`.
        state: before the first step.
        gold: `[..., T]` ids of teacher forcing.
        own: `[..., T]` bool, the coins: true where the decoder reads its own token.
        noise: arrays `[T, ...]`, a step each.

    >>> def after(state, tokens, noise):  # says the next number
    ...     return state, jax.nn.one_hot(tokens + 1, 9)
    >>> gold, own = jnp.array([2, 6, 6, 6]), jnp.array([False, True, True, False])
    >>> own_inputs(after, (), gold, own).tolist()
    [2, 3, 4, 6]
    """

    def body(carry: tuple, xs: tuple) -> tuple[tuple, jax.Array]:
        state, said = carry
        true, mine, here = xs
        token = jnp.where(mine, said, true)
        state, logits = step(state, token, here)
        sayable = ~jnp.isin(jnp.arange(logits.shape[-1]), jnp.array(UNSAID))
        said = jnp.argmax(jnp.where(sayable, logits, -jnp.inf), axis=-1)
        return (state, said.astype(token.dtype)), token

    gold = jnp.asarray(gold)
    time_major = jnp.moveaxis(gold, -1, 0), jnp.moveaxis(own, -1, 0)
    _, read = jax.lax.scan(body, (state, gold[..., 0]), (*time_major, noise))
    return jnp.moveaxis(read, 0, -1)
