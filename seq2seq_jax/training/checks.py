"""Refuse a training that cannot be, before anything is read, written or compiled."""

import dataclasses

from seq2seq_jax import limits, unread
from seq2seq_jax.config import Config, TrainingConfig
from seq2seq_jax.data import pipeline
from seq2seq_jax.data.arrays import ARRAYS
from seq2seq_jax.errors import InputError, choose
from seq2seq_jax.evaluation.metrics import METRICS, measure
from seq2seq_jax.extending import ours
from seq2seq_jax.inference.options import check_coverage
from seq2seq_jax.nn import checks as model_checks
from seq2seq_jax.nn.encoder import ENCODERS
from seq2seq_jax.nn.heads import HEADS
from seq2seq_jax.nn.scores import SCORES
from seq2seq_jax.series import prepare
from seq2seq_jax.series.metrics import HIGHER
from seq2seq_jax.training import baseline, freezing, optimizer, starting, trouble
from seq2seq_jax.training.step import NORMALIZERS
from seq2seq_jax.training.unread import READERS

# What only a search, or a loss over a vocabulary, reads.
OF_TOKENS = """
    label_smoothing eval_beam_size eval_length_penalty eval_coverage_penalty
""".split()


def check(config: Config) -> None:
    """Refuse unknown names, values out of range, impossible pairs, unread settings.

    Raises:
        InputError: naming the field, what came and what was expected.
    """
    training = config.training
    limits.validate(config)
    optimizer.check(training)
    check_kind(config)
    model_checks.check(config.model, config.data.shared_vocab)
    starting.check(config)
    freezing.check(config)
    check_source(config)
    check_metric(config)
    choose(NORMALIZERS, training.normalize, "training.normalize")
    check_sampled_softmax(config)
    check_shards(config)
    check_coverage_loss(config)
    check_drawn(config)
    trouble.check(training)
    if training.scheduled_sampling > 1:
        raise InputError(
            f"training.scheduled_sampling is {training.scheduled_sampling}, expected a "
            f"probability, at most 1"
        )
    penalty = training.eval_coverage_penalty
    check_coverage("training.eval_coverage_penalty", penalty, config.model.attention)
    check_rates(config)
    unread.check("training", training, READERS)


def check_metric(config: Config) -> None:
    """Refuse a metric that there is none of, and one of a user's that fails."""
    metric, series = config.training.metric, config.series.given
    choose(["loss", *(HIGHER if series else METRICS)], metric, "training.metric")
    if metric in METRICS:  # a package that it needs may be missing
        measure([metric], [""], [[""]])
    for name in METRICS:
        if ours(METRICS[name].function):
            continue
        # Its fault must not show after the first thousand updates.
        measure([name], ["", "a b"], [["a"], ["a b", "b"]])


def check_kind(config: Config) -> None:
    """Refuse settings of another kind of data, or a model that is not for it."""
    series = config.series.given
    for section, unread_here in (("series", not series), ("data", series)):
        if unread_here:
            check_unset(config, section)
    if series:
        prepare.check(config.series)
    else:
        pipeline.check(config.data)
    head = HEADS[choose(HEADS, config.model.head, "model.head")]
    if series and (head.width is None or config.model.frontend != "features"):
        numbers = ", ".join(name for name, x in HEADS.items() if x.width is not None)
        raise InputError(
            f"the data is series, but model.frontend is {config.model.frontend!r} "
            f"and model.head {config.model.head!r}: series need model.frontend "
            f"features and one of {numbers}"
        )
    for name in OF_TOKENS if head.width is not None else ():
        value, unset = getattr(config.training, name), getattr(TrainingConfig(), name)
        if value != unset:
            raise InputError(
                f"training.{name} is {value!r}, but model.head {config.model.head!r} "
                f"says numbers, so nothing reads it: leave it out, or set it to {unset}"
            )
    if not series and head.width is not None:
        raise InputError(
            f"model.head is {config.model.head!r}, which says numbers, but the targets "
            f"are texts: name a table by series.table, or set model.head vocabulary"
        )


def check_unset(config: Config, section: str) -> None:
    """Refuse a setting of a kind of data that is not the config's."""
    found = getattr(config, section)
    for name, unset in dataclasses.asdict(type(found)()).items():
        value = getattr(found, name)
        if value != unset:
            given = "the data is series" if config.series.given else "there are none"
            raise InputError(
                f"{section}.{name} is {value!r}, but {given}, so nothing reads it: "
                f"leave it out"
            )


def check_rates(config: Config) -> None:
    """Refuse a rate that would never be reached, or that would rise where it falls.

    A warm-up or a first optimiser that outlasts the steps is fine: a short trial of a
    long recipe has them.
    """
    training = config.training
    if training.sgd_from is not None and training.optimizer == "sgd":
        raise InputError(
            f"training.sgd_from is {training.sgd_from}, but training.optimizer is "
            f"'sgd' from the first step on: set training.sgd_from None"
        )
    if training.schedule == "cosine":
        check_final_rate(config)


def check_final_rate(config: Config) -> None:
    """Refuse a cosine that ends above a peak that it comes from."""
    training = config.training
    peaks = {"learning_rate": training.learning_rate}
    if training.sgd_from is not None:
        peaks["sgd_learning_rate"] = training.sgd_learning_rate
    for name, peak in peaks.items():
        if training.final_learning_rate > peak:
            raise InputError(
                f"training.final_learning_rate is {training.final_learning_rate}, "
                f"expected at most training.{name} ({peak}), from which the cosine "
                f"comes down"
            )


def check_source(config: Config) -> None:
    """Refuse data without sources for a model that reads them, and the reverse."""
    if config.data.target_only == ENCODERS[config.model.encoder].reads:
        raise InputError(
            f"data.target_only is {config.data.target_only} and model.encoder "
            f"{config.model.encoder!r}: a language model needs data.target_only True "
            f"and model.encoder none, any other model neither"
        )
    kind, frontend = config.data.source_tokenizer, config.model.frontend
    if not config.series.given and (kind in ARRAYS) == (frontend == "tokens"):
        raise InputError(
            f"data.source_tokenizer is {kind!r} and model.frontend {frontend!r}: "
            f"{unread.either(ARRAYS)} need a frontend that reads numbers, "
            f"texts need tokens"
        )


def check_sampled_softmax(config: Config) -> None:
    """Refuse a sampled softmax with a smoothed target, or for a head without one."""
    training = config.training
    if not training.sampled_softmax:
        return
    if training.label_smoothing > 0:
        raise InputError(
            f"training.sampled_softmax {training.sampled_softmax} leaves most of the "
            f"vocabulary out, but training.label_smoothing {training.label_smoothing} "
            f"needs all of it: set training.label_smoothing 0, or "
            f"training.sampled_softmax 0"
        )
    if HEADS[config.model.head].sampled_loss is None:
        raise InputError(
            f"training.sampled_softmax is {training.sampled_softmax}, but model.head "
            f"{config.model.head!r} has no sampled loss: set training.sampled_softmax 0"
        )


def check_shards(config: Config) -> None:
    """Refuse, for a vocabulary cut over devices, what needs all of it on each."""
    training = config.training
    if training.vocabulary_shards == 1:
        return
    told = f"training.vocabulary_shards is {training.vocabulary_shards}"
    for name in ("sampled_softmax", "scheduled_sampling"):
        if value := getattr(training, name):
            raise InputError(
                f"{told}, but training.{name} {value} needs the whole vocabulary on "
                f"every device: set training.vocabulary_shards 1, or training.{name} 0"
            )
    if HEADS[config.model.head].width is not None:
        raise InputError(
            f"{told}, but model.head {config.model.head!r} has no vocabulary: set "
            f"training.vocabulary_shards 1"
        )
    if HEADS[config.model.head].copies:
        raise InputError(
            f"{told}, but model.head {config.model.head!r} needs the whole vocabulary "
            f"on every device: set training.vocabulary_shards 1"
        )
    if config.model.backend == "pallas":
        raise InputError(
            f"{told}, but model.backend is 'pallas', whose interpreter cannot be cut "
            f"over devices: set model.backend auto, which has the kernels on TPUs"
        )


def check_coverage_loss(config: Config) -> None:
    """Refuse a loss on where attention has been for a model that looks nowhere."""
    score = config.model.attention
    for name in ("coverage_loss", "doubly_stochastic"):
        value = getattr(config.training, name)
        if value and not SCORES[score].looks:
            raise InputError(
                f"training.{name} is {value}, but model.attention is {score!r}, which "
                f"looks nowhere: set training.{name} 0"
            )


def check_vocabulary(config: Config, size: int) -> None:
    """Refuse what the target vocabulary, once it is known, is too small for."""
    if config.training.sampled_softmax >= size:
        raise InputError(
            f"training.sampled_softmax is {config.training.sampled_softmax}, expected "
            f"less than the target vocabulary's size ({size}), or 0 for all of it"
        )
    if config.training.eval_beam_size > size:
        raise InputError(
            f"training.eval_beam_size is {config.training.eval_beam_size}, expected at "
            f"most the target vocabulary's size ({size})"
        )


def check_drawn(config: Config) -> None:
    """Refuse, for attention that is not drawn, what teaches draws; and cut outputs."""
    draws, training = baseline.wanted(config.model), config.training
    told = f"model.alignment is {config.model.alignment!r}"
    for name in ("reinforce", "attention_entropy"):
        value = getattr(training, name)
        if not draws and value != getattr(TrainingConfig(), name):
            raise InputError(
                f"training.{name} is {value}, but {told}, which draws nothing, so "
                f"nothing reads it: leave it out, or set model.alignment hard"
            )
    if draws and training.vocabulary_shards > 1:
        raise InputError(
            f"{told}, whose rewards need the whole vocabulary on every device, but "
            f"training.vocabulary_shards is {training.vocabulary_shards}: set it to 1"
        )
    if draws and HEADS[config.model.head].width is not None:
        raise InputError(
            f"{told}, whose reward is a token's probability, but model.head is "
            f"{config.model.head!r}, which says numbers: set model.alignment global"
        )
