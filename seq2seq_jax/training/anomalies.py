"""Updates that are left out since their gradient is unusually large.

A part of the optimiser: what it remembers of the gradients' norms is in its state, so
it is saved with the checkpoint and is the same on all devices.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from seq2seq_jax.types import Array, Params

DECAY = 0.995  # of the moving averages, a step
SURE = 0.75  # weight of what was seen from which on an update may be left out
SMALLEST = 1e-2  # norms below count as this
LEAST_VARIANCE = 1e-6


class NormState(NamedTuple):
    """What `without_anomalies` remembers.

    Attributes:
        weight: sum of the weights of all norms so far; it goes to 1.
        mean, square: weighted sums of the norms' logarithms, and of their squares.
        left_out: updates that were not made.
        inner: the state of what makes them.
    """

    weight: Array
    mean: Array
    square: Array
    left_out: Array
    inner: optax.OptState


def without_anomalies(
    inner: optax.GradientTransformation, deviations: float
) -> optax.GradientTransformation:
    """`inner`, but no update where log |g| is over its mean by so many deviations.

    Chen et al. 2018 (RNMT+), "adaptive gradient clipping", by 4: a step is abandoned
    where the gradient's norm is an anomaly among those before it, by the moving average
    and the moving standard deviation of its logarithm. What the paper does not tell is
    from the authors' code, lingvo: the averages' decay, 0.995, from when on they are
    trusted (277 updates), and that an anomaly counts in them as the largest norm that
    would have been none. What is left out has no part in `inner`'s state: its moments
    and its count, which schedules read, are those of the updates made. Who has but a
    part of the gradient is told `norm`.
    """

    def init(params: Params) -> NormState:
        zero = jnp.zeros((), jnp.float32)
        none = jnp.zeros((), jnp.int32)
        return NormState(zero, zero, zero, none, inner.init(params))

    inner = optax.with_extra_args_support(inner)

    def update(updates, state, params=None, *, norm=None, **more):
        if norm is None:
            norm = optax.tree.norm(updates)
        norm = jnp.maximum(norm, SMALLEST)
        log = jnp.log(norm).astype(jnp.float32)
        limit, sure = largest(state, deviations), state.weight > SURE
        anomaly = sure & (log > limit)
        counted = jnp.where(anomaly, limit, log)

        def left_out():
            return jax.tree.map(jnp.zeros_like, updates), state.inner

        def made():
            return inner.update(updates, state.inner, params, norm=norm, **more)

        changes, kept = jax.lax.cond(anomaly, left_out, made)
        return changes, NormState(
            averaged(state.weight, 1.0),
            averaged(state.mean, counted),
            averaged(state.square, counted**2),
            state.left_out + anomaly,
            kept,
        )

    return optax.GradientTransformationExtraArgs(init, update)


def averaged(total: Array, new: Array | float) -> Array:
    """A moving sum with one number more."""
    return DECAY * total + (1 - DECAY) * new


def largest(state: NormState, deviations: float) -> jax.Array:
    """The logarithm of the largest norm that is no anomaly.

    >>> state = NormState(1.0, 2.0, 4.25, 0, None)  # mean 2, deviation 1/2
    >>> float(largest(state, 4.0))
    4.0
    """
    weight = jnp.maximum(state.weight, 1 - DECAY)
    mean = state.mean / weight
    variance = jnp.maximum(state.square / weight - mean**2, LEAST_VARIANCE)
    return jnp.asarray(mean + deviations * jnp.sqrt(variance))
