"""Lengths in epochs: what a training makes of them, alone, resumed and gone on."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_jax import config as configs
from seq2seq_jax import limits
from seq2seq_jax.config import TrainingConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.training import loop
from seq2seq_jax.training.checkpoints import Checkpoints
from seq2seq_jax.training.horizon import describe, resolve
from seq2seq_jax.training.schedules import learning_rate

SUTSKEVER = TrainingConfig(
    epochs=7.5,
    optimizer="sgd",
    learning_rate=0.7,
    schedule="halving",
    warmup_steps=0,
    decay_unit="epochs",
    decay_start=5,
    decay_every=0.5,
)
LUONG = replace(SUTSKEVER, epochs=10, learning_rate=1.0, decay_every=1)


@pytest.mark.parametrize("batches", [1, 2, 3, 7, 100, 93_751])
def test_sutskever_s_rate_in_epochs(batches):
    """2014, 3.4: 0.7; after 5 epochs halved every half epoch; 7.5 epochs in all."""
    config = resolve(SUTSKEVER, batches)
    assert config.steps == math.ceil(7.5 * batches)
    made = np.unique(np.linspace(0, config.steps, 4001).astype(int))
    halvings = np.floor((made / batches - 5) / 0.5 + 1e-9) + 1
    expected = 0.7 * 0.5 ** np.maximum(halvings, 0)
    found = jax.vmap(lambda m: learning_rate(config, m))(jnp.asarray(made))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("batches", [1, 7, 100])
def test_luong_s_rate_in_epochs(batches):
    """2015, 4.1: 1.0; 10 epochs; after 5 epochs halved every epoch."""
    config = resolve(LUONG, batches)
    of_epochs = [1.0] * 5 + [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32]
    found = [float(learning_rate(config, n)) for n in range(10 * batches)]
    np.testing.assert_array_equal(found, np.repeat(of_epochs, batches))


@given(st.floats(0.01, 50), st.integers(1, 10**6))
def test_so_many_epochs_are_the_updates_that_hold_them(epochs, batches):
    steps = resolve(TrainingConfig(epochs=epochs), batches).steps
    assert steps >= 1 and abs(steps - epochs * batches) <= 1


def test_what_is_in_updates_stays_and_nothing_is_told_of_it():
    config = TrainingConfig(decay_start=30, decay_every=4)
    assert resolve(config, 17) == config and describe(config, 17) == ""
    assert resolve(resolve(SUTSKEVER, 9), 11) == resolve(SUTSKEVER, 9)


def test_what_became_of_epochs_is_told():
    assert describe(SUTSKEVER, 1000) == (
        "7.5 epochs of 1,000 batches: 7,500 updates, "
        "the rate decays from update 5,001 on, and again every 500 updates"
    )


@pytest.mark.parametrize("field", ["epochs", "decay_every"])
def test_a_length_of_nothing_is_refused(field):
    training = replace(SUTSKEVER, **{field: 0.0})
    with pytest.raises(InputError, match=rf"training\.{field} is 0\.0, expected"):
        limits.validate(configs.Config(training=training))


def flags(**more):
    lengths = {"schedule": "halving", "decay_unit": "epochs", "decay_every": 0.5}
    return {"warmup_steps": 0, "decay_start": 0.5, **lengths, **more}


def test_a_run_of_epochs_ends_resumes_and_goes_on(tiny, tmp_path):
    told = []
    config, workdir = tiny(epochs=1.0, **flags()), tmp_path / "run"
    report = loop.train(config, workdir, log=told.append)
    batches = report.step
    assert report.status == "done" and batches > 3
    assert any(f"1 epochs of {batches} batches: {batches} updates" in x for x in told)
    assert configs.load(workdir / "config.json") == config

    again = loop.train(config, workdir, log=told.append)
    assert again.status == "already done" and "--training.epochs" in "".join(told)

    longer = tiny(epochs=1.5, **flags())
    report = loop.train(longer, workdir, log=told.append)
    assert report.step == math.ceil(1.5 * batches)
    assert configs.load(workdir / "config.json") == longer

    whole = tmp_path / "whole"
    loop.train(longer, whole, log=told.append)
    ends = [
        Checkpoints(folder / "checkpoints").restore_params("latest")
        for folder in (workdir, whole)
    ]
    jax.tree.map(np.testing.assert_array_equal, *ends)
