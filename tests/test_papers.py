"""The recipes of the papers: each makes a model, of the size that the paper tells."""

import pytest

from seq2seq_jax.commands import parameters, recipes
from seq2seq_jax.nn import checks
from seq2seq_jax.training import optimizer

FULL = {
    "sutskever2014": ["full", "small"],
    "cho2014": ["full", "small"],
    "bahdanau2014": ["full", "rnnencdec", "small", "rnnencdec_small"],
    "luong2015": ["full", "small"],
    "gnmt2016": ["full", "small"],
    "rnmt_plus2018": ["full", "small"],
    "tensorflow_nmt": [
        "iwslt15",
        "wmt16",
        "wmt16_gnmt_4_layer",
        "wmt16_gnmt_8_layer",
        "small",
    ],
}
VARIANTS = [f"{name}:{variant}" for name in FULL for variant in FULL[name]]


@pytest.mark.parametrize("recipe", VARIANTS)
def test_every_variant_is_a_possible_model(recipe):
    config = recipes.load(recipe)
    checks.check(config.model, config.data.shared_vocab)
    optimizer.check(config.training)
    counts = parameters.count(config)
    assert min(counts.values()) >= 0
    assert (counts["attention"] > 0) == (
        config.model.attention not in ("none", "last", "dot")
    )


def test_sutskevers_model_has_384_million_parameters_64_of_them_recurrent():
    counts = parameters.count(recipes.load("sutskever2014"))
    assert round(counts["layers"] / 1e6) == 64
    assert round(sum(counts.values()) / 1e6) == 384


def test_the_command_shows_them(capsys):
    parameters.main(["sutskever2014"], "seq2seq-jax parameters")
    said = capsys.readouterr().out.splitlines()
    assert said[1].split()[0] == "layers" and said[1].split()[1].startswith("64,")
    assert said[-1].split()[0] == "all" and said[-1].split()[1].startswith("384,")
