"""Who has a place in a beam of K: what ends may take one, what is far behind may not.

The papers' searches differ in this, and leave much of it untold; the tables and the
docstrings of their recipes name which is whose.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

# How many of a step's best continuations count, `[B]`, from K and from how many
# hypotheses of each row have ended: of those that count, endings end and the others
# live on. None: each ending makes room for one more, so K always live on.
PLACES: dict[str, Callable[[int, jax.Array], jax.Array | None]] = {
    # The project's own: endings never starve the beam.
    "kept": lambda size, ended: None,
    # Sutskever 2014, section 3.2: the K best are kept, of which those that end leave
    # the beam; at the next step the others have all K places again.
    "shared": lambda size, ended: jnp.full_like(ended, size),
    # GroundHog (Bahdanau 2014): what has ended has had its place; K shrinks.
    "lost": lambda size, ended: size - ended,
}


def outside(places: str, size: int, ended: jax.Array, ranks: int) -> jax.Array | None:
    """`[B, ranks]`: which of a step's best continuations no longer count; None: all do.

    >>> outside("lost", 2, jnp.array([0, 1]), 4).tolist()
    [[False, False, True, True], [False, True, True, True]]
    """
    count = PLACES[places](size, ended)
    return None if count is None else jnp.arange(ranks) >= count[:, None]


def near(log_probs: jax.Array, prune: jax.Array | None) -> jax.Array:
    """`[B, K, V]`, -inf for tokens that are `prune` worse than a hypothesis's best.

    Wu et al. 2016, section 7, the first of two prunings, with 3 for the threshold.
    """
    if prune is None:
        return log_probs
    best = log_probs.max(axis=-1, keepdims=True)
    return jnp.where(log_probs >= best - prune, log_probs, -jnp.inf)


def near_the_best(
    alive: jax.Array, divisor: jax.Array, best: jax.Array, prune: jax.Array | None
) -> jax.Array:
    """`[B, K]`, -inf for living hypotheses that are `prune` worse than the best ended.

    Wu et al. 2016, section 7, the second: both by their log-probability over their
    length's penalty.

    Args:
        alive: `[B, K]` log-probabilities.
        divisor: the length penalty of what is alive.
        best: `[B]` the best score of what has ended, -inf where nothing has.
        prune: the threshold; None: nothing is left out.
    """
    if prune is None:
        return alive
    return jnp.where(alive / divisor >= best[:, None] - prune, alive, -jnp.inf)
