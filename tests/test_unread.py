"""A setting that nothing reads is refused, and the tables tell who reads which."""

import runpy
import sys
from dataclasses import fields, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import (
    TARGET_VOCAB,
    as_read,
    everything,
    make_batch,
    params_of,
    source_size_of,
)
from sweeps import SWEEP, TINY, name

from seq2seq_jax import unread
from seq2seq_jax.commands import recipes
from seq2seq_jax.config import Config, ModelConfig, TrainingConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.nn import checks as model_checks
from seq2seq_jax.nn import model
from seq2seq_jax.nn import unread as of_model
from seq2seq_jax.training import checks, optimizer, schedules
from seq2seq_jax.training import unread as of_training

ROOT = Path(__file__).resolve().parent.parent
LANGUAGE = replace(TINY, encoder="none", attention="none", bridge="zero")
MODELS = [
    replace(ModelConfig(), decoder="bahdanau"),
    replace(ModelConfig(), bidirectional=False),
    replace(LANGUAGE, hidden_size=ModelConfig().hidden_size),
]
OF_ENCODERS = {"encoder_layers", "bidirectional", "encoder_projection"}
OF_ENCODERS |= {"reverse_source", "bidirectional_layers", "hidden_size"}
TRAININGS = [TrainingConfig(), TrainingConfig(optimizer="sgd")]


def other(value):
    """A value of a field's type, or of a number's where there is none."""
    if isinstance(value, str):
        others = {"none": "add", "linear": "t2t", "steps": "epochs", "best": "latest"}
        others["flat"] = "hierarchical"
        return others[value]
    if isinstance(value, bool):
        return not value
    return 3 if value is None else value + type(value)(1)


def unread_configs(readers, configs):
    """For each field a config that has no use for it, and sets it all the same."""
    for field, entry in readers.items():
        config = next(c for c in configs if not entry.read(replaced(c, field)))
        yield pytest.param(replaced(config, field), field, id=field)


def replaced(config, field):
    more = {"warmup_steps": 0} if field == "warmup" else {}
    return replace(config, **more, **{field: other(getattr(type(config)(), field))})


def refusal(section, config, table, field):
    with pytest.raises(InputError) as caught:
        unread.check(section, config, table)
    message = str(caught.value)
    assert message.startswith(f"{section}.{field} is {getattr(config, field)!r}, but")
    assert message.endswith(f"or set it to {getattr(type(config)(), field)!r}")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("config", "field"), [*unread_configs(of_model.READERS, MODELS)]
)
def test_a_setting_that_no_part_of_the_model_reads_is_refused(config, field):
    refusal("model", config, of_model.READERS, field)


@pytest.mark.parametrize(
    ("config", "field"), [*unread_configs(of_training.READERS, TRAININGS)]
)
def test_a_setting_that_no_part_of_the_training_reads_is_refused(config, field):
    refusal("training", config, of_training.READERS, field)


def test_it_is_told_who_would_read_it():
    with pytest.raises(InputError) as caught:
        model_checks.check(ModelConfig(window=5))
    assert str(caught.value) == (
        "model.window is 5, but nothing reads it: it serves model.alignment local_m, "
        "local_m_paper, local_p or local_p_paper and model.attention "
        "location_sensitive; leave it out, or set it to 10"
    )
    with pytest.raises(InputError, match=r"training\.momentum is 0\.9.*optimizer sgd"):
        checks.check(Config(training=TrainingConfig(momentum=0.9)))


def test_a_residual_connection_needs_a_layer_as_wide_as_its_input():
    one = replace(ModelConfig(), residual="add")
    for more in (
        {"encoder_layers": 2, "residual_from": 3},
        {"encoder_layers": 2, "bidirectional_layers": 1},
        {"encoder_layers": 2, "encoder": "none"},
        {"residual_from": 1},  # 2 x 256 from 256
    ):
        assert not of_model.reads_residual(replace(one, **more))
    for more in (
        {"encoder_layers": 2},
        {"decoder_layers": 3, "residual_from": 3},
        {"residual_from": 1, "bidirectional": False},
        {"residual_from": 1, "encoder": "stacks"},
    ):
        assert of_model.reads_residual(replace(one, **more))


def test_what_another_choice_makes_use_of_is_accepted():
    for values in (
        {"momentum": 0.5, "sgd_from": 9},
        {"sgd_learning_rate": 0.1, "sgd_from": 9},
        {"schedule": "halving", "decay_unit": "epochs", "decay_every": 0.5},
        {"scheduled_sampling": 0.5, "scheduled_sampling_steps": 9},
        {"schedule": "plateau", "decay_factor": 0.1, "plateau_patience": 1},
        {"warmup": "t2t"},
    ):
        checks.check(Config(training=TrainingConfig(**values)))
    for values in ({"warmup_steps": 0}, {"schedule": "rnmt"}):
        with pytest.raises(InputError, match=r"training\.warmup is 't2t'"):
            checks.check(Config(training=TrainingConfig(warmup="t2t", **values)))


def spied(config):
    """The config, and a set that grows by each of its fields that is asked for.

    What `dataclasses.replace` copies is not asked for; of the copy it may be.
    """
    asked = set()

    def get(self, name):
        if sys._getframe(1).f_globals["__name__"] != "dataclasses":
            asked.add(name)
        return object.__getattribute__(self, name)

    kind = type("Spy", (type(config),), {"__getattribute__": get})
    return kind(**vars(config)), asked


@pytest.mark.parametrize("entry", optimizer.OPTIMIZERS)
def test_an_optimizer_reads_the_settings_that_it_names(entry):
    spy, asked = spied(TrainingConfig())
    optimizer.OPTIMIZERS[entry].make(spy)
    assert asked == set(optimizer.OPTIMIZERS[entry].settings)


@pytest.mark.parametrize("entry", schedules.SCHEDULES)
def test_a_schedule_reads_no_setting_but_those_that_it_names(entry):
    spy, asked = spied(TrainingConfig())
    schedules.SCHEDULES[entry].share(spy, jnp.float32(1))
    asked &= set(of_training.BY_TABLES)
    assert asked <= set(schedules.SCHEDULES[entry].settings)


def covering(configs):
    """The first configs that together hold every entry that any of them holds."""
    seen, found = set(), []
    for config in configs:
        entries = {(choice, getattr(config, choice)) for choice in of_model.TABLES}
        if not entries <= seen:
            seen |= entries
            found.append(config)
    return found


@pytest.mark.parametrize("config", covering(SWEEP), ids=name)
def test_a_model_reads_the_settings_that_its_entries_name(config):
    spy, asked = spied(config)

    def run(key, batch):
        params = model.init_params(key, spy, source_size_of(config), TARGET_VOCAB)
        # With noise: it reads settings of its own.
        return model.run(params, spy, as_read(config, batch), key)

    jax.eval_shape(run, jax.random.key(0), make_batch())
    named = set()
    for choice, table in of_model.TABLES.items():
        entry = table[getattr(config, choice)]
        named |= set(entry.settings)
        if config.attention == "concat_code" and choice == "attention":
            entry.refuse(spy)
    tabled = set(unread.by_tables("model", of_model.TABLES))
    if config.encoder == "none":  # sizes of nothing follow from its settings
        tabled -= OF_ENCODERS
    assert asked & tabled == named - (OF_ENCODERS - tabled)


def test_a_language_model_is_the_same_whatever_its_encoder_would_be():
    batch, found = make_batch(), []
    for field in (None, *sorted(OF_ENCODERS)):
        value = {} if field is None else {field: other(getattr(LANGUAGE, field))}
        config = replace(LANGUAGE, **value)
        found.append(everything(params_of(config), config, batch))
    for one in found[1:]:
        jax.tree.map(np.testing.assert_array_equal, one, found[0])


def every_recipe():
    for path in sorted((ROOT / "configs").glob("*.py")):
        variants = runpy.run_path(str(path)).get("VARIANTS")
        yield from (f"{path}:{name}" for name in variants) if variants else [str(path)]


@pytest.mark.parametrize("recipe", [*every_recipe()], ids=lambda text: Path(text).name)
def test_every_recipe_sets_what_is_read(recipe):
    checks.check(recipes.load(recipe))


def test_every_reader_is_of_a_field():
    for section, table in ((ModelConfig, of_model), (TrainingConfig, of_training)):
        assert set(table.READERS) <= {field.name for field in fields(section)}
