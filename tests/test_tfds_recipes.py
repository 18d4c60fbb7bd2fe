"""The recipes of data that comes through TFDS, on small data of the same features."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow_datasets as tfds

from seq2seq_jax.commands import parameters, recipes
from seq2seq_jax.data.datasets import _find_builder
from seq2seq_jax.data.sources import open_pairs
from seq2seq_jax.errors import InputError
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.nn import checks
from seq2seq_jax.training import loop, optimizer

SUMMARIES = {"cnn_dailymail": "toy_stories", "gigaword": "toy_headlines"}
VARIANTS = ("plain", "pointer", "coverage")
SIZES = {"train": 40, "validation": 6, "test": 6}


def texts(*names):
    return tfds.features.FeaturesDict(dict.fromkeys(names, tfds.features.Text()))


class Toy(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Features as TFDS has them, and examples made here."""

    VERSION = tfds.core.Version("1.0.0")
    FEATURES = texts("source", "target")

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=self.FEATURES)

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(n) for name, n in SIZES.items()}


class ToyStories(Toy):
    """As `cnn_dailymail`: several highlights, each in its line."""

    FEATURES = texts("article", "highlights", "publisher", "id")

    def _generate_examples(self, count):
        for n in range(count):
            told = {"article": f"Cat {n} sat. It's Dog{n}'s mat.", "publisher": "cnn"}
            yield n, told | {"highlights": f"Cat {n} sat .\nDog{n}'s mat .", "id": "x"}


class ToyHeadlines(Toy):
    """As `gigaword`; some of its lines are empty."""

    FEATURES = texts("document", "summary")

    def _generate_examples(self, count):
        for n in range(count):
            summary = "" if n in (1, 3) else f"word{n} UNK"
            yield n, {"document": f"word{n} said ## UNK .", "summary": summary}


def recipe(name, folder, **data):
    config = recipes.load(name)
    dataset = SUMMARIES[name.partition(":")[0]]
    return replace(
        config,
        data=replace(config.data, dataset=dataset, data_dir=str(folder), **data),
        model=replace(config.model, hidden_size=8, embedding_size=8),
        training=replace(
            config.training, steps=4, epochs=None, eval_every=2, batch_size=4
        ),
    )


@pytest.mark.parametrize("name", SUMMARIES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_a_possible_model(name, variant):
    config = recipes.load(f"{name}:{variant}")
    checks.check(config.model, config.data.shared_vocab)
    optimizer.check(config.training)
    assert config.data.dataset == name
    assert (config.model.head == "pointer") == (variant != "plain")
    assert (config.training.coverage_loss > 0) == (variant == "coverage")


def test_sees_model_is_nearly_as_large_as_in_the_paper():
    """It tells 21,499,600, of which 50,000 * 128 + 50,000 * 257 are words."""
    counts = parameters.count(recipes.load("cnn_dailymail:plain"))
    assert counts["embeddings"] == 50_000 * 128
    assert counts["output"] == 50_000 * 257
    assert abs(sum(counts.values()) / 21_499_600 - 1) < 0.015


@pytest.mark.parametrize("name", SUMMARIES)
def test_tfds_knows_the_set_and_its_features(name, tmp_path):
    data = recipes.load(name).data
    found = _find_builder(name, str(tmp_path)).info.features
    assert {data.source_key, data.target_key} <= set(found)


def test_highlights_are_one_line(tmp_path):
    config = recipe("cnn_dailymail", tmp_path)
    pairs = list(open_pairs(config.data, "train"))
    assert len(pairs) == SIZES["train"]
    assert "\n" not in "".join(target for _, target in pairs)
    assert ("Cat 7 sat. It's Dog7's mat.", "Cat 7 sat . Dog7's mat .") in pairs


def test_records_with_an_empty_side_are_left_out_and_told(tmp_path):
    config, told = recipe("gigaword", tmp_path), []
    pairs = open_pairs(config.data, "train", told.append)
    found = list(pairs)
    assert len(found) == SIZES["train"] - 2 and list(pairs) == found
    said = [line for line in told if "left out" in line]
    assert said == ["toy_headlines train: 2 left out, as a side is empty"]
    # Places are of records, left out ones counted.
    records = [*_records(tmp_path)]
    for index in (0, 20, 37):
        number = int(pairs.where(index).rpartition(" ")[2])
        assert records[number] == found[index]


def _records(folder):
    source = ToyHeadlines(data_dir=folder).as_data_source("train")
    for record in source:
        yield record["document"].decode(), record["summary"].decode()


@pytest.mark.slow
@pytest.mark.parametrize("name", SUMMARIES)
def test_the_phases_train_on_such_data(name, tmp_path):
    data, first, last = (tmp_path / part for part in ("data", "first", "last"))
    config = recipe(f"{name}:pointer", data)
    assert loop.train(config, first).exit_code == 0
    config = recipe(f"{name}:coverage", data)
    start = {"init_from": str(first), "init_partial": True}
    config = replace(config, training=replace(config.training, **start))
    assert loop.train(config, last).exit_code == 0
    (best, *_) = next(iter(Predictor.load(last).translate(["a b", "c"])))
    assert np.isfinite(best.score) and "\n" not in best.text


def test_a_sequence_of_sources_is_refused(tmp_path):
    config = recipe("gigaword", tmp_path, source_key="document/text")
    with pytest.raises(InputError, match=r"no feature 'document/text', it has docum"):
        open_pairs(config.data, "train")
