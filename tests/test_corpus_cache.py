"""The corpus on disk: made once, whole or not at all, and again when it is damaged."""

import itertools
import os

import pytest
from pairs import ignore, make_config, write_pairs

from seq2seq_jax.data import sequences
from seq2seq_jax.data.pipeline import prepare
from seq2seq_jax.errors import InputError


def test_a_second_call_reads_what_the_first_made(ready, tmp_path):
    config, workdir, prepared = ready
    made = {path: path.stat().st_mtime_ns for path in workdir.glob("data/*/*")}
    again = prepare(config, workdir, ignore)
    assert {path: path.stat().st_mtime_ns for path in workdir.glob("data/*/*")} == made
    assert again.train.checksum == prepared.train.checksum
    fresh = prepare(config, tmp_path / "fresh", ignore)
    assert fresh.train.checksum == prepared.train.checksum


@pytest.mark.parametrize("name", ["source.ids", "target.offsets", "info.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_a_damaged_cache_is_made_again(tmp_path, name, damage):
    config, workdir = make_config(tmp_path, train=60), tmp_path / "run"
    before = prepare(config, workdir, ignore).train.checksum
    (path,) = workdir.glob(f"data/train-*/{name}")
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 255
    path.unlink() if damage == "gone" else path.write_bytes(
        bytes(data[: len(data) // 2] if damage == "cut" else data)
    )
    said = []
    assert prepare(config, workdir, said.append).train.checksum == before
    assert any("is damaged: it is made again" in text for text in said)


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(28, "No space left")])
def test_an_interrupted_run_leaves_no_half_cache(tmp_path, monkeypatch, failure):
    config, workdir = make_config(tmp_path), tmp_path / "run"
    whole = prepare(config, tmp_path / "whole", ignore).train.checksum
    calls = itertools.count()
    real = sequences.SequencesWriter.add

    def add(self, ids):
        if next(calls) == 700:
            raise failure
        real(self, ids)

    with monkeypatch.context() as patch:
        patch.setattr(sequences.SequencesWriter, "add", add)
        expected = InputError if isinstance(failure, OSError) else KeyboardInterrupt
        with pytest.raises(expected):
            prepare(config, workdir, ignore)
    assert not list(workdir.glob("data/train-*"))
    assert not list(workdir.glob("data/.tmp*"))
    assert prepare(config, workdir, ignore).train.checksum == whole


def test_what_a_killed_run_left_is_cleared_away(tmp_path):
    config, workdir = make_config(tmp_path), tmp_path / "run"
    dead, alive = (
        workdir / f"data/.tmp-train-abc-{n}" for n in (2**22 + 1, os.getppid())
    )
    for folder in (dead, alive, workdir / "data/train-old"):
        folder.mkdir(parents=True)
    prepare(config, workdir, ignore)
    left = {path.name for path in (workdir / "data").iterdir()}
    assert dead.name not in left and "train-old" not in left
    assert alive.name in left


def test_changed_data_is_read_again_and_said(tmp_path):
    config, workdir = make_config(tmp_path), tmp_path / "run"
    first = prepare(config, workdir, ignore)
    write_pairs(tmp_path / "train.tsv", 200)
    said = []
    second = prepare(config, workdir, said.append)
    assert len(second.train) == 200
    assert second.source_tokenizer.size == first.source_tokenizer.size
    assert any("training data is not what" in text for text in said)
