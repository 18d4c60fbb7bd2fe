"""What training compiles: the update of a config, and the state it starts from."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax

from seq2seq_jax.config import Config
from seq2seq_jax.nn import model
from seq2seq_jax.training import exchange
from seq2seq_jax.training.objective import objective
from seq2seq_jax.training.step import init_state, train_step
from seq2seq_jax.types import TrainState


def train_step_of(config: Config, vocabulary: int, tx: Any) -> Callable:
    """A device's `(state, batch, rows) -> (state, metrics)`, to be mapped.

    Args:
        config: the recipe, its lengths in updates.
        vocabulary: ids of the target side.
        tx: the optimiser.
    """
    return partial(
        train_step,
        objective(config, vocabulary),
        tx,
        accumulate=config.training.accumulate,
        normalize=config.training.normalize,
        loss_limit=config.training.loss_limit,
        exchange=exchange.of(config.training),
    )


def first_state(
    config: Config, source: int, target: int, tx: Any, key: jax.Array
) -> TrainState:
    """The state before the first update, from the vocabularies' sizes and a seed."""
    first, key = jax.random.split(key)
    return init_state(key, model.init_params(first, config.model, source, target), tx)
