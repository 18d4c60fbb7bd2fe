"""A training that cannot be is refused in one line that says what to do."""

from dataclasses import replace

import pytest

from seq2seq_jax.config import Config, DataConfig, TrainingConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.training import checks

GOOD = Config()


def refusal(**training):
    with pytest.raises(InputError) as caught:
        checks.check(replace(GOOD, training=TrainingConfig(**training)))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_defaults_are_admitted():
    checks.check(GOOD)


def test_an_unknown_normalizer_is_refused_with_the_nearest():
    assert "did you mean 'sentences'" in refusal(normalize="sentence")


@pytest.mark.parametrize("field", ["sgd_from", "sgd_learning_rate", "replicas"])
def test_nothing_is_too_little(field):
    assert f"training.{field} is 0, expected a number above 0" in refusal(**{field: 0})


def test_a_sampled_softmax_needs_a_target_that_is_not_smoothed():
    message = refusal(sampled_softmax=8, label_smoothing=0.1)
    assert "set training.label_smoothing 0" in message
    good = TrainingConfig(sampled_softmax=8, label_smoothing=0.0)
    checks.check(replace(GOOD, training=good))
    assert "sampled_softmax is -1, expected 0" in refusal(sampled_softmax=-1)


def test_a_sampled_softmax_needs_a_head_that_has_one():
    assert "has no sampled loss" in copying(sampled_softmax=8, label_smoothing=0.0)


def test_a_head_that_copies_needs_the_whole_vocabulary():
    assert "needs the whole vocabulary" in copying(vocabulary_shards=2)


def copying(**training):
    """The refusal of a training whose model may copy."""
    model = replace(GOOD.model, head="pointer")
    data = replace(GOOD.data, shared_vocab=True)
    config = replace(GOOD, model=model, data=data, training=TrainingConfig(**training))
    with pytest.raises(InputError) as caught:
        checks.check(config)
    return str(caught.value)


def test_a_coverage_loss_needs_something_to_look_at():
    model = replace(GOOD.model, attention="none")
    training = TrainingConfig(coverage_loss=1.0)
    with pytest.raises(InputError, match="'none', which looks nowhere"):
        checks.check(replace(GOOD, model=model, training=training))


def test_as_many_samples_as_the_vocabulary_are_refused():
    training = TrainingConfig(sampled_softmax=9, label_smoothing=0.0)
    config = replace(GOOD, training=training)
    checks.check_vocabulary(config, 10)
    with pytest.raises(InputError, match="sampled_softmax is 9, expected less than"):
        checks.check_vocabulary(config, 9)


def test_scheduled_sampling_is_a_probability_that_climbs_forward():
    for share in (0.0, 1.0):
        checks.check(replace(GOOD, training=TrainingConfig(scheduled_sampling=share)))
    assert "expected a probability" in refusal(scheduled_sampling=1.5)
    assert "expected 0 or more" in refusal(scheduled_sampling=-0.5)
    assert "expected 0 or more" in refusal(scheduled_sampling_steps=-1)


def test_a_beam_wider_than_the_vocabulary_is_refused():
    config = replace(GOOD, training=TrainingConfig(eval_beam_size=9))
    checks.check_vocabulary(config, 9)
    with pytest.raises(InputError, match="eval_beam_size is 9, expected at most"):
        checks.check_vocabulary(config, 8)


def test_the_searches_of_evaluations_are_checked_beforehand():
    assert "expected 0 or more" in refusal(eval_length_penalty=-0.1)
    assert "expected a finite number" in refusal(eval_length_penalty=float("inf"))
    assert "expected a finite number" in refusal(learning_rate=float("nan"))
    config = replace(GOOD, training=TrainingConfig(eval_coverage_penalty=0.2))
    checks.check(config)
    blind = replace(GOOD.model, attention="none", decoder="plain")
    with pytest.raises(InputError, match="but the model has no attention"):
        checks.check(replace(config, model=blind))


def accepted(**training):
    checks.check(replace(GOOD, training=TrainingConfig(**training)))


def test_a_short_trial_of_a_long_recipe_is_accepted():
    accepted(steps=9, warmup_steps=10, sgd_from=300)


def test_sgd_takes_over_from_another():
    assert "'sgd' from the first step on" in refusal(sgd_from=9, optimizer="sgd")


def test_a_cosine_comes_down_from_every_peak():
    cosine = {"schedule": "cosine", "learning_rate": 0.1}
    message = refusal(final_learning_rate=0.2, **cosine)
    assert "final_learning_rate is 0.2, expected at most training.learning_" in message
    accepted(final_learning_rate=0.1, **cosine)
    later = {"sgd_from": 9, "sgd_learning_rate": 0.01}
    assert "sgd_learning_rate (0.01)" in refusal(
        final_learning_rate=0.1, **cosine, **later
    )


def test_one_vocabulary_has_one_size():
    data = DataConfig(shared_vocab=True, target_vocab_size=9)
    with pytest.raises(InputError, match=r"set data\.vocab_size alone"):
        checks.check(replace(GOOD, data=data))
