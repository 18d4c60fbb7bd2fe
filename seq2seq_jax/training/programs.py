"""What training compiles: the update of a config, and the state it starts from."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax

from seq2seq_jax.config import Config, TrainingConfig
from seq2seq_jax.nn import model
from seq2seq_jax.training import baseline, exchange, freezing, moving
from seq2seq_jax.training.objective import objective
from seq2seq_jax.training.step import init_state, train_step
from seq2seq_jax.types import Params, TrainState


def train_step_of(config: Config, vocabulary: int, tx: Any) -> Callable:
    """A device's `(state, batch, rows) -> (state, metrics)`, to be mapped.

    Args:
        config: the recipe, its lengths in updates.
        vocabulary: ids of the target side.
        tx: the optimiser.
    """
    training, loss = config.training, objective(config, vocabulary)
    told = exchange.of(training)
    step = partial(
        train_step,
        accumulate=training.accumulate,
        normalize=training.normalize,
        loss_limit=training.loss_limit,
        exchange=told,
    )
    if training.freeze:
        made = freezing.step_of(step, loss, tx, training.freeze, told.rows)
    else:
        made = partial(step, loss, tx)
    made = moving.step_of(made, training.ema) if training.ema else made
    return baseline.step_of(made) if baseline.wanted(config.model) else made


def first_state(
    config: Config, sizes: Sequence[int], tx: Any, key: jax.Array
) -> TrainState:
    """The state before the first update, from the sizes of both sides and a seed."""
    first, key = jax.random.split(key)
    params = model.init_params(first, config.model, *sizes)
    state = started(params, config.training, tx, key)
    if not baseline.wanted(config.model):
        return state
    return dataclasses.replace(state, baseline=baseline.first())


def started(
    params: Params, config: TrainingConfig, tx: Any, key: jax.Array
) -> TrainState:
    """The state before the first update of some parameters."""
    learnt, _ = freezing.split(params, config.freeze)
    state = init_state(key, learnt, tx)
    average = params if config.ema else None
    return dataclasses.replace(state, params=params, average=average)
