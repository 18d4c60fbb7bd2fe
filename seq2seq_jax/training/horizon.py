"""How long a training is, once it is known how many batches make an epoch."""

import math
from dataclasses import replace

from seq2seq_jax.config import TrainingConfig

ROUNDING = 1e-6  # of an update: 0.1 epochs of 30 batches are 3 updates, not 4


def resolve(config: TrainingConfig, batches: int) -> TrainingConfig:
    """The config with every length in updates; what was asked for stands in the other.

    A pure function: a resumed run of the same data finds the same numbers. `epochs`
    gives `steps`; with `decay_unit` epochs, the rate first decays in the first update
    after `decay_start` epochs.

    Args:
        config: the training section as the user gave it.
        batches: of an epoch.

    >>> sutskever = TrainingConfig(
    ...     epochs=7.5, decay_unit="epochs", decay_start=5, decay_every=0.5
    ... )
    >>> made = resolve(sutskever, 100)
    >>> made.steps, made.decay_start, made.decay_every
    (750, 501, 50.0)
    """
    steps, start, every = config.steps, config.decay_start, config.decay_every
    if config.epochs is not None:
        steps = max(math.ceil(config.epochs * batches - ROUNDING), 1)
    if config.decay_unit == "epochs":
        start = None if start is None else start * batches + 1
        every = None if every is None else every * batches
    return replace(
        config,
        steps=steps,
        epochs=None,
        decay_start=start,
        decay_every=every,
        decay_unit="steps",
    )


def describe(config: TrainingConfig, batches: int) -> str:
    """What came of lengths in epochs, in one line; empty where all are in updates.

    >>> describe(TrainingConfig(epochs=1.5), 1000)
    '1.5 epochs of 1,000 batches: 1,500 updates'
    """
    told = []
    if config.epochs is not None:
        steps = resolve(config, batches).steps
        told.append(
            f"{config.epochs:g} epochs of {batches:,} batches: {steps:,} updates"
        )
    if config.decay_unit == "epochs":
        start, every = resolve(config, batches).decay_start, config.decay_every
        if start is not None:
            told.append(f"the rate decays from update {math.ceil(start):,} on")
        if every is not None:
            told.append(f"and again every {every * batches:g} updates")
    return ", ".join(told)
