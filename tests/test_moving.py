"""The moving average of the parameters: what it is, and that the training knows not."""

import dataclasses
import json
import math
import os
import shutil
import signal
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toy
from tiny_runs import arrays, assert_same_end, at_step, metrics, train

from seq2seq_jax import cli
from seq2seq_jax.errors import InputError
from seq2seq_jax.inference import workdir as trained
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.planning import programs as planned
from seq2seq_jax.training import moving, parallel, programs, step
from seq2seq_jax.training.checkpoints import Checkpoints

DEVICES = parallel.local(jax.local_devices()[:1])
DECAY = 0.6  # reached at the 13th update: (1 + n) / (10 + n)


@pytest.fixture(scope="module")
def averaged(tiny, tmp_path_factory):
    """A run with an average and frozen parameters, never interrupted."""
    config = tiny(ema=0.9, freeze=("encoder", "*.bias"))
    workdir = tmp_path_factory.mktemp("averaged") / "run"
    return config, workdir, *train(config, workdir)


def test_it_is_the_recurrence_of_each_updates_parameters():
    bad = {4, 9}  # batches whose loss is not finite

    def loss(params, batch, keys, update):
        sums = toy.loss(params, batch, keys)
        broken = jnp.isin(update.step + 1, jnp.array(sorted(bad)))
        return sums.replace(loss=jnp.where(broken, math.nan, sums.loss))

    tx = optax.sgd(0.3)
    state = step.init_state(jax.random.key(3), toy.params(), tx)
    state = dataclasses.replace(state, average=state.params)
    state = parallel.place(state, DEVICES)
    one = moving.step_of(partial(step.train_step, loss, tx), DECAY)
    run = parallel.mapped_train_step(one, DEVICES)
    expected = jax.tree.map(lambda x: np.asarray(x, np.float64), toy.params())
    for number in range(1, 21):
        before = jax.device_get(state.average)
        state, told = run(state, *parallel.shard_batch(toy.batch(5, seed=number), 1))
        assert told["finite"] == (number not in bad)
        if number in bad:
            jax.tree.map(np.testing.assert_array_equal, state.average, before)
            continue
        keep = min(DECAY, (1 + number) / (10 + number))
        expected = jax.tree.map(
            lambda average, x: keep * average + (1 - keep) * np.float64(x),  # noqa: B023
            expected,
            jax.device_get(state.params),
        )
        jax.tree.map(
            partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6),
            jax.device_get(state.average),
            expected,
        )
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(state.average))


def test_the_first_parameters_are_soon_forgotten():
    weights = np.cumprod([float(moving.decay_at(0.999, n)) for n in range(1, 101)])
    assert weights[9] < 1e-4 and weights[99] < 1e-11
    assert moving.decay_at(0.9, 10**6) == np.float32(0.9)


def test_without_it_the_state_and_the_step_are_as_they_were(tiny):
    config = tiny()
    mapped, arguments = planned.train_step(config, DEVICES, planned.Shape(4, 5, 5))
    state = arguments[0]
    assert (
        jax.tree.structure(state).num_leaves
        == jax.tree.structure(
            (state.step, state.params, state.opt_state, state.key)
        ).num_leaves
    )
    training = config.training
    tx = planned.optimizer.make(training)
    plain = partial(
        step.train_step,
        programs.objective(config, planned.vocabularies(config)[1]),
        tx,
        accumulate=training.accumulate,
        normalize=training.normalize,
        loss_limit=training.loss_limit,
    )
    own = parallel.mapped_train_step(plain, DEVICES).lower(*arguments).as_text()
    assert mapped.lower(*arguments).as_text() == own


def test_a_run_that_was_interrupted_ends_with_the_same_average(
    averaged, tmp_path, monkeypatch
):
    config, whole, *_ = averaged
    at_step(monkeypatch, 9, lambda: os.kill(os.getpid(), signal.SIGTERM))
    report, _ = train(config, tmp_path / "run")
    assert (report.status, report.step) == ("interrupted", 9)
    train(config, tmp_path / "run")
    assert_same_end(tmp_path / "run", whole, 12)
    ended, _ = arrays(whole, 12)
    differ = jax.tree.map(
        lambda *x: np.any(x[0] != x[1]), ended["average"], ended["params"]
    )
    assert differ["source"]["table"] and differ["head"]["kernel"]
    assert not any(jax.tree.leaves(differ["encoder"])), "what is frozen stands still"


def test_it_is_what_is_evaluated_and_used_and_raw_ones_are_a_flag_away(
    averaged, tmp_path, capsys
):
    config, workdir, *_ = averaged
    ended, notes = arrays(workdir, 12)
    used, raw = Predictor.load(workdir, 12), Predictor.load(workdir, 12, raw=True)
    for flag, name in ((False, "average"), (True, "params")):
        found = trained.load(workdir, 12, raw=flag, warn=pytest.fail).params
        jax.tree.map(np.testing.assert_array_equal, found, ended[name])
    pairs = Path(config.data.dev_tsv).read_text(encoding="utf-8").split()
    losses = []
    for predictor in (used, raw):
        scores = predictor.score(pairs[::2], pairs[1::2])
        found = np.concatenate([score.token_log_probs for score in scores])
        losses.append(-found.mean())
    dev = [line for line in metrics(workdir) if line["split"] == "dev"][-1]
    assert losses[0] == pytest.approx(dev["loss"], rel=1e-5)
    assert losses[1] != pytest.approx(dev["loss"], rel=1e-4)
    assert notes["metrics"]["score"] == -dev["loss"]
    for flags, name in (((), "average"), (("--raw",), "params")):
        mean = tmp_path / name
        cli.run_command(
            [
                "average",
                "--workdir",
                str(workdir),
                "-o",
                str(mean),
                "--last",
                "1",
                *flags,
            ]
        )
        made = Checkpoints(mean / "checkpoints").load()
        assert not made.averaged
        jax.tree.map(np.testing.assert_array_equal, made.params, ended[name])
    cli.run_command(["info", "--workdir", str(workdir), "--json"])
    states = [
        each["state"]
        for each in json.loads(capsys.readouterr().out.split("\n", 2)[2])["checkpoints"]
    ]
    assert states == ["whole", "whole"]


def test_a_damaged_average_is_noticed(averaged, tmp_path):
    run = shutil.copytree(averaged[1], tmp_path / "run")
    for path in (run / "checkpoints" / "12" / "average").rglob("d/*"):
        os.truncate(path, path.stat().st_size // 2)
    told = []
    checkpoints = Checkpoints(run / "checkpoints", log=told.append)
    assert checkpoints.load("latest").step == 6
    assert "checkpoint 12" in told[0] and "is damaged" in told[0]


def test_the_training_goes_on_as_without_it(whole, tiny, tmp_path):
    train(tiny(ema=0.9), tmp_path / "run")
    ours, theirs = arrays(tmp_path / "run", 12)[0], arrays(whole[1], 12)[0]
    for item in ("params", "training"):
        jax.tree.map(np.testing.assert_array_equal, ours[item], theirs[item])
    lines = zip(metrics(tmp_path / "run"), metrics(whole[1]), strict=True)
    for one, other in lines:
        assert (one == other) == (one["split"] == "train")


def test_raw_parameters_of_a_run_without_it_are_refused(whole):
    with pytest.raises(
        InputError, match=r"--raw is given, but training\.ema of .* is 0"
    ):
        cli.run_command(["translate", "--workdir", str(whole[1]), "--raw"])
