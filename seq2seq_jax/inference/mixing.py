"""Several step functions as one: an ensemble, for any search.

    step(shared, state, tokens) -> (state, log_probs, weights)

Each member carries its own state and reads what it shares itself; what they find
probable is averaged, token by token. All members say the same vocabulary.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from seq2seq_jax.inference.beams import Step


def mean_of_probabilities(members: Sequence[jax.Array]) -> jax.Array:
    """`log(sum_m p_m / M)`, from log-probabilities `[..., V]`.

    >>> one, other = jnp.log(jnp.array([[0.5, 0.5], [0.9, 0.1]]))
    >>> print(jnp.exp(mean_of_probabilities([one, other])))
    [0.7 0.3]
    """
    stacked = jnp.stack(members)
    mean = jax.nn.logsumexp(stacked, axis=0) - jnp.log(float(len(members)))
    return jnp.minimum(mean, 0.0)  # a search relies on it, rounding does not


def mean_of_log_probabilities(members: Sequence[jax.Array]) -> jax.Array:
    """`sum_m log p_m / M - log Z`, with Z such that probabilities sum to 1.

    The geometric mean: what one member finds impossible is impossible.
    """
    return jax.nn.log_softmax(sum(members) / len(members))


# How the members' distributions become one.
MIXES: dict[str, Callable[[Sequence[jax.Array]], jax.Array]] = {
    "probabilities": mean_of_probabilities,
    "log_probabilities": mean_of_log_probabilities,
}


def mixed(
    parts: Sequence[tuple[Step, Any, Any]], mix: str, looking: Sequence[int]
) -> tuple[Step, Any, Any]:
    """A step function, what its rows share and their first state, of several such.

    Args:
        parts: of each member, over the same rows.
        mix: an entry of `MIXES`.
        looking: which members' weights are averaged; their sources are the same.
    """
    steps, shared, states = zip(*parts, strict=True)

    def step(shared: Any, states: Any, tokens: jax.Array) -> tuple:
        each = zip(steps, shared, states, strict=True)
        made = [one(own, state, tokens) for one, own, state in each]
        states, log_probs, weights = zip(*made, strict=True)
        return states, MIXES[mix](log_probs), mean_weights(weights, looking)

    return step, shared, states


def mean_weights(weights: Sequence[jax.Array], looking: Sequence[int]) -> jax.Array:
    """The mean of some members' weights `[..., S]`."""
    first, *rest = (weights[member] for member in looking)
    return sum(rest, first) / len(looking)
