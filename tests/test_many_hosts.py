"""Two processes with two devices each give what one process with four gives, and one
device; killed and resumed as another number of processes they go on the same curve."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import test_series
import tiny_runs

from seq2seq_jax import config as configs
from seq2seq_jax.training.checkpoints import Checkpoints

ROOT = Path(__file__).resolve().parent.parent
STEPS, EVERY, KILLED, ASKED = 50, 25, 17, 27
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def config(tiny):
    """Noise for each row, and updates of 7 pairs, which neither 2 nor 4 divides."""
    made = tiny(
        buckets=1,
        steps=STEPS,
        batch_size=7,
        optimizer="sgd",
        learning_rate=0.1,
        momentum=0.6,
        log_every=1,
        eval_every=EVERY,
        eval_beam_size=1,
        save_every=10,
        keep_last=9,
    )
    return dataclasses.replace(
        made,
        data=dataclasses.replace(made.data, test_tsv=None),  # fewer programs
        model=dataclasses.replace(made.model, dropout=0.3),
    )


def port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def run(config, workdir, processes, devices, kill=None, killed=1):
    """Train in so many processes; the exit code and stderr of each.

    Args:
        kill: a step and the signal that process `killed` gets after it.
    """
    address = f"localhost:{port()}"
    started = []
    for index in range(processes):
        request = {
            "config": configs.to_json(config),
            "workdir": str(workdir),
            "where": [address, processes, index] if processes > 1 else None,
            "kill": kill if index == killed else None,
        }
        process = subprocess.Popen(
            [sys.executable, ROOT / "tests" / "several_hosts.py", json.dumps(request)],
            env=os.environ
            | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
            | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
            | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},  # compiles in half the time
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
    try:
        told = [process.communicate(timeout=200)[1] for process in started]
        return [(x.returncode, text) for x, text in zip(started, told, strict=True)]
    finally:
        for process in started:
            process.kill()


def curve(workdir, name="loss", split="train"):
    """The values of a curve, by step."""
    lines = tiny_runs.metrics(workdir)
    return {line["step"]: line[name] for line in lines if line["split"] == split}


def assert_same_curves(one, other):
    for split, names in {"train": ["loss"], "dev": ["loss", "chrf"]}.items():
        for name in names:
            ours, theirs = curve(one, name, split), curve(other, name, split)
            assert list(ours) == list(theirs)
            np.testing.assert_allclose(
                list(ours.values()), list(theirs.values()), rtol=0, atol=1e-5
            )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hosts")


@pytest.fixture(scope="module")
def one(config, folder):
    """One process on one device."""
    tiny_runs.train(config, folder / "one")
    assert list(curve(folder / "one")) == list(range(1, STEPS + 1))
    return folder / "one"


def test_one_process_with_4_devices_gives_the_curves_of_one_device(config, folder, one):
    ((code, told),) = run(config, folder / "four", 1, 4)
    assert code == 0, told
    assert_same_curves(folder / "four", one)


def test_two_processes_with_2_devices_give_them_too(config, folder, one):
    (first, told), (second, silent) = run(config, folder / "two", 2, 2)
    assert (first, second) == (0, 0), told + silent
    assert "4 devices in 2 processes" in told
    assert "loss" not in silent  # process 0 tells
    assert_same_curves(folder / "two", one)
    ours, theirs = (
        json.loads((x / "results.json").read_text(encoding="utf-8"))
        for x in (folder / "two", one)
    )
    assert ours["best_step"] == theirs["best_step"]
    assert ours["samples"] == theirs["samples"]
    assert (folder / "two" / "alignment.png").exists()


def test_killed_and_stopped_and_resumed_elsewhere_it_is_the_same_curve(
    config, folder, one
):
    workdir = folder / "broken"
    kept = Checkpoints(workdir / "checkpoints")

    kill = (KILLED, signal.SIGKILL)
    (first, told), (second, _) = run(config, workdir, 2, 2, kill)
    assert second == -signal.SIGKILL
    assert first == 1, told
    (line,) = [line for line in told.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: process 1 has ended: it was killed")
    assert "Traceback" not in told
    assert kept.steps() == [10]

    stop = (ASKED, signal.SIGTERM)
    (first, told), (second, silent) = run(config, workdir, 2, 2, stop)
    assert (first, second) == (75, 75), told + silent
    assert "resumed at step 10" in told
    step = kept.steps()[-1]
    assert ASKED <= step < STEPS and f"interrupted at step {step}, saved" in told

    ((code, told),) = run(config, workdir, 1, 4)
    assert code == 0, told
    assert f"resumed at step {step}" in told
    assert_same_curves(workdir, one)


def test_parts_of_the_state_go_over_the_devices_of_each_process(config, folder, one):
    """Half a vocabulary and a quarter of the moments on each device; then in one
    process, whole."""
    cut = {"vocabulary_shards": 2, "shard_optimizer": True}
    parted, workdir = dataclasses.replace(config.training, **cut), folder / "cut"
    stop = (ASKED, signal.SIGTERM)
    ended = run(dataclasses.replace(config, training=parted), workdir, 2, 4, stop)
    assert [code for code, _ in ended] == [75, 75], ended
    ((code, told),) = run(config, workdir, 1, 1)
    assert code == 0, told
    assert "resumed at step" in told and "changed: training.shard_optimizer" in told
    assert_same_curves(workdir, one)


def test_weights_that_one_process_alone_reads_are_those_that_all_begin_with(
    config, folder, one
):
    """Only process 0 needs the workdir that a training starts from."""
    training = dataclasses.replace(
        config.training, init_from=str(one), steps=6, eval_every=6, save_every=3
    )
    begun = dataclasses.replace(config, training=training)
    tiny_runs.train(begun, folder / "begun-one")
    ended = run(begun, folder / "begun-two", 2, 1)
    assert [code for code, _ in ended] == [0, 0], ended
    assert "matched by token" in ended[0][1]
    assert_same_curves(folder / "begun-two", folder / "begun-one")


def test_series_are_the_same_in_two_processes(folder):
    """Each of four devices has a quarter of the windows, and forecasts as many."""
    _, config = test_series.of_days(folder)
    training = dataclasses.replace(config.training, log_every=1)
    config = dataclasses.replace(config, training=training)
    tiny_runs.train(config, folder / "series-one")
    (first, told), (second, silent) = run(config, folder / "series-two", 2, 2)
    assert (first, second) == (0, 0), told + silent
    for split, name in (("train", "loss"), ("dev", "loss"), ("dev", "mse")):
        ours, theirs = (
            curve(folder / f"series-{count}", name, split) for count in ("two", "one")
        )
        assert list(ours) == list(theirs) != []
        np.testing.assert_allclose(
            list(ours.values()), list(theirs.values()), rtol=0, atol=1e-5
        )
    ours, theirs = (
        json.loads((folder / f"series-{count}" / "results.json").read_text("utf-8"))
        for count in ("two", "one")
    )
    assert ours["metrics"].keys() == theirs["metrics"].keys()
    for split, values in theirs["metrics"].items():
        assert ours["metrics"][split] == pytest.approx(values, abs=1e-4)
