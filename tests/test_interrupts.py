"""A signal at any part of a training: nothing is lost, and the same command goes on."""

import os
import signal
import subprocess
import sys

import pytest
from command_line import ROOT
from tiny_runs import assert_same_end, metrics, train

from seq2seq_jax.training import loop, report, signals
from seq2seq_jax.training.checkpoints import Checkpoints
from seq2seq_jax.training.evaluate import Evaluator

# What a training calls, in the order of the starts in which a signal comes there.
PARTS = (
    (loop, "prepare"),
    (loop.Run, "initial_state"),
    (Evaluator, "loss"),  # of step 6, in the first start that comes so far
    (Checkpoints, "restore"),
    (Evaluator, "decode"),  # of step 6 again
    (loop, "make_report"),
    (report, "draw"),
)


def signal_at(monkeypatch, owner, name, number):
    """Send this process a signal when a function is called first."""
    function, calls = getattr(owner, name), []

    def hook(*args, **kwargs):
        calls.append(name)
        if len(calls) == 1:
            os.kill(os.getpid(), number)
        return function(*args, **kwargs)

    monkeypatch.setattr(owner, name, hook)


def test_a_signal_in_every_part_of_a_training_equals_none(whole, tmp_path, monkeypatch):
    config, workdir = whole[0], tmp_path / "run"
    left = {}
    for index, (owner, name) in enumerate(PARTS[:-1]):
        with monkeypatch.context() as patch:
            signal_at(patch, owner, name, signals.SIGNALS[index % 2])
            ended, lines = train(config, workdir)
        assert (ended.status, ended.exit_code) == ("interrupted", 75), name
        assert sum("run the same command to resume" in line for line in lines) == 1
        left[name] = Checkpoints(workdir / "checkpoints").steps()
        if left[name] == [6]:  # the evaluation is pending, and nothing told of step 6
            assert metrics(workdir)[-1]["step"] == 3
        assert not (workdir / "results.json").exists()
    assert left == {
        "prepare": [],
        "initial_state": [],
        "loss": [6],
        "restore": [6],
        "decode": [6],
        "make_report": [6, 12],
    }
    # The results are as good as there: a signal changes nothing any more.
    with monkeypatch.context() as patch:
        signal_at(patch, *PARTS[-1], signal.SIGTERM)
        ended, _ = train(config, workdir)
    assert (ended.status, ended.exit_code) == ("already done", 0)
    assert_same_end(workdir, whole[1], 12)
    results = [(path / "results.json").read_bytes() for path in (workdir, whole[1])]
    assert results[0] == results[1]


def test_results_of_another_config_are_made_again_after_an_interrupt(
    tiny, tmp_path, monkeypatch
):
    workdir = tmp_path / "run"
    train(tiny(steps=2), workdir)
    before = (workdir / "results.json").read_bytes()
    changed = tiny(steps=2, eval_beam_size=3)
    with monkeypatch.context() as patch:
        signal_at(patch, loop, "make_report", signal.SIGTERM)
        assert train(changed, workdir)[0].exit_code == 75
    assert (workdir / "results.json").read_bytes() == before
    train(changed, workdir)
    assert (workdir / "results.json").read_bytes() != before


def test_a_block_at_once_is_left_where_it_is_and_others_at_their_end():
    reached = []
    with pytest.raises(signals.Interrupted), signals.stopping() as stop:
        assert not stop()
        with stop.at_once():
            os.kill(os.getpid(), signal.SIGTERM)
            reached.append("behind")
    assert reached == []
    with signals.stopping() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        with signals.stopping() as inner:
            assert inner is stop and stop()
        with pytest.raises(signals.Interrupted), stop.at_once():
            reached.append("in")
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):  # wherever the first may have gone
            stop()
    assert reached == []


PROGRAM = """
import os, signal, sys, time
from seq2seq_jax.training.signals import stopping
with stopping(process=True) as stop:
    for _ in range(int(sys.argv[1])):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
    assert stop() == bool(int(sys.argv[1]))
os.kill(os.getpid(), signal.SIGTERM)
print("end")
"""


@pytest.mark.parametrize(
    ("count", "code", "out", "err"),
    [
        (0, 0, "end\n", ""),
        (1, 0, "end\n", signals.NOTICE.decode()),
        (2, 130, "", (signals.NOTICE + signals.QUIT).decode()),
    ],
)
def test_a_process_quits_at_the_second_signal_and_hears_none_at_its_end(
    count, code, out, err
):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(count)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)
