"""What a user's file adds to tables: tried before a training, told by its name."""

import re
from dataclasses import replace

import jax.numpy as jnp
import pytest
from command_line import refusal
from predictors import predictor

from seq2seq_jax.commands import recipes
from seq2seq_jax.config import Config, ModelConfig, TrainingConfig
from seq2seq_jax.data import tokenizers
from seq2seq_jax.data.kinds import TOKENIZERS, vocabulary_kind
from seq2seq_jax.errors import InputError
from seq2seq_jax.evaluation.metrics import METRICS, Metric, measure
from seq2seq_jax.exporting import folder as exporting
from seq2seq_jax.nn import checks as model_checks
from seq2seq_jax.nn.encoder import ENCODERS, Encoder
from seq2seq_jax.nn.memory import products, projected_memory
from seq2seq_jax.nn.scores import SCORES, Score
from seq2seq_jax.training import checks

MINE = ModelConfig(hidden_size=4, embedding_size=3, attention="mine")


def make(key, config, query_size, value_size, inits):
    return {"kernel": inits.attention(key, (value_size, query_size))}


def score(energies):
    return Score(make, projected_memory, energies)


def right(params, query, memory, state):
    return products(query, memory.keys)


def test_a_score_that_gives_what_it_must_passes(monkeypatch):
    monkeypatch.setitem(SCORES, "mine", score(right))
    model_checks.check(MINE)
    model_checks.check(replace(MINE, attention_heads=2))


@pytest.mark.parametrize(
    ("energies", "told"),
    [
        (lambda *given: right(*given)[..., None], "are [2, 3, 1], expected [2, 3]"),
        (lambda *given: right(*given)[..., :1], "are [2, 1], expected [2, 3]"),
        (lambda *given: None, "are no array, expected [2, 3]"),
        (lambda params, query: query, "takes 2 positional arguments but 4 were given"),
    ],
    ids=["one-too-many", "summed", "nothing", "arguments"],
)
def test_a_score_of_other_shapes_is_told_by_its_name(monkeypatch, energies, told):
    monkeypatch.setitem(SCORES, "mine", score(energies))
    with pytest.raises(InputError, match=r"model\.attention 'mine'") as caught:
        model_checks.check(MINE)
    assert told in str(caught.value)


def test_what_a_score_s_own_code_raises_passes(monkeypatch):
    def fails(params, query, memory, state):
        raise TypeError("of its own")

    monkeypatch.setitem(SCORES, "mine", score(fails))
    with pytest.raises(TypeError, match="of its own"):
        model_checks.check(MINE)


def test_an_encoder_is_as_wide_as_the_config_says(monkeypatch):
    ours = ENCODERS["recurrent"]

    def summed(params, config, x, mask, key):
        found = ours.encode(params, config, x, mask, key)
        one, other = jnp.split(found.annotations, 2, axis=-1)
        return found.replace(annotations=one + other)

    config = replace(MINE, encoder="mine", attention="general")
    monkeypatch.setitem(ENCODERS, "mine", Encoder(ours.init, summed))
    with pytest.raises(InputError, match=r"annotations \[2, 3, 4\], expected .*3, 8"):
        model_checks.check(config)
    monkeypatch.setitem(ENCODERS, "mine", Encoder(ours.init, lambda *given: given))
    with pytest.raises(InputError, match="gave tuple, expected an EncoderOutput"):
        model_checks.check(config)


def test_an_entry_of_another_type_is_told(monkeypatch):
    monkeypatch.setitem(SCORES, "mine", right)
    with pytest.raises(InputError, match="'mine' is a function, expected a Score"):
        model_checks.check(MINE)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda *given: None, "metric 'mine' gave None, expected a number"),
        (lambda one, two: 1.0, "takes 2 positional arguments but 3 were given"),
    ],
)
def test_a_metric_that_cannot_be_is_told_before_the_training(
    monkeypatch, function, told
):
    monkeypatch.setitem(METRICS, "mine", Metric(function, True, "mine"))
    with pytest.raises(InputError, match=told):
        checks.check(Config(training=TrainingConfig(metric="mine")))


def test_a_metric_may_give_an_array_of_one_number(monkeypatch):
    function = lambda *given: jnp.mean(jnp.arange(3.0))  # noqa: E731
    monkeypatch.setitem(METRICS, "mine", Metric(function, True, "mine"))
    value = measure(["mine"], ["a"], [["a"]])["mine"].value
    assert type(value) is float and value == 1.0


def roman():
    def cut(text):
        return re.findall("CM|CD|XC|XL|IX|IV|[MDCLXVI]", text)

    return vocabulary_kind(cut, "".join, str, "?")


def test_a_tokeniser_of_ones_own_is_checked_and_told(monkeypatch, tiny, tmp_path):
    from tiny_runs import train

    config = tiny(steps=2, eval_every=2)
    data = replace(config.data, target_tokenizer="mine")
    config = replace(config, data=data)

    def told(**more):
        monkeypatch.setitem(TOKENIZERS, "mine", vocabulary_kind(**more, unknown="?"))
        return train(config, tmp_path / str(len(list(tmp_path.iterdir()))))[1]

    every = {"cut": list, "join": "".join, "show": str}
    assert not [line for line in told(**every) if "warning" in line]
    (line,) = (x for x in told(**every | {"join": " ".join}) if "give back" in x)
    assert "train.tsv, line 1" in line
    with pytest.raises(InputError, match=r"cuts '\w+' into None, expected strings"):
        told(**every | {"cut": lambda text: None})
    monkeypatch.delitem(TOKENIZERS, "mine")
    said = refusal("translate", "--workdir", tmp_path / "0", stdin="a")
    assert "'mine', expected one of byte" in said and "python FILE.py" in said


def test_its_units_are_what_the_token_error_rate_counts(monkeypatch):
    from seq2seq_jax.data.kinds import own_units
    from seq2seq_jax.evaluation.metrics import Options, units_of

    monkeypatch.setitem(TOKENIZERS, "mine", roman())
    options = Options(units_of("mine", own_units("mine")))
    found = measure(["token_error_rate"], ["XCI"], [["XCV"]], options)
    assert found["token_error_rate"].value == 50.0
    assert own_units("char") is None


def test_an_exported_folder_has_no_code_of_ones_own(monkeypatch):
    monkeypatch.setitem(TOKENIZERS, "mine", roman())
    model = predictor()
    model.target_tokenizer = tokenizers.train("mine", ["XIV"])
    with pytest.raises(InputError, match="tokeniser 'mine' is none of this package's"):
        exporting.check_model(model)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("ModelConfig(hidden_size='48')", "model.hidden_size is '48', expected"),
        ("Mine()", "model has no field 'temperature' .*a constant of your file"),
    ],
)
def test_a_recipe_holds_what_a_config_can(tmp_path, code, told):
    path = tmp_path / "mine.py"
    path.write_text(
        "from dataclasses import dataclass\n"
        "from seq2seq_jax.config import Config, ModelConfig\n"
        "@dataclass(frozen=True)\n"
        "class Mine(ModelConfig):\n"
        "    temperature: float = 2.0\n"
        f"def get_config():\n    return Config(model={code})\n"
    )
    with pytest.raises(InputError, match=told):
        recipes.load(str(path))


def test_a_variant_without_a_default_is_asked_for(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def get_config(variant):\n    pass\n")
    with pytest.raises(InputError, match=r"name one, as in .*mine.py:VARIANT"):
        recipes.load(str(path))
