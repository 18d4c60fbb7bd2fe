"""A loop in which what a step says may be what the next one reads."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax.types import BOS, PAD, Array

UNSAID = (PAD, BOS)  # what no search ever says

# (state, what is read, noise of the step) -> (state, outputs, what is kept of the step)
Step = Callable[[Any, jax.Array, Any], tuple[Any, jax.Array, Any]]


class Voice(NamedTuple):
    """How a step's outputs become what the next step reads.

    Attributes:
        first: `(true) -> said`, what the loop begins with; any value will do.
        say: `(outputs) -> said`.
        put: `(said, true) -> ` what the next step reads in place of what is true.
    """

    first: Callable[[jax.Array], jax.Array]
    say: Callable[[jax.Array], jax.Array]
    put: Callable[[jax.Array, jax.Array], jax.Array]


def most_probable(logits: jax.Array) -> jax.Array:
    """The most probable token that may be said."""
    sayable = ~jnp.isin(jnp.arange(logits.shape[-1]), jnp.array(UNSAID))
    return jnp.argmax(jnp.where(sayable, logits, -jnp.inf), axis=-1)


TOKENS = Voice(
    lambda true: true, most_probable, lambda said, true: said.astype(true.dtype)
)


def numbers(point: Callable[[jax.Array], jax.Array], count: int) -> Voice:
    """The voice of a head for M numbers: they are read as if they were there.

    What is read is `[M numbers ; M ones, 0 where one is missing ; what is known]`.

    >>> voice = numbers(lambda outputs: outputs[..., 0], 1)
    >>> said = voice.say(jnp.array([[7.0]]))
    >>> voice.put(said, jnp.array([0.0, 0.0, 5.0])).tolist()
    [7.0, 1.0, 5.0]
    """

    def put(said: jax.Array, true: jax.Array) -> jax.Array:
        known = true[..., 2 * count :]
        return jnp.concatenate([said, jnp.ones_like(said), known], -1)

    return Voice(lambda true: true[..., :count], point, put)


def own_inputs(
    step: Step,
    state: Any,
    gold: Array,
    own: Array,
    noise: Any = None,
    voice: Voice = TOKENS,
) -> tuple[jax.Array, Any]:
    """The decoder's inputs `[..., T]`: gold, or what it has just said itself.

    Bengio et al. 2015, section 2.4: before each step a coin decides whether the decoder
    reads the true last token or the one that it finds most probable (the paper allows a
    sample from its distribution, too). The first input is always the true one.

    Args:
        step: of the decoder.
        state: before the first step.
        gold: `[..., T]` ids of teacher forcing, or `[..., T, G]` numbers.
        own: `[..., T]` bool, the coins: true where the decoder reads its own token.
        noise: arrays `[T, ...]`, a step each.
        voice: how outputs become inputs.

    Returns:
        What was read, and what was kept of each step, `[T, ...]`.

    >>> def after(state, tokens, noise):  # says the next number
    ...     return state, jax.nn.one_hot(tokens + 1, 9), None
    >>> gold, own = jnp.array([2, 6, 6, 6]), jnp.array([False, True, True, False])
    >>> own_inputs(after, (), gold, own)[0].tolist()
    [2, 3, 4, 6]
    """
    gold, axis = jnp.asarray(gold), own.ndim - 1
    beside = (1,) * (gold.ndim - own.ndim)

    def body(carry: tuple, xs: tuple) -> tuple[tuple, tuple[jax.Array, Any]]:
        (state, said), (true, mine, here) = carry, xs
        mine = mine.reshape(*mine.shape, *beside)
        read = jnp.where(mine, voice.put(said, true), true)
        state, outputs, kept = step(state, read, here)
        return (state, voice.say(outputs).astype(said.dtype)), (read, kept)

    golds, coins = jnp.moveaxis(gold, axis, 0), jnp.moveaxis(own, axis, 0)
    first = state, voice.first(golds[0])
    _, (read, kept) = jax.lax.scan(body, first, (golds, coins, noise))
    return jnp.moveaxis(read, 0, axis), kept
