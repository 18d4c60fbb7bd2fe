"""Which settings of a training only some trainings read, for `unread.check`.

What an entry of a table reads stands with the entry, as its `settings`; here stands
what depends on more than one choice.
"""

from collections.abc import Mapping
from typing import Any

from seq2seq_jax.config import TrainingConfig
from seq2seq_jax.training.optimizer import OPTIMIZERS
from seq2seq_jax.training.schedules import SCHEDULES
from seq2seq_jax.unread import Readers, by_tables

TABLES: Mapping[str, Mapping[str, Any]] = {
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
}
BY_TABLES = by_tables("training", TABLES)


def reads_momentum(config: TrainingConfig) -> bool:
    """SGD does, where it takes over later too."""
    return config.sgd_from is not None or BY_TABLES["momentum"].read(config)


def reads_warmup(config: TrainingConfig) -> bool:
    """Whether there is a warm-up that is not the schedule's own."""
    return config.warmup_steps > 0 and not SCHEDULES[config.schedule].own_warmup


def reads_unit(config: TrainingConfig) -> bool:
    """Whether there is a length to count in it."""
    lengths = config.decay_start, config.decay_every
    return BY_TABLES["decay_unit"].read(config) and lengths != (None, None)


READERS = BY_TABLES | {
    "momentum": Readers(
        reads_momentum, f"{BY_TABLES['momentum'].named} and training.sgd_from"
    ),
    "sgd_learning_rate": Readers(
        lambda config: config.sgd_from is not None, "training.sgd_from"
    ),
    "warmup": Readers(
        reads_warmup,
        "training.warmup_steps above 0, with a training.schedule that has no warm-up "
        "of its own",
    ),
    "decay_unit": Readers(
        reads_unit,
        f"{BY_TABLES['decay_unit'].named}, with training.decay_start or decay_every",
    ),
    "scheduled_sampling_steps": Readers(
        lambda config: config.scheduled_sampling > 0, "training.scheduled_sampling"
    ),
    "init_checkpoint": Readers(
        lambda config: config.init_from is not None, "training.init_from"
    ),
    "init_partial": Readers(
        lambda config: config.init_from is not None, "training.init_from"
    ),
    "nan_limit": Readers(
        lambda config: config.on_nan == "skip", "training.on_nan skip"
    ),
}
