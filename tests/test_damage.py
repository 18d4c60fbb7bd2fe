"""Damaged workdirs: an older whole checkpoint or one clear line, never a traceback."""

import json
import os
import shutil
from dataclasses import replace

import jax
import pytest
import toy
from predictors import TINY, tokenizer
from test_checkpoints import assert_same, make_state, save

from seq2seq_jax import config as configs
from seq2seq_jax.commands import decoding
from seq2seq_jax.config import Config
from seq2seq_jax.errors import InputError
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.training import loop, writing
from seq2seq_jax.training.checkpoints import Checkpoints
from seq2seq_jax.training.damage import DamagedError
from seq2seq_jax.training.progress import LATER, Progress

METADATA = "_CHECKPOINT_METADATA"


@pytest.mark.parametrize("name", ["007", "٣", "²", "1.5", "-1"])
def test_a_folder_that_no_save_named_is_no_checkpoint(tmp_path, name):
    save(tmp_path, {1: None, 2: None})
    (tmp_path / name).mkdir()
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.steps() == [1, 2]
    assert checkpoints.restore(make_state(0))[1] == {"batch": 2}
    checkpoints.save(4, make_state(4), {"batch": 4})
    checkpoints.close()
    assert checkpoints.steps() == [2, 4]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"data": "\xff"}', "not UTF-8"),
        (b"\x00", "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b'{"data": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"[]", "expected an object"),
    ],
)
def test_a_config_that_cannot_be_read_is_one_line(tmp_path, content, words):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        configs.load(tmp_path / "config.json")
    assert str(tmp_path) in str(caught.value)


def test_a_config_that_is_a_folder_is_one_line(tmp_path):
    (tmp_path / "config.json").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        configs.load(tmp_path / "config.json")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cell": "lstn"}, "did you mean 'lstm'"),
        ({"attention": "generel"}, "did you mean 'general'"),
        ({"decoder": "nothing"}, r"model\.decoder is 'nothing'"),
        ({"hidden_size": -8}, r"model\.hidden_size is -8"),
    ],
)
def test_inference_refuses_a_config_of_no_model(tmp_path, changes, words):
    config = Config(model=replace(TINY, **changes))
    (tmp_path / "config.json").write_text(configs.to_json(config), encoding="utf-8")
    for side in ("source", "target"):
        tokenizer().save(tmp_path / "tokenizers", side)
    with pytest.raises(InputError, match=words) as caught:
        Predictor.load(tmp_path)
    assert str(tmp_path / "config.json") in str(caught.value)
    if "attention" in changes:
        with pytest.raises(InputError, match=words):
            decoding.check_attention(tmp_path, "align")


@pytest.mark.parametrize(
    "change",
    [
        {"waitfd": 0},
        {"batch": "7"},
        {"batch": True},
        {"best": []},
        {"window": {"loss": None}},
        {"window": []},
    ],
)
def test_progress_of_another_shape_is_damage(change):
    values = Progress(batch=7, best=0.5, window={"loss": 1.0}).to_json()
    assert Progress.from_json(values) == Progress(7, 0.5, window={"loss": 1.0})
    with pytest.raises(DamagedError):
        Progress.from_json(values | change)
    for name in values.keys() - LATER:
        with pytest.raises(DamagedError, match=name):
            Progress.from_json({key: x for key, x in values.items() if key != name})
    old = {name: x for name, x in values.items() if name not in LATER}
    assert Progress.from_json(old).skipped == 0


def change_notes(folder, change):
    """Change the JSON that a checkpoint keeps beside its arrays."""
    content = json.loads((folder / METADATA).read_bytes())
    change(content["custom_metadata"])
    (folder / METADATA).write_text(json.dumps(content), encoding="utf-8")


def test_damaged_bookkeeping_costs_the_steps_since_the_checkpoint_before(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, make_state(step), Progress(batch=step).to_json())
    checkpoints.close()
    change_notes(tmp_path / "2", lambda notes: notes["bookkeeping"].pop("waited"))
    lines = []
    checkpoints = Checkpoints(tmp_path, log=lines.append)
    state, progress = checkpoints.restore(make_state(0), Progress.from_json)
    assert progress == Progress(batch=1)
    assert_same(state, make_state(1))
    assert len(lines) == 1 and "checkpoint 2" in lines[0]


@pytest.mark.parametrize("metrics", [{"loss": 1.0}, {"score": "x"}, [], 3.0])
def test_a_score_that_cannot_be_read_is_no_key_error(tmp_path, metrics):
    save(tmp_path, {1: 0.1, 2: 0.9}, keep_last=2)
    change_notes(tmp_path / "1", lambda notes: notes.update(metrics=metrics))
    checkpoints = Checkpoints(tmp_path, log=lambda line: None)
    assert checkpoints.candidates("best") == [1, 2]


@pytest.mark.parametrize("damage", ["cut", "lost", "changed"])
def test_an_old_damaged_checkpoint_stops_no_save_and_is_not_deleted(tmp_path, damage):
    save(tmp_path, {1: 0.1, 2: 0.9}, keep_last=2)
    if damage == "changed":
        change_notes(tmp_path / "1", lambda notes: notes.update(metrics={}))
    elif damage == "lost":
        (tmp_path / "1" / METADATA).unlink()
    else:
        os.truncate(tmp_path / "1" / METADATA, 100)
    save(tmp_path, {3: 0.3, 4: 0.4, 5: 0.5}, keep_last=1)
    assert Checkpoints(tmp_path).steps() == [1, 2, 5]


def test_nothing_is_deleted_before_its_successor_is_whole(tmp_path, monkeypatch):
    seen, delete = [], writing.delete

    def watched(path):
        newest = Checkpoints(tmp_path).steps()[-1]
        assert_same(Checkpoints(tmp_path).restore_params(newest), toy.params(newest))
        seen.append((path.name, newest))
        delete(path)

    monkeypatch.setattr(writing, "delete", watched)
    save(tmp_path, {1: None, 2: None, 3: None}, keep_last=1)
    assert seen == [("1", 2), ("2", 3)]


def failing_writes(monkeypatch, fail):
    class Response:
        def result(self):
            fail()

    monkeypatch.setattr(
        writing.ocp, "save_checkpointables_async", lambda *_, **__: Response()
    )


@pytest.mark.parametrize(
    "problem, remedy",
    [
        ("No space left on device: '/a'", "make room"),
        ("Input/output error: '/workspace'", "mend this"),
    ],
)
def test_a_save_that_fails_deletes_nothing(tmp_path, monkeypatch, problem, remedy):
    save(tmp_path, {1: None}, keep_last=1)

    def fail():
        raise OSError(problem)

    failing_writes(monkeypatch, fail)
    told = f"checkpoint 2 could not be written.* checkpoint 1 is whole: {remedy}, then"
    with pytest.raises(InputError, match=told):
        save(tmp_path, {2: None}, keep_last=1)
    assert Checkpoints(tmp_path).steps() == [1]


def test_a_folder_that_vanishes_under_way_is_called_gone(tmp_path, monkeypatch):
    directory = tmp_path / "checkpoints"
    save(directory, {1: None})

    def vanish():
        shutil.rmtree(directory)
        raise FileNotFoundError(2, "No such file or directory", str(directory / "2"))

    failing_writes(monkeypatch, vanish)
    told = "the folder is gone; .*; there is no other: mend this, then"
    with pytest.raises(InputError, match=told):
        save(directory, {2: None})


def test_what_a_kill_left_half_deleted_goes_at_the_next_save(tmp_path):
    save(tmp_path, {1: None, 2: None})
    (tmp_path / "1").rename(tmp_path / ".deleting-1")
    (tmp_path / "3.orbax-checkpoint-tmp").mkdir()
    assert Checkpoints(tmp_path).steps() == [2]
    save(tmp_path, {3: None})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "3"]


def test_what_cannot_be_deleted_is_named_and_tried_again(tmp_path, monkeypatch):
    lines, tries = [], []

    def refuse(path):
        tries.append(path.name)
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(writing, "delete", refuse)
    save(tmp_path, {1: None, 2: None, 3: None}, keep_last=1, log=lines.append)
    assert lines[0] == "checkpoint 1 cannot be deleted: Permission denied"
    assert tries == ["1", "1", "2"] and Checkpoints(tmp_path).steps() == [1, 2, 3]


def test_several_processes_without_a_coordinator_are_refused(
    tiny, tmp_path, monkeypatch
):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(InputError, match="2 processes"):
        loop.train(tiny(), tmp_path / "run")
    assert not (tmp_path / "run").exists()
