"""Updates that are left out: counted and told, and nothing else is touched by them."""

import math
import os
import signal
from dataclasses import replace

import jax.numpy as jnp
import pytest
from tiny_runs import arrays, assert_same_end, at_step, metrics, train

from seq2seq_jax.errors import InputError, TrainingFailed
from seq2seq_jax.training import checks, optimizer, programs

SKIP = {"on_nan": "skip", "nan_limit": 3, "log_every": 1}


@pytest.fixture
def bad_steps(monkeypatch):
    """A function that makes the loss of some batches, counted from 1, not finite."""
    real = programs.objective

    def break_at(*numbers, value=math.nan):
        def objective(config, vocabulary):
            loss = real(config, vocabulary)

            def broken(params, batch, keys, update):
                sums = loss(params, batch, keys, update)
                bad = jnp.isin(update.step + 1, jnp.array(numbers))
                return sums.replace(loss=jnp.where(bad, value, sums.loss))

            return broken

        monkeypatch.setattr(programs, "objective", objective)

    return break_at


def made(workdir, step):
    """Updates that the optimiser of a checkpoint has made."""
    opt_state = arrays(workdir, step)[0]["training"]["opt_state"]
    return max(int(part["count"]) for part in opt_state if part and "count" in part)


def test_skipped_updates_are_told_and_in_no_mean(tiny, tmp_path, bad_steps):
    bad_steps(4, 5, 9)
    report, lines = train(tiny(**SKIP), tmp_path / "run")
    assert (report.status, report.step) == ("done", 12)
    told = [line for line in lines if "update left out" in line]
    assert [line.split(":")[0] for line in told] == ["step 4", "step 5", "step 9"]
    assert "loss nan a token" in told[0] and "2 in a row, 2 in all" in told[1]
    assert "1 in a row, 3 in all" in told[2]
    lines = [line for line in metrics(tmp_path / "run") if line["split"] == "train"]
    assert [line["skipped"] for line in lines] == [0] * 3 + [1, 2, 2, 2, 2] + [3] * 4
    nothing = [n for n, line in enumerate(lines, 1) if line["loss"] is None]
    assert nothing == [4, 5, 9]
    assert made(tmp_path / "run", 12) == 9
    # The rate goes by the updates that were made.
    rates = [line["learning_rate"] for line in lines]
    config = tiny(**SKIP).training
    expected = [float(optimizer.learning_rate(config, n, 1.0)) for n in range(9)]
    assert [x for n, x in enumerate(rates, 1) if n not in nothing] == expected


def test_a_window_of_good_and_bad_updates_is_the_mean_of_the_good(
    tiny, tmp_path, bad_steps
):
    bad_steps(2, value=math.inf)
    train(tiny(**SKIP | {"log_every": 3, "steps": 3}), tmp_path / "long")
    train(tiny(**SKIP | {"steps": 3}), tmp_path / "short")
    (long, *_), short = metrics(tmp_path / "long"), metrics(tmp_path / "short")
    good = [line for line in short if line.get("epoch") and line["loss"] is not None]
    assert len(good) == 2
    tokens = sum(line["target_tokens"] for line in good)
    mean = sum(line["loss"] * line["target_tokens"] for line in good) / tokens
    assert long["target_tokens"] == tokens and long["loss"] == pytest.approx(mean)


@pytest.mark.parametrize("number", [4, 5])
def test_a_resumed_run_goes_on_counting(tiny, tmp_path, bad_steps, monkeypatch, number):
    bad_steps(4, 5, 9)
    config = tiny(**SKIP)
    train(config, tmp_path / "whole")
    at_step(monkeypatch, number, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert train(config, tmp_path / "run")[0].step == number
    train(config, tmp_path / "run")
    assert_same_end(tmp_path / "run", tmp_path / "whole", 12)


def test_so_many_in_a_row_stop_the_training(tiny, tmp_path, bad_steps):
    bad_steps(2, 3, 5, 6, 7, 8)
    with pytest.raises(TrainingFailed) as caught:
        train(tiny(**SKIP, save_every=1), tmp_path / "run")
    message = str(caught.value)
    assert "stopped at step 7" in message and "3 updates in a row" in message
    assert str(tmp_path / "run" / "checkpoints" / "6") in message
    assert "\n" not in message


def test_a_run_that_stopped_goes_on_with_skip(tiny, tmp_path, bad_steps):
    bad_steps(8)
    config, workdir = tiny(), tmp_path / "run"
    with pytest.raises(TrainingFailed, match=r"training\.on_nan skip"):
        train(config, workdir)
    more = replace(config, training=replace(config.training, on_nan="skip"))
    report, lines = train(more, workdir)
    assert report.status == "done"
    assert "changed: training.on_nan: 'stop' -> 'skip'" in lines


def test_a_loss_over_the_limit_counts_as_not_finite(tiny, tmp_path, bad_steps):
    bad_steps(3, value=1e9)
    config = tiny(**SKIP, loss_limit=50.0)
    _, lines = train(config, tmp_path / "run")
    (told,) = [line for line in lines if "update left out" in line]
    assert told.startswith("step 3:")
    stop = replace(config.training, on_nan="stop", nan_limit=10)
    with pytest.raises(TrainingFailed, match=r"step 3: .*loss_limit 50\.0"):
        train(replace(config, training=stop), tmp_path / "stop")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"on_nan": "skp"}, "did you mean 'skip'"),
        ({"nan_limit": 3}, "nothing reads it"),
        ({"on_nan": "skip", "nan_limit": 0}, "above 0"),
        ({"loss_limit": 0.0}, "above 0"),
    ],
)
def test_what_cannot_be_is_refused(tiny, changes, words):
    with pytest.raises(InputError, match=words):
        checks.check(tiny(**changes))


def test_a_limit_below_the_first_loss_is_refused(tiny, tmp_path):
    with pytest.raises(InputError, match="before anything is learnt"):
        train(tiny(loss_limit=1.5), tmp_path / "run")
    assert not (tmp_path / "run").exists()
