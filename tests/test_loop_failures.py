"""A training that cannot begin or go on: one line, and nothing lost."""

import errno
from dataclasses import replace

import pytest
from tiny_runs import train

from seq2seq_jax import config as configs
from seq2seq_jax.errors import InputError, TrainingFailed
from seq2seq_jax.training.checkpoints import Checkpoints
from seq2seq_jax.training.reporting import Reporter


def test_a_workdir_of_another_config_is_refused_saying_what_differs(whole):
    config, workdir = whole[0], whole[1]
    other = replace(config, model=replace(config.model, hidden_size=16))
    before = sorted(workdir.rglob("*"))
    with pytest.raises(InputError, match=r"model\.hidden_size: 8 -> 16"):
        train(other, workdir)
    assert sorted(workdir.rglob("*")) == before
    assert configs.load(workdir / "config.json") == config


@pytest.mark.parametrize(
    ("section", "changes", "words"),
    [
        ("training", {"optimizer": "adm"}, "training.optimizer"),
        ("training", {"schedule": "cosin"}, "training.schedule"),
        ("training", {"metric": "blue"}, "did you mean 'bleu'"),
        ("training", {"steps": 0}, "training.steps"),
        ("training", {"eval_beam_size": 500}, "vocabulary"),
        ("model", {"cell": "lstn"}, "model.cell"),
        ("model", {"decoder_hidden_size": 12}, "attention 'dot'"),
        ("data", {"train_tsv": "/nothing/there.tsv"}, "there.tsv"),
        ("data", {"max_length": 5, "long_lines": "error"}, "data.max_length 5"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_workdir(
    tiny, tmp_path, section, changes, words
):
    config = tiny()
    wrong = replace(getattr(config, section), **changes)
    workdir = tmp_path / "run"
    with pytest.raises(InputError) as caught:
        train(replace(config, **{section: wrong}), workdir)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert not workdir.exists()


def test_checkpoints_without_their_config_are_refused(tiny, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(InputError, match=r"no config\.json"):
        train(tiny(), tmp_path)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(tiny, tmp_path):
    config = tiny(
        optimizer="sgd",
        learning_rate=1e38,
        clip_norm=None,
        warmup_steps=0,
        schedule="constant",
        save_every=1,
        log_every=1,
        buckets=1,
    )
    with pytest.raises(TrainingFailed) as caught:
        train(config, tmp_path / "run")
    message = str(caught.value)
    stopped = int(message.split("at step ")[1].split(":")[0])
    kept = Checkpoints(tmp_path / "run" / "checkpoints")
    assert stopped > 1 and kept.steps()[-1] == stopped - 1
    assert str(kept.directory / str(stopped - 1)) in message and "\n" not in message


def test_a_full_disk_under_way_is_one_line(whole, tmp_path, monkeypatch):
    def full(self, step, split, values):
        if step > 6:
            raise OSError(errno.ENOSPC, "No space left on device", "metrics.jsonl")

    monkeypatch.setattr(Reporter, "record", full)
    with pytest.raises(InputError, match="No space left on device"):
        train(whole[0], tmp_path / "run")
    assert Checkpoints(tmp_path / "run" / "checkpoints").steps() == [6]
