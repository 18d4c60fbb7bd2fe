"""A moving average of the parameters, made with each update.

The parameters wander about a good place; their average is nearer to it than any one of
them (Polyak & Juditsky 1992). This one forgets: an update weighs less the longer ago it
was (Kingma & Ba 2015, section 7.2). It is in the state and in the checkpoint, in
float32 as the parameters are, and it is what is evaluated and used; the training itself
goes on with the parameters and never reads it.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from seq2seq_jax.types import Array, Batch, TrainState

Step = Callable[[TrainState, Batch, Any], tuple[TrainState, dict[str, Array]]]


def decay_at(decay: float, step: Array) -> jax.Array:
    """What the average keeps of itself at a step: min(decay, (1 + n) / (10 + n)).

    The rule of `tf.train.ExponentialMovingAverage(decay, num_updates=n)`. At first the
    average would else be that of bad parameters: a thousand updates of them by a decay
    of 0.999, whether it is divided by 1 - decay^n (Adam's correction) or not. By this
    rule it looks back over about n / 9 updates, until the decay is reached. It begins
    as the first parameters, whose weight falls as n^-9: 1e-12 after 100 updates.

    Args:
        decay: at most.
        step: n, the number of the update, from 1; those left out count.
    """
    n = jnp.asarray(step, jnp.float32)
    return jnp.minimum(jnp.float32(decay), (1 + n) / (10 + n))


def step_of(step: Step, decay: float) -> Step:
    """A training step that moves the state's average after its update.

    average + (1 - decay_n) (parameters - average); where the update was left out, the
    average stays, bit for bit, and so it does where the parameters are equal to it.
    """

    def averaging(
        state: TrainState, batch: Batch, rows: Any
    ) -> tuple[TrainState, dict[str, Array]]:
        new, metrics = step(state, batch, rows)
        share = 1 - decay_at(decay, new.step)

        def move(average: Array, param: Array) -> Array:
            moved = average + share * (param - average)
            return jnp.where(metrics["finite"], moved, average)

        with jax.named_scope("average"):
            average = jax.tree.map(move, state.average, new.params)
        return new.replace(average=average), metrics  # type: ignore[attr-defined]

    return averaging
