"""Refuse a training that cannot be, before anything is read, written or compiled."""

from seq2seq_jax import limits
from seq2seq_jax.config import Config
from seq2seq_jax.errors import InputError, choose
from seq2seq_jax.evaluation.metrics import METRICS
from seq2seq_jax.nn import checks as model_checks
from seq2seq_jax.training import embeddings, optimizer
from seq2seq_jax.training.step import NORMALIZERS


def check(config: Config) -> None:
    """Refuse unknown names, values out of range and impossible pairs.

    Raises:
        InputError: naming the field, what came and what was expected.
    """
    training = config.training
    limits.validate(config)
    optimizer.check(training)
    model_checks.check(config.model, config.data.shared_vocab)
    embeddings.check(config)
    choose(["loss", *METRICS], training.metric, "training.metric")
    choose(NORMALIZERS, training.normalize, "training.normalize")


def check_vocabulary(config: Config, size: int) -> None:
    """Refuse what the target vocabulary, once it is known, is too small for."""
    if config.training.eval_beam_size > size:
        raise InputError(
            f"training.eval_beam_size is {config.training.eval_beam_size}, expected at "
            f"most the target vocabulary's size ({size})"
        )
