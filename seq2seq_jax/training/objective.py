"""What a training minimises: the model's loss, with what happens in training alone."""

from typing import Any

from seq2seq_jax.config import Config
from seq2seq_jax.nn import candidates, model
from seq2seq_jax.training.step import LossFn, Update
from seq2seq_jax.types import Batch, Params, Sums


def objective(config: Config, vocabulary: int) -> LossFn:
    """The loss of a training step; evaluation has `model.loss` as it is.

    Args:
        config: the recipe.
        vocabulary: ids of the target side.
    """
    training = config.training

    def loss(params: Params, batch: Batch, keys: Any, update: Update | None) -> Sums:
        negatives = None
        if training.sampled_softmax and update is not None:
            # The same for all rows: then devices and pieces add up to one batch's loss.
            negatives = candidates.draw(
                update.key, vocabulary, training.sampled_softmax
            )
        smoothing = training.label_smoothing
        return model.loss(
            params, config.model, batch, smoothing, keys, negatives=negatives
        )

    return loss
