"""Data that changes, is cut short or vanishes under way: one line, nothing lost."""

import os

import numpy as np
import pytest
from pairs import make_config, refusal
from tiny_runs import assert_same_end, at_step, train

from seq2seq_jax.data import encoding
from seq2seq_jax.data.pipeline import prepare
from seq2seq_jax.errors import InputError
from seq2seq_jax.training.checkpoints import Checkpoints


@pytest.fixture
def opened(tmp_path):
    """Sequences of a prepared corpus, and the file of their ids."""
    config = make_config(tmp_path, train=60)
    prepared = prepare(config, tmp_path / "run", lambda line: None)
    (path,) = (tmp_path / "run").glob("data/train-*/source.ids")
    return prepared.train.source_ids, path


ROWS = np.array([3, -1, 59])


def test_a_file_cut_short_is_one_line_and_no_crash(opened):
    sequences, path = opened
    os.truncate(path, 8)
    for act in (lambda: sequences.gather(ROWS, 9), lambda: sequences[59]):
        with pytest.raises(InputError) as caught:
            act()
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_changed_file_is_one_line_and_a_touched_one_is_as_good_as_before(opened):
    sequences, path = opened
    ids, lengths = sequences.gather(ROWS, 9)
    os.utime(path, ns=(0, 0))
    again, _ = sequences.gather(ROWS, 9)
    np.testing.assert_array_equal(ids, again)
    assert lengths[1] == -1 and not ids[1].any()
    data = bytearray(path.read_bytes())
    data[5] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="changed under way"):
        sequences.gather(ROWS, 9)


def test_a_deleted_file_is_read_to_the_end(opened):
    sequences, path = opened
    ids, _ = sequences.gather(ROWS, 9)
    path.unlink()
    np.testing.assert_array_equal(ids, sequences.gather(ROWS, 9)[0])


def test_a_training_whose_data_is_cut_short_loses_no_checkpoint(
    whole, tmp_path, monkeypatch
):
    workdir = tmp_path / "run"

    def cut():
        (path,) = workdir.glob("data/train-*/target.ids")
        os.truncate(path, 10)

    at_step(monkeypatch, 6, cut)
    with pytest.raises(InputError, match=r"target\.ids cannot be read"):
        train(whole[0], workdir)
    assert Checkpoints(workdir / "checkpoints").steps() == [6]
    _, lines = train(whole[0], workdir)
    assert any("is damaged: it is made again" in line for line in lines)
    assert_same_end(workdir, whole[1], 12)


def test_files_that_change_while_they_are_tokenised_are_refused(tmp_path, monkeypatch):
    config, write = make_config(tmp_path), encoding._write

    def late(pairs, *rest):
        counts = write(pairs, *rest)
        with open(config.data.train_tsv, "a") as file:
            file.write("one\tmore\n")
        return counts

    monkeypatch.setattr(encoding, "_write", late)
    message = refusal(config, tmp_path / "run")
    assert "train.tsv was changed while it was read" in message


def test_files_that_vanish_meanwhile_are_refused(tmp_path, monkeypatch):
    config, write = make_config(tmp_path), encoding._write

    def late(pairs, *rest):
        counts = write(pairs, *rest)
        (tmp_path / "dev.tsv").unlink()
        return counts

    monkeypatch.setattr(encoding, "_write", late)
    assert "dev.tsv does not exist" in refusal(config, tmp_path / "run")
