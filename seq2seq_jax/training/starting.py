"""What a training without a checkpoint starts from, beside its seed.

Word vectors (`embeddings`) or another training's weights (`warm`). A run that goes on
reads none of it: what it was may be gone.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from seq2seq_jax.config import Config, TrainingConfig
from seq2seq_jax.data.pipeline import Prepared
from seq2seq_jax.errors import InputError
from seq2seq_jax.training import embeddings, freezing, warm
from seq2seq_jax.types import Params, TrainState


class Start(NamedTuple):
    """What was read.

    Attributes:
        put: the parameters from the seed to those that the training starts from.
        facts: of whose weights they are, as JSON values; empty: of nobody's.
    """

    put: Callable[[Params], Params]
    facts: dict[str, Any]


def check(config: Config) -> None:
    """Refuse what cannot be, and two beginnings for one table.

    Raises:
        InputError: with the way out.
    """
    embeddings.check(config)
    warm.check(config.training)
    if config.training.init_from is not None:
        for side in embeddings.given(config):
            raise InputError(
                f"training.init_from is given and data.{side}_vectors too, but "
                f"embeddings start from one of them: leave the other out"
            )


def check_files(config: Config) -> None:
    """Refuse what is no file of word vectors, or no workdir, before all else is read.

    Raises:
        InputError: naming it.
    """
    embeddings.check_files(config)
    warm.check_workdir(config)


def read(config: Config, data: Prepared, log: Callable[[str], None]) -> Start | None:
    """What the config names to start from; None: nothing.

    Raises:
        InputError: it cannot be used.
    """
    if config.training.init_from is not None:
        found = warm.read(config, data, log)
        return Start(found.put, found.facts)
    if embeddings.given(config) and (vectors := embeddings.read(config, data, log)):
        return Start(lambda params: embeddings.start_from(params, vectors), {})
    return None


def into(state: TrainState, params: Params) -> TrainState:
    """The first state with other parameters, and an average that begins as they are."""
    average = None if state.average is None else params
    return dataclasses.replace(state, params=params, average=average)


def count(params: Params, config: TrainingConfig) -> str:
    """How many parameters there are, in words."""
    number = sum(leaf.size for leaf in jax.tree.leaves(params))
    frozen = freezing.count(params, config.freeze)
    return f"{number:,} parameters" + (f", {frozen:,} of them frozen" if frozen else "")
