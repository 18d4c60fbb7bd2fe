"""The recipes of data that comes through TFDS, on small data of the same features."""

import io
from dataclasses import replace

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from seq2seq_jax.commands import parameters, recipes
from seq2seq_jax.data import pipeline, records
from seq2seq_jax.data.datasets import _find_builder
from seq2seq_jax.data.sources import open_pairs
from seq2seq_jax.errors import InputError
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.nn import checks
from seq2seq_jax.training import evaluate, loop, optimizer

SETS = {"coco_captions": "toy_coco"}
SUMMARIES = {"cnn_dailymail": "toy_stories", "gigaword": "toy_headlines"}
VARIANTS = ("plain", "pointer", "coverage")
SIZES = {"train": 40, "validation": 6, "test": 6}
PICTURES = {"train": 5, "val": 3, "test": 3, "restval": 4}  # of a split
SAID = 3  # captions of a picture


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


class ToyCoco(Toy):
    """As `coco_captions`: pictures of all shapes, each with several captions."""

    VERSION = tfds.core.Version("1.1.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="2014")]  # noqa: RUF012
    FEATURES = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "image/filename": tfds.features.Text(),
            "image/id": np.int64,
            "captions": tfds.features.Sequence({"text": np.str_, "id": np.int64}),
        }
    )

    def _split_generators(self, dl_manager):
        return {s: self._generate_examples(s, n) for s, n in PICTURES.items()}

    def _generate_examples(self, split, count):
        for n in range(count):
            file = io.BytesIO()
            pixels = np.full((10 + n, 14, 3), 40 * n, np.uint8)
            Image.fromarray(pixels).save(file, "JPEG")
            file.seek(0)
            said = [{"text": f"A {split} {n} {k}.", "id": k} for k in range(SAID)]
            told = {"image": file, "image/filename": f"{n}.jpg", "image/id": n}
            yield n, told | {"captions": said}


def recipe(name, folder, **data):
    config = recipes.load(name)
    data = {"dataset": (SETS | SUMMARIES)[name.partition(":")[0]], **data}
    return replace(
        config,
        data=replace(config.data, data_dir=str(folder), **data),
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


@pytest.fixture
def pictures(tmp_path):
    """Captions of pictures, prepared, with their config."""
    config = recipe("coco_captions", tmp_path / "data", picture_size=8)
    return config, pipeline.prepare(config, tmp_path / "run", lambda text: None)


def test_a_picture_is_kept_once_and_each_caption_is_a_pair(pictures):
    _, data = pictures
    count = PICTURES["train"] + PICTURES["restval"]
    assert len(data.train) == count * SAID
    assert len(data.train.source_ids) == count
    assert data.train.lengths[:, 0].tolist() == [8] * count * SAID
    for pair in range(0, len(data.train), SAID):
        first, again = data.train.source(pair), data.train.source(pair + 1)
        np.testing.assert_array_equal(first, again)
    assert len({data.train.source(i).tobytes() for i in range(len(data.train))}) == 5


def test_a_batch_has_the_picture_of_its_captions(pictures):
    config, data = pictures
    texts, seen = [(i, data.dev.target_text(i)) for i in range(len(data.dev))], 0
    for batch in pipeline.eval_batches(data.dev, config):
        for source, out, mask in zip(
            batch.source, batch.target_out, batch.target_mask, strict=True
        ):
            if mask.any():
                said = data.target_tokenizer.decode(out[mask]).split()[2:]
                row = next(i for i, text in texts if text.split()[2:] == said)
                np.testing.assert_array_equal(source, data.dev.source(row))
                seen += 1
    assert seen == PICTURES["val"] * SAID


def test_captions_of_a_picture_are_all_accepted(pictures):
    _, data = pictures
    items = evaluate.references(data.test)
    assert [len(accepted) for _, accepted in items] == [SAID] * PICTURES["test"]
    for source, accepted in items:
        number = accepted[0].split()[2]
        pixels = data.source_tokenizer.raw(source)
        assert pixels.shape == (8, 24)
        np.testing.assert_allclose(pixels, 40 * int(number), atol=3)


def test_a_record_that_is_not_there_is_refused(pictures, tmp_path):
    _, data = pictures
    (source, _), *_ = evaluate.references(data.test)
    for place in (
        "test/99/image",
        "tset/0/image",
        "test/0/imag",
        "test",
        "test/x/image",
    ):
        name = f"{source.rpartition('#')[0]}#{place}"
        assert records.named(name)
        with pytest.raises(InputError, match="names no record that can be read"):
            data.source_tokenizer.raw(name)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"source_key": "image/filename"}, "is Text, not Image"),
        ({"target_key": "captions"}, "is FeaturesDict, not Text"),
        ({"target_key": "captions/id"}, "is Tensor, not Text"),
        ({"target_key": "captions/txt"}, "has no feature 'captions/txt'"),
        ({"source_tokenizer": "features"}, r"is Image, not a Tensor \[S, F\] of num"),
        ({"source_tokenizer": "char"}, "is Image, not Text"),
    ],
)
def test_features_that_do_not_fit_are_refused(tmp_path, given, expected):
    config = recipe("coco_captions", tmp_path, **given)
    with pytest.raises(InputError, match=expected) as caught:
        open_pairs(config.data, "train")
    assert "\n" not in str(caught.value)


def test_prepared_data_is_read_where_the_code_needs_tensorflow(tmp_path):
    """As it is of `coco_captions`; files that another machine has made."""
    made = ToyCoco(data_dir=tmp_path)
    made.download_and_prepare(file_format="array_record")
    folder = tmp_path / "coco_captions" / "2014" / "1.1.0"
    folder.parent.mkdir(parents=True)
    made.data_path.rename(folder)
    for path in folder.iterdir():
        path.rename(folder / path.name.replace("toy_coco", "coco_captions"))
    info = folder / "dataset_info.json"
    info.write_text(info.read_text().replace("toy_coco", "coco_captions"))
    config = recipe("coco_captions", tmp_path, dataset="coco_captions")
    assert len(list(open_pairs(config.data, "dev"))) == PICTURES["val"] * SAID


@pytest.mark.slow
def test_coco_trains(tmp_path):
    config = recipe("coco_captions", tmp_path / "data", picture_size=8)
    model = replace(config.model, attention_size=4)
    assert loop.train(replace(config, model=model), tmp_path / "run").exit_code == 0
    own = tmp_path / "own.png"
    Image.fromarray(np.zeros((20, 9, 3), np.uint8)).save(own)
    (best, *_) = next(iter(Predictor.load(tmp_path / "run").translate([str(own)])))
    assert np.isfinite(best.score)
