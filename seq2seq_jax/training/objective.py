"""What a training minimises: the model's loss, with what happens in training alone."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from seq2seq_jax.config import Config, TrainingConfig
from seq2seq_jax.nn import candidates, hard, model
from seq2seq_jax.nn.shards import Shards
from seq2seq_jax.training.step import ROWS, VOCABULARY, LossFn, Update
from seq2seq_jax.types import Array, Batch, Params, Sums


def own_share(config: TrainingConfig, step: Array | int) -> jax.Array:
    """The probability that the decoder reads its own last token after `step` updates.

    Bengio et al. 2015, section 2.4, linear decay of the true token's probability, here
    from 1 to 1 - `scheduled_sampling` over `scheduled_sampling_steps` updates.

    >>> half = TrainingConfig(scheduled_sampling=0.5, scheduled_sampling_steps=10)
    >>> [float(own_share(half, step)) for step in (0, 5, 10, 99)]
    [0.0, 0.25, 0.5, 0.5]
    """
    climb = config.scheduled_sampling_steps
    done = jnp.minimum(jnp.asarray(step, jnp.float32) / climb, 1.0) if climb else 1.0
    return jnp.asarray(config.scheduled_sampling * done, jnp.float32)


def cut_of(config: TrainingConfig, vocabulary: int) -> Shards | None:
    """How a target vocabulary of so many ids is cut over devices; None: it is not."""
    if config.vocabulary_shards == 1:
        return None
    return Shards(VOCABULARY, ROWS, vocabulary)


def objective(config: Config, vocabulary: int) -> LossFn:
    """The loss of a training step; evaluation has `model.loss` as it is.

    Args:
        config: the recipe.
        vocabulary: ids of the target side.
    """
    training, cut = config.training, cut_of(config.training, vocabulary)

    def loss(params: Params, batch: Batch, keys: Any, update: Update | None) -> Sums:
        negatives = None
        if training.sampled_softmax and update is not None:
            # The same for all rows: then devices and pieces add up to one batch's loss.
            negatives = candidates.draw(
                update.key, vocabulary, training.sampled_softmax
            )
        own = None
        if training.scheduled_sampling and update is not None:
            own = own_share(training, update.step)
        smoothing, reinforce = training.label_smoothing, None
        if update is not None and update.baseline is not None:
            reinforce = partial(
                hard.reinforced_loss,
                baseline=update.baseline,
                reward=training.reinforce,
                spread=training.attention_entropy,
            )
        return model.loss(
            params,
            config.model,
            batch,
            smoothing,
            keys,
            negatives=negatives,
            own=own,
            cut=cut,
            coverage=training.coverage_loss,
            evenness=training.doubly_stochastic,
            reinforce=reinforce,
        )

    return loss
