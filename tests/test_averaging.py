"""The mean of checkpoints: what it is of, and that it is there whole or not at all."""

import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from predictors import TINY, close, params_of, predictor, texts, tokenizer

from seq2seq_jax import config as configs
from seq2seq_jax.config import Config, DataConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.exporting.programs import plain
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.training.averaging import average
from seq2seq_jax.training.checkpoints import Checkpoints
from seq2seq_jax.types import TrainState

SCORES = {
    3: 0.5,
    5: 0.9,
    8: None,
    12: 0.7,
}  # a step's params are `params_of(seed=step)`


def state_of(step):
    one = jnp.int32(step)
    return TrainState(one, params_of(TINY, step), {"count": one}, jax.random.key(0))


@pytest.fixture
def workdir(tmp_path):
    """A workdir as a training leaves it, with random parameters."""
    folder = tmp_path / "run"
    folder.mkdir()
    config = Config(data=DataConfig(max_length=16), model=TINY)
    (folder / "config.json").write_text(configs.to_json(config), encoding="utf-8")
    (folder / "lengths.json").write_text('{"length_ratio": 1.5}')
    (folder / "results.json").write_text("{}")
    for side in ("source", "target"):
        tokenizer().save(folder / "tokenizers", side)
    checkpoints = Checkpoints(folder / "checkpoints", keep_last=9)
    for step, score in SCORES.items():
        metrics = None if score is None else {"score": score}
        checkpoints.save(step, state_of(step), {}, metrics)
    checkpoints.close()
    return folder


@pytest.mark.parametrize(
    ("wish", "steps"),
    [
        ({}, [3, 5, 8, 12]),
        ({"last": 2}, [8, 12]),
        ({"best": 2}, [5, 12]),
        ({"best": 3}, [3, 5, 12]),
        ({"last": 1}, [12]),
    ],
)
def test_the_mean_is_of_the_checkpoints_asked_for(workdir, wish, steps):
    new = workdir.with_name("mean")
    assert average(workdir, new, **wish) == steps
    loaded = Predictor.load(new)
    trees = [params_of(TINY, step) for step in steps]
    expected = jax.tree.map(
        lambda *x: np.mean([np.asarray(each, np.float64) for each in x], 0), *trees
    )
    assert loaded.params["target"].get("shares") is not None  # made at loading
    found = plain(loaded.params)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(
        jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
    ):
        assert one.dtype == jnp.float32
        np.testing.assert_array_equal(one, other.astype(np.float32))
    assert Checkpoints(new / "checkpoints").steps() == [steps[-1]]
    names = ["checkpoints", "config.json", "lengths.json", "tokenizers"]
    assert sorted(path.name for path in new.iterdir()) == names


def test_the_mean_of_one_is_that_one_in_use(workdir):
    new = workdir.with_name("mean")
    average(workdir, new, last=1)
    lines = texts(5)
    ours = predictor(seed=12).translate(lines)
    for which in ("best", "latest", 12):
        theirs = Predictor.load(new, which).translate(lines)
        for (one,), (other,) in zip(ours, theirs, strict=False):
            close(one, other)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (
            {"last": 5},
            "--last is 5, expected 1 to 4: .* 3, 5, 8, 12; .*keep_last",
        ),
        ({"last": 0}, "--last is 0, expected 1 to 4"),
        ({"best": 4}, "--best is 4, expected 1 to 3: .* 3 evaluated checkpoints"),
        ({"best": -1}, "--best is -1"),
    ],
)
def test_what_is_not_there_is_not_averaged(workdir, wish, message):
    with pytest.raises(InputError, match=message):
        average(workdir, workdir.with_name("mean"), **wish)
    assert [path.name for path in workdir.parent.iterdir()] == ["run"]


def test_a_damaged_checkpoint_is_named_and_nothing_is_left(workdir):
    for path in (workdir / "checkpoints" / "5" / "params").rglob("*"):
        if path.parent.name == "d":
            os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(InputError, match=r"no whole checkpoint in .*: 5 damaged"):
        average(workdir, workdir.with_name("mean"))
    assert [path.name for path in workdir.parent.iterdir()] == ["run"]
    assert average(workdir, workdir.with_name("mean"), last=2) == [8, 12]


def test_a_checkpoint_that_is_deleted_meanwhile_is_not_missed(workdir, monkeypatch):
    """As a training that goes on beside it does."""
    load = Checkpoints.load

    def hook(self, which, *args, **kwargs):
        shutil.rmtree(self.directory / "8", ignore_errors=True)
        return load(self, which, *args, **kwargs)

    monkeypatch.setattr(Checkpoints, "load", hook)
    assert average(workdir, workdir / "mean", last=2) == [5, 12]


def test_a_failure_on_the_way_leaves_nothing(workdir, monkeypatch):
    def fail(*args):
        raise OSError("no space left")

    monkeypatch.setattr(Checkpoints, "save_average", fail)
    with pytest.raises(OSError, match="no space left"):
        average(workdir, workdir.with_name("mean"))
    assert [path.name for path in workdir.parent.iterdir()] == ["run"]


def test_a_folder_that_takes_nothing_is_told_before_anything_is_read(
    workdir, tmp_path, monkeypatch
):
    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(tmp_path), "mkdir", refuse)
    monkeypatch.setattr(Checkpoints, "load", None)
    with pytest.raises(InputError, match=r"/mean cannot be made: Permission denied$"):
        average(workdir, tmp_path / "mean")


def test_what_is_there_is_never_overwritten(workdir, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("empty", "file", "link", "run"):
        with pytest.raises(InputError, match=f"{name} is already there"):
            average(workdir, tmp_path / name)
    assert (tmp_path / "file").read_text() == "precious"
    with pytest.raises(InputError, match="its parent folder does not exist"):
        average(workdir, tmp_path / "no" / "mean")


def test_no_training_goes_on_from_a_mean(workdir):
    new = workdir.with_name("mean")
    average(workdir, new)
    with pytest.raises(InputError, match="is a mean of others, for inference alone"):
        Checkpoints(new / "checkpoints").restore(state_of(1))
    assert Checkpoints(workdir / "checkpoints").restore(state_of(1))[0].step == 12


def test_what_is_no_workdir_is_refused(workdir):
    (workdir / "tokenizers").rename(workdir / "other")
    with pytest.raises(InputError, match="has no tokenizers"):
        average(workdir, workdir.with_name("mean"))
