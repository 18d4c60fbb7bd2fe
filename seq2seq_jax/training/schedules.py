"""The learning rate at an update: a peak, its warm-up and its schedule, by name.

Everything is a pure function of the config and the number of updates made: nothing is
remembered, so a resumed run goes on with the rates of one never interrupted.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp

from seq2seq_jax.config import TrainingConfig
from seq2seq_jax.types import Array


class Schedule(NamedTuple):
    """One way that the rate changes over a training.

    Attributes:
        share: `(config, t) ->` the share of the rate at update t = 1, 2, ..., a float32
            scalar, traced inside the step.
        own_warmup: whether the share has its own warm-up, and `WARMUPS` none to add.
        settings: fields of the config that it reads and some other entries do not.
    """

    share: Callable[[TrainingConfig, Array], Array]
    own_warmup: bool = False
    settings: tuple[str, ...] = ()


def constant(config: TrainingConfig, t: Array) -> Array:
    """The peak rate throughout."""
    return jnp.ones_like(t)


def inverse_sqrt(config: TrainingConfig, t: Array) -> Array:
    """sqrt(w / max(t, w)) for w updates of warm-up: Vaswani et al. 2017, eq. 3."""
    warmup = max(config.warmup_steps, 1)
    return jnp.sqrt(warmup / jnp.maximum(t, warmup))


def cosine(config: TrainingConfig, t: Array) -> Array:
    """Half a cosine down to `final_learning_rate`: Loshchilov & Hutter 2017, eq. 5."""
    span = max(config.steps - config.warmup_steps, 1)
    done = jnp.clip((t - config.warmup_steps) / span, 0.0, 1.0)
    floor = config.final_learning_rate / config.learning_rate
    return floor + (1.0 - floor) * 0.5 * (1.0 + jnp.cos(jnp.pi * done))


def halving(config: TrainingConfig, t: Array) -> Array:
    """`decay_factor` once at `decay_start`, and again every `decay_every` updates.

    Sutskever et al. 2014, section 3.4, halve every half epoch after 5 epochs, 7.5 in
    all; Luong et al. 2015, section 4.1, every epoch after 5 epochs of 10, or 8 of 12
    with dropout: set `decay_unit` epochs (`horizon.resolve` makes updates of them).

    >>> luong = TrainingConfig(decay_start=51, decay_every=10)
    >>> [float(halving(luong, jnp.float32(t))) for t in (50, 51, 60, 61)]
    [1.0, 0.5, 0.5, 0.25]
    """
    start = config.steps // 2 if config.decay_start is None else config.decay_start
    every = config.decay_every or max(config.steps // 10, 1)
    # Not floor(x / y): compiled, a division may be a product that lands below a whole.
    decays = jnp.floor_divide(t - start, every) + 1.0
    return config.decay_factor ** jnp.maximum(decays, 0.0)


def luong(
    config: TrainingConfig, t: Array, start: tuple[int, int], times: int
) -> Array:
    """tensorflow/nmt's `decay_scheme` (`model.py`, `_get_decay_info`): a staircase.

    From s0 = int(steps a / b) for `start` (a, b), halvings lie int((steps - s0) /
    times) updates apart, and the first one comes so many AFTER s0 (`exponential_decay`
    with `staircase=True` gives 1 until then). The last would come with the last update.
    `decay_factor` has no part in it.

    >>> iwslt15 = TrainingConfig(steps=12_000)
    >>> [float(luong(iwslt15, jnp.float32(t), (2, 3), 4)) for t in (8001, 9000, 9001)]
    [1.0, 1.0, 0.5]
    """
    first = config.steps * start[0] // start[1]
    every = max((config.steps - first) // times, 1)
    made = t - 1.0  # the global step there counts updates made
    return 0.5 ** jnp.maximum(jnp.floor_divide(made - first, every), 0.0)


def rnmt(config: TrainingConfig, t: Array) -> Array:
    """RNMT+, Chen et al. 2018, section 4.1: min(1 + t(n-1)/(np), n, n(2n)^d).

    d = (s - nt)/(e - s), t updates made, by n synchronous replicas (`replicas`). The
    share climbs from 1 to n in np updates, stands until update s/n, falls to 1/2 at
    update e/n and stays there: s and e count the batches of single replicas. Here
    `learning_rate` is one replica's (1e-4 there), p is `warmup_steps` (500), s
    `decay_start` (600,000; None: half of all), e - s `decay_every` (600,000; None: to
    the last update).

    >>> paper = TrainingConfig(
    ...     replicas=32, warmup_steps=500, decay_start=600_000, decay_every=600_000
    ... )
    >>> [float(rnmt(paper, jnp.float32(t + 1))) for t in (0, 16_000, 18_750, 37_500)]
    [1.0, 32.0, 32.0, 0.5]
    """
    n, p, made = config.replicas, max(config.warmup_steps, 1), t - 1.0
    total = n * config.steps
    start = total // 2 if config.decay_start is None else config.decay_start
    span = config.decay_every or max(total - start, 1)
    done = jnp.clip((n * made - start) / span, 0.0, 1.0)  # above 0: n is the smaller
    return jnp.minimum(1.0 + made * (n - 1) / (n * p), n * (2.0 * n) ** -done)


SCHEDULES: dict[str, Schedule] = {
    "constant": Schedule(constant),
    "inverse_sqrt": Schedule(inverse_sqrt),
    "cosine": Schedule(cosine, settings=("final_learning_rate",)),
    "halving": Schedule(
        halving, settings=("decay_start", "decay_every", "decay_unit", "decay_factor")
    ),
    "luong5": Schedule(partial(luong, start=(1, 2), times=5)),
    "luong10": Schedule(partial(luong, start=(1, 2), times=10)),
    "luong234": Schedule(partial(luong, start=(2, 3), times=4)),
    "rnmt": Schedule(
        rnmt, own_warmup=True, settings=("replicas", "decay_start", "decay_every")
    ),
    # Its factor is set from outside: `optimizer.set_factor`.
    "plateau": Schedule(constant, settings=("decay_factor", "plateau_patience")),
}


def linear(config: TrainingConfig, t: Array) -> Array:
    """t / w for w updates of warm-up, so the first one is not lost."""
    return jnp.minimum(1.0, t / max(config.warmup_steps, 1))


def t2t(config: TrainingConfig, t: Array) -> Array:
    """0.01^((w - t) / w) for t < w updates made: from a hundredth of the rate on.

    tensorflow/nmt's `warmup_scheme` (`model.py`, `_get_learning_rate_warmup`).
    """
    warmup = config.warmup_steps
    return 0.01 ** (jnp.maximum(warmup - (t - 1.0), 0.0) / max(warmup, 1))


# The share of the rate at update t = 1, 2, ... while it is warmed up; 1 afterwards.
WARMUPS: dict[str, Callable[[TrainingConfig, Array], Array]] = {
    "linear": linear,
    "t2t": t2t,
}


def learning_rate(config: TrainingConfig, step: Array | int, factor: float = 1.0):
    """The rate of the update that takes the state from `step` to `step + 1`.

    The peak is `learning_rate`, after `sgd_from` updates `sgd_learning_rate`; warm-up
    and schedule count all updates and multiply whichever it is.

    Args:
        config: the training section, its lengths in updates (`horizon.resolve`).
        step: number of updates made before this one.
        factor: the plateau schedule's decays so far (`optimizer.get_factor`).

    >>> warm = TrainingConfig(learning_rate=0.1, schedule="constant", warmup_steps=4)
    >>> [round(float(learning_rate(warm, step)), 3) for step in (0, 1, 3, 100)]
    [0.025, 0.05, 0.1, 0.1]
    """
    t = jnp.asarray(step, jnp.float32) + 1.0
    rate = rate_at(config, t)
    if config.sgd_from is not None:
        other = replace(config, learning_rate=config.sgd_learning_rate)
        rate = jnp.where(t > config.sgd_from, rate_at(other, t), rate)
    return rate * factor


def rate_at(config: TrainingConfig, t: Array) -> Array:
    """The rate at update t = 1, 2, ... that grows from `config.learning_rate`."""
    schedule = SCHEDULES[config.schedule]
    warm = 1.0 if schedule.own_warmup else WARMUPS[config.warmup](config, t)
    return config.learning_rate * warm * schedule.share(config, t)
