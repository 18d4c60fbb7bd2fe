"""Sources that are numbers in files: read, scaled, stored, batched, or refused."""

import numpy as np
import pytest
from PIL import Image

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig
from seq2seq_jax.data import arrays, pipeline, tokenizers
from seq2seq_jax.errors import InputError
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.plots import looking
from seq2seq_jax.training import checks, loop

LENGTHS = (3, 1, 5, 2)


@pytest.fixture
def folder(tmp_path):
    """Lists of features and of pictures, with their files."""
    rng = np.random.default_rng(0)
    lines = []
    for number, length in enumerate(LENGTHS):
        np.save(tmp_path / f"{number}.npy", rng.normal(5, 3, (length, 4)))
        lines.append(f"{number}.npy\tword {number}\n")
    (tmp_path / "features.tsv").write_text("".join(lines))
    pictures = rng.integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)
    np.savez(tmp_path / "all.npz", pictures=pictures)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    rows = (f"all.npz#{number}\tword {number}\n" for number in range(4))
    (tmp_path / "pictures.tsv").write_text("".join(rows))
    return tmp_path


def recipe(folder, kind="features", **data):
    path = str(folder / ("features.tsv" if kind == "features" else "pictures.tsv"))
    lists = {f"{split}_tsv": path for split in ("train", "dev")}
    data = {"source_tokenizer": kind, "target_tokenizer": "word", **lists, **data}
    frontend = "features" if kind == "features" else "convolutions"
    model = ModelConfig(hidden_size=8, embedding_size=8, frontend=frontend)
    training = TrainingConfig(steps=4, eval_every=2, batch_size=2, warmup_steps=1)
    return Config(data=DataConfig(**data), model=model, training=training)


def prepared(folder, *args, **data):
    config = recipe(folder, *args, **data)
    return pipeline.prepare(config, folder / "run", lambda text: None), config


def test_statistics_are_of_the_training_part(folder):
    (data, _) = prepared(folder)
    every = np.concatenate([np.load(folder / f"{i}.npy") for i in range(4)])
    np.testing.assert_allclose(data.source_tokenizer.mean, every.mean(0), rtol=1e-6)
    np.testing.assert_allclose(data.source_tokenizer.deviation, every.std(0), rtol=1e-6)
    seen = np.concatenate([data.train.source(i) for i in range(4)])
    np.testing.assert_allclose(seen.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(seen.std(0), 1, rtol=1e-5)


def test_a_batch_holds_what_the_files_hold_without_an_end_marker(folder):
    data, config = prepared(folder)
    assert data.train.lengths[:, 0].tolist() == list(LENGTHS)
    rows = 0
    for batch in pipeline.eval_batches(data.train, config):
        assert batch.source.dtype == np.float32 and batch.source.shape[2] == 4
        assert not batch.source[~batch.source_mask].any()
        for source, mask in zip(batch.source, batch.source_mask, strict=True):
            if mask.any():
                number = LENGTHS.index(mask.sum())
                expected = data.source_tokenizer.encode(str(folder / f"{number}.npy"))
                np.testing.assert_array_equal(source[mask], expected)
                rows += 1
    assert rows == len(LENGTHS)


def test_a_reader_comes_back_from_its_files(folder):
    data, _ = prepared(folder, "picture", picture_size=6)
    loaded = tokenizers.load(folder / "run" / "tokenizers", "source")
    assert loaded == data.source_tokenizer
    assert loaded.dump() == data.source_tokenizer.dump()
    assert loaded.encode(str(folder / "0.png")).shape == (6, 18)


def test_a_picture_is_the_same_from_a_file_and_from_a_row(folder):
    data, _ = prepared(folder, "picture")
    for number in range(4):
        one = data.source_tokenizer.encode(str(folder / f"{number}.png"))
        same = data.source_tokenizer.encode(str(folder / f"all.npz#{number}"))
        np.testing.assert_array_equal(one, same)
        np.testing.assert_array_equal(one, data.train.source(number))


def test_maps_are_their_places_row_by_row(tmp_path):
    maps = np.arange(24.0).reshape(2, 3, 4)
    np.savez(tmp_path / "maps.npz", one=maps, two=maps[:1])
    found = arrays.features(str(tmp_path / "maps.npz#one"))
    np.testing.assert_array_equal(found, maps.reshape(6, 4))


BAD = {
    "missing.npy": "cannot be read",
    "nan.npy": "holds NaN or infinity",
    "wide.npy": "has 5 numbers a step, expected 4",
    "flat.npy": "expected [S, F]",
    "text.npy": "is no file of arrays",
    "a.txt": "is no .npy and no .npz file",
    "all.npz#9": "names row '9'",
    "cut.npz": "cut.npz is no file of arrays: File is not a zip file",
    "wrong.npz": "wrong.npz is no file of arrays: Bad CRC-32",
    "one.npy#0": "has no rows",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_features_are_refused_with_their_line(folder, name):
    values = np.ones((2, 4))
    np.save(folder / "nan.npy", np.where(np.eye(2, 4) > 0, np.nan, values))
    np.save(folder / "wide.npy", np.ones((2, 5)))
    np.save(folder / "flat.npy", np.ones(3))
    np.save(folder / "one.npy", 3.0)
    (folder / "text.npy").write_text("no array")
    whole = (folder / "all.npz").read_bytes()
    (folder / "cut.npz").write_bytes(whole[: len(whole) // 2])
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    (folder / "wrong.npz").write_bytes(flipped)
    with open(folder / "features.tsv", "a") as file:
        file.write(f"{name}\tword\n")
    with pytest.raises(InputError) as caught:
        prepared(folder)
    message = str(caught.value)
    assert "features.tsv, line 5" in message and BAD[name] in message
    assert name in message and "\n" not in message


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("no.png", "no.png is no picture that can be read"),
        ("cut.png", "cut.png is no picture that can be read"),
        ("wide.png", "7 pixels a row, expected . as in training: data.picture_size"),
    ],
)
def test_a_picture_that_is_none_is_refused(folder, name, told):
    (folder / "no.png").write_text("no picture")
    whole = (folder / "1.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (7, 4)).save(folder / "wide.png")
    with open(folder / "pictures.tsv", "a") as file:
        file.write(f"{name}\tword\n")
    with pytest.raises(InputError, match=f"line 5: .*{told}"):
        prepared(folder, "picture")


def test_sources_and_frontends_that_do_not_fit_are_refused(folder):
    wrong = recipe(folder, source_tokenizer="char")
    with pytest.raises(InputError, match=r"'char' and model.frontend 'features'"):
        checks.check(wrong)


@pytest.mark.parametrize("kind", ["features", "picture"])
def test_a_training_and_its_predictor_read_the_same(folder, kind):
    config = recipe(folder, kind)
    assert loop.train(config, folder / "run").exit_code == 0
    predictor = Predictor.load(folder / "run")
    with pytest.raises(InputError, match="the line is empty, expected the path"):
        next(iter(predictor.translate([""])))
    suffix = ".npy" if kind == "features" else ".png"
    texts = [str(folder / f"{number}{suffix}") for number in range(4)]
    found = [best for best, *_ in predictor.translate(texts, beam_size=2)]
    for length, one in zip(LENGTHS, found, strict=True):
        places = length if kind == "features" else 4
        assert len(one.source_pieces) == one.alignment.shape[1] == places
        np.testing.assert_allclose(one.alignment.sum(1), 1, rtol=1e-5)
    scores = list(predictor.score(texts, [one.text for one in found]))
    assert scores[0].alignment.shape[1] == len(found[0].source_pieces)


def test_a_picture_is_drawn_once_for_each_token(tmp_path):
    picture, weights = np.zeros((8, 8, 3)), np.full((2, 4), 0.25)
    path = looking.draw(picture, weights, (2, 2), ["a", "$b"], tmp_path / "a.png")
    assert Image.open(path).size[0] > 300
    with pytest.raises(InputError, match="a grid of 2 by 2"):
        looking.draw(picture, weights, (2, 2), ["a"], tmp_path / "b.png")
