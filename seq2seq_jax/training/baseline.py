"""What a reward is compared with, where attention is drawn (Xu et al. 2015, 4.1).

b_k = 0.9 b_{k-1} + 0.1 log p(y | s_k, a), a moving average over updates; here of a
token's mean log-probability, as a batch has captions of many lengths. It is part of the
state and of its checkpoints.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn.alignments import ALIGNMENTS
from seq2seq_jax.types import Array, Batch, TrainState

KEPT = 0.9


def wanted(config: ModelConfig) -> bool:
    """Whether the model draws where it looks."""
    return ALIGNMENTS[config.alignment].draw is not None


def first() -> Array:
    """Before the first update."""
    return jnp.zeros((), jnp.float32)


def step_of(step: Callable) -> Callable:
    """A training step that moves the state's baseline; one left out does not."""

    def tracking(
        state: TrainState, batch: Batch, rows: Any
    ) -> tuple[TrainState, dict[str, Array]]:
        new, metrics = step(state, batch, rows)
        before = jnp.asarray(state.baseline)
        reward = -metrics["nll"] / jnp.maximum(metrics["weight"], 1)
        moved = KEPT * before + (1 - KEPT) * reward
        moved = jnp.where(metrics["finite"], moved, before)
        return new.replace(baseline=moved), metrics

    return tracking
