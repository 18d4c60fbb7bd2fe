"""Resuming: stopped anywhere, the same command ends as if it had never stopped."""

import os
import shutil
import signal
from dataclasses import replace

import pytest
from tiny_runs import STANDING_STILL, assert_same_end, at_step, metrics, train

from seq2seq_jax import config as configs
from seq2seq_jax.training import anomalies
from seq2seq_jax.training.checkpoints import Checkpoints


class KilledError(BaseException):
    """Stands for the end of the process: nothing of ours catches it."""


@pytest.mark.parametrize(
    ("number", "name"), [(5, "SIGTERM"), (6, "SIGINT"), (11, "SIGINT")]
)
def test_a_signal_at_any_step_and_the_same_command_equal_no_signal(
    whole, tmp_path, monkeypatch, number, name
):
    config, workdir = whole[0], tmp_path / "run"
    signal_number = getattr(signal, name)
    before = signal.getsignal(signal_number)
    at_step(monkeypatch, number, lambda: os.kill(os.getpid(), signal_number))
    report, lines = train(config, workdir)
    assert report.status == "interrupted" and report.exit_code == 75
    assert report.step == number
    assert any("run the same command to resume" in line for line in lines)
    assert signal.getsignal(signal_number) == before
    report, lines = train(config, workdir)
    assert report.status == "done" and f"resumed at step {number}" in lines
    assert_same_end(workdir, whole[1], 12)
    assert report.metrics == whole[2].metrics


def test_killed_after_a_checkpoint_and_the_same_command_equal_no_kill(
    whole, tmp_path, monkeypatch
):
    def kill():
        raise KilledError

    at_step(monkeypatch, 11, kill)
    workdir = tmp_path / "run"
    with pytest.raises(KilledError):
        train(whole[0], workdir)
    assert metrics(workdir)[-1]["step"] == 9
    with (workdir / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 10, "half')
    report, lines = train(whole[0], workdir)
    assert "resumed at step 6" in lines and report.status == "done"
    assert_same_end(workdir, whole[1], 12)


def test_a_second_signal_quits_at_once(whole, tmp_path, monkeypatch):
    def twice():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    at_step(monkeypatch, 8, twice)
    with pytest.raises(KeyboardInterrupt):
        train(whole[0], tmp_path / "run")
    assert Checkpoints(tmp_path / "run" / "checkpoints").steps() == [6]


def test_a_damaged_newest_checkpoint_costs_the_steps_since_the_one_before(
    whole, tmp_path, monkeypatch
):
    config, workdir = whole[0], tmp_path / "run"
    at_step(monkeypatch, 9, lambda: os.kill(os.getpid(), signal.SIGTERM))
    train(config, workdir)
    for path in (workdir / "checkpoints" / "9" / "training").rglob("*"):
        if path.is_file():
            os.truncate(path, path.stat().st_size // 2)
    report, lines = train(config, workdir)
    assert any("checkpoint 9" in line and "damaged" in line for line in lines)
    assert "resumed at step 6" in lines and report.status == "done"
    assert_same_end(workdir, whole[1], 12)


def test_a_finished_run_says_so_and_more_steps_go_on(whole, tiny, tmp_path):
    workdir = tmp_path / "run"
    train(tiny(steps=6), workdir)
    stamp = (workdir / "results.json").stat().st_mtime_ns
    report, lines = train(tiny(steps=6), workdir)
    assert report.status == "already done" and report.exit_code == 0
    assert any("already done at step 6 of 6" in line for line in lines)
    assert any("raise --training.steps" in line for line in lines)
    assert report.metrics and (workdir / "results.json").stat().st_mtime_ns == stamp
    report, lines = train(whole[0], workdir)
    assert report.status == "done" and report.step == 12
    assert "changed: training.steps: 6 -> 12" in lines
    assert configs.load(workdir / "config.json") == whole[0]
    assert_same_end(workdir, whole[1], 12)


def test_a_plateau_lowers_the_rate_and_a_resumed_run_goes_on_with_it(
    tiny, tmp_path, monkeypatch
):
    config = tiny(**STANDING_STILL)
    train(config, tmp_path / "whole")
    rates = [m["learning_rate"] for m in metrics(tmp_path / "whole") if "epoch" in m]
    assert rates[0] == pytest.approx(1e-12) and rates[6] == pytest.approx(5e-13)
    assert rates[-1] == pytest.approx(2.5e-13)
    at_step(monkeypatch, 7, lambda: os.kill(os.getpid(), signal.SIGTERM))
    train(config, tmp_path / "run")
    train(config, tmp_path / "run")
    assert_same_end(tmp_path / "run", tmp_path / "whole", 12)


def test_what_is_remembered_of_gradients_is_resumed(whole, tmp_path, monkeypatch):
    """Updates are left out for their norms, and counted, as without the signal."""
    monkeypatch.setattr(anomalies, "SURE", 0.015)  # from the fourth update on
    training = replace(whole[0].training, clip_deviations=0.01)
    config = replace(whole[0], training=training)
    ends = [tmp_path / name for name in ("whole", "resumed")]
    train(config, ends[0])
    at_step(monkeypatch, 7, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert train(config, ends[1])[0].step == 7
    train(config, ends[1])
    assert_same_end(ends[1], ends[0], 12)
    rows = metrics(ends[1])
    skipped = [row["skipped"] for row in rows if row["split"] == "train"]
    assert skipped[0] <= skipped[-1] and 0 < skipped[-1] < 9


def test_data_may_have_moved(whole, tmp_path, monkeypatch):
    config, workdir = whole[0], tmp_path / "run"
    at_step(monkeypatch, 6, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert train(config, workdir)[0].step == 6
    moved = {}
    for name in ("train_tsv", "dev_tsv", "test_tsv"):
        path = getattr(config.data, name)
        moved[name] = str(shutil.copy(path, tmp_path / f"{name}-elsewhere"))
    elsewhere = replace(config, data=replace(config.data, **moved))
    report, lines = train(elsewhere, workdir)
    assert report.status == "done" and "resumed at step 6" in lines
    assert any(line.startswith("changed: data.train_tsv: ") for line in lines)
    assert not any("fingerprint" in line for line in lines)
    assert configs.load(workdir / "config.json") == elsewhere
    assert_same_end(workdir, whole[1], 12)
