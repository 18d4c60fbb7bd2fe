"""Which values a config's fields may take, whatever the other tables say."""

import math

from seq2seq_jax.config import Config, flatten
from seq2seq_jax.errors import InputError

POSITIVE = (
    "data.vocab_size data.target_vocab_size data.min_count data.max_length "
    "data.buckets model.hidden_size "
    "model.decoder_hidden_size model.embedding_size model.encoder_layers "
    "model.decoder_layers model.attention_size model.init_scale training.steps "
    "model.bidirectional_layers model.encoder_projection model.residual_from "
    "model.attention_heads model.window model.positions model.readout_size "
    "data.picture_size model.output_rank model.unroll model.quantiles "
    "series.past_steps series.horizon series.season "
    "training.batch_tokens training.batch_size training.accumulate "
    "training.vocabulary_shards "
    "training.epochs training.learning_rate training.replicas training.sgd_from "
    "training.sgd_learning_rate training.initial_accumulator "
    "training.decay_every training.decay_factor training.epsilon training.clip_norm "
    "training.clip_deviations "
    "training.log_every training.eval_every training.patience training.eval_examples "
    "training.eval_beam_size training.save_every training.keep_last "
    "training.plateau_patience training.prefetch training.nan_limit "
    "training.loss_limit"
).split()
NOT_NEGATIVE = (
    "data.source_column data.target_column data.features_column training.warmup_steps "
    "training.decay_start training.final_learning_rate training.weight_decay "
    "training.reinforce training.attention_entropy training.keep_best "
    "training.sampled_softmax training.doubly_stochastic model.drawn_share "
    "training.scheduled_sampling training.scheduled_sampling_steps training.seed "
    "training.eval_length_penalty training.eval_coverage_penalty "
    "training.eval_pictures"
).split()
SHARES = (
    "model.dropout model.output_dropout model.recurrent_dropout model.zoneout "
    "model.attention_dropout training.label_smoothing training.momentum training.beta1 "
    "training.beta2 training.rho training.ema"
).split()


def validate(config: Config) -> None:
    """Refuse values out of range, before anything is read or compiled.

    Raises:
        InputError: naming the field, its value and what was expected.
    """
    for name, value in flatten(config):
        if value is None or isinstance(value, str):
            continue
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{name} is {value}, expected a finite number")
        if name in POSITIVE and not value > 0:
            raise InputError(f"{name} is {value}, expected a number above 0")
        if name in NOT_NEGATIVE and not value >= 0:
            raise InputError(f"{name} is {value}, expected 0 or more")
        if name in SHARES and not 0 <= value < 1:
            raise InputError(f"{name} is {value}, expected at least 0 and below 1")
    if config.data.max_length < 2:
        raise InputError(
            "data.max_length is 1, expected at least 2: a token and its end"
        )
    budget = config.training.batch_size is None
    if budget and config.training.batch_tokens < config.data.max_length:
        raise InputError(
            f"training.batch_tokens is {config.training.batch_tokens}, expected at "
            f"least data.max_length ({config.data.max_length}), or a long pair fits no "
            f"batch; or set training.batch_size"
        )
