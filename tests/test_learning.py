"""One real training run: strings are learnt to be reversed, looking the right way."""

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.training.loop import train

RECIPE = Path(__file__).parent.parent / "configs" / "reversal.py"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The report and the workdir of the recipe `reversal`, run as it is."""
    spec = importlib.util.spec_from_file_location("reversal", RECIPE)
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    config, folder = recipe.get_config(), tmp_path_factory.mktemp("reversal")
    data = dataclasses.replace(config.data, data_dir=str(folder / "tfds"))
    report = train(dataclasses.replace(config, data=data), folder / "run")
    return report, folder / "run"


@pytest.mark.slow
def test_strings_that_were_not_trained_on_are_reversed(trained):
    report, _ = trained
    assert report.status == "done"
    assert report.metrics["test"]["exact_match"] > 95


@pytest.mark.slow
def test_the_alignment_of_a_reversal_is_the_anti_diagonal(trained):
    predictor = Predictor.load(trained[1])
    words = ["attention", "decoder", "jax", "sequences", "tuvwxyzabc"]
    weights = [best.alignment for best, *_ in predictor.translate(words)]
    for word, found in zip(words, weights, strict=True):
        looked = found[: len(word), : len(word)].argmax(axis=-1)
        expected = np.arange(len(word))[::-1]
        # With a state that has read to both sides, a neighbour serves as well.
        assert np.abs(looked - expected).max() <= 1, word
        assert (looked == expected).mean() > 0.5, word
