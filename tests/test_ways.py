"""All that happens in training alone gives the same numbers on any devices."""

import json
import os
import signal
from dataclasses import replace

import jax
import numpy as np
import pytest
from command_line import script
from tiny_runs import arrays, at_step

from seq2seq_jax.training import loop


@pytest.fixture(scope="module")
def runs():
    return json.loads(script("several_ways.py", devices=8))


@pytest.mark.slow
@pytest.mark.parametrize("other", ["8", "2x3", "4 by shard_map"])
@pytest.mark.parametrize("values", ["losses", "params", "baseline"])
def test_other_devices_and_pieces_give_the_numbers_of_one(runs, other, values):
    np.testing.assert_allclose(
        runs[other][values], runs["1"][values], rtol=0, atol=1e-5
    )


@pytest.mark.slow
def test_it_learns(runs):
    losses = runs["1"]["losses"]
    assert np.isfinite(losses).all() and np.mean(losses[-3:]) < np.mean(losses[:3])


def test_a_resumed_run_ends_as_one_never_interrupted(tiny, tmp_path, monkeypatch):
    """With a switch of optimisers, a climbing share and draws on both sides of it."""
    ways = {
        "batch_size": 16,
        "normalize": "sentences",
        "schedule": "constant",
        "label_smoothing": 0.0,
        "sampled_softmax": 4,
        "scheduled_sampling": 1.0,
        "scheduled_sampling_steps": 9,
        "sgd_from": 8,
        "eval_every": 3,
    }
    ends, config = [], tiny(**ways)
    config = replace(config, model=replace(config.model, alignment="hard"))
    for folder, statuses in {
        "whole": ["done"],
        "twice": ["interrupted", "done"],
    }.items():
        if len(statuses) > 1:
            at_step(monkeypatch, 6, lambda: os.kill(os.getpid(), signal.SIGTERM))
        for status in statuses:
            report = loop.train(config, tmp_path / folder, log=lambda line: None)
            assert report.status == status
        ends.append(arrays(tmp_path / folder, 12)[0])
        assert ends[-1]["training"]["baseline"] < 0
    jax.tree.map(np.testing.assert_array_equal, *ends)
