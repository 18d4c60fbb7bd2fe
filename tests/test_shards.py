"""Vocabularies and the optimiser's state cut over devices change nothing but rounding.

Each pair of numbers below is of one device, or of nothing cut, and of 8 devices.
"""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest
from command_line import script
from several_shards import CASES, OPTIMIZERS
from sharded_run import STEPS
from small import QUICK

from seq2seq_jax import config as configs
from seq2seq_jax.config import Config, ModelConfig, TrainingConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.nn import model
from seq2seq_jax.training import checks, layout

QUICKLY = [f"--{name}={value}".lower() for name, value in QUICK.items()]
close = jax.tree_util.Partial(np.testing.assert_allclose, rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def found():
    return json.loads(script("several_shards.py", devices=8, flags=QUICKLY))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(map(str, case)))
def test_loss_and_gradients_are_those_of_one_device(found, case):
    expected, sums = found["gradients"][case[0]]
    gradient, others = found["gradients"][" ".join(map(str, case))]
    assert np.max(np.abs(expected)) > 0.05
    close(gradient, expected)
    for name, value in sums.items():
        assert others[name] == pytest.approx(value, rel=1e-6), name


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_makes_the_same_updates_in_parts(found, name):
    whole, parts = found["updates"][name]
    close(parts["params"], whole["params"])
    close(parts["moments"], whole["moments"])


@pytest.fixture(scope="module")
def runs(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    config = tiny(1, batch_size=7, log_every=4, eval_every=4, keep_last=3)
    # Of no length that 2, 4 or 8 divides; with all that has to do with the state.
    config = replace(
        config,
        data=replace(config.data, vocab_size=7),
        model=replace(config.model, hidden_size=7),
        training=replace(
            config.training, ema=0.9, freeze=("decoder", "*.bias"), clip_deviations=4.0
        ),
    )
    (folder / "config.json").write_text(configs.to_json(config), encoding="utf-8")
    return json.loads(script("sharded_run.py", folder, devices=8, flags=QUICKLY))


@pytest.mark.slow
def test_a_run_that_is_cut_for_a_while_goes_on_the_same_curve(runs):
    cut, whole = (
        {(x["step"], x["split"]): x for x in runs[name]["curve"]}
        for name in ("cut", "whole")
    )
    assert cut.keys() >= whole.keys() and len(whole) > len(STEPS)
    for key, line in whole.items():
        for name in ("loss", "accuracy", "grad_norm", "exact_match"):
            if name in line:
                assert cut[key][name] == pytest.approx(line[name], rel=1e-5), (
                    key,
                    name,
                )
    assert "changed: training.vocabulary_shards: 1 -> 4" in runs["cut"]["told"][1]
    assert "resumed at step 4" in runs["cut"]["told"][1]


@pytest.mark.slow
def test_its_checkpoints_are_those_of_a_run_that_never_was(runs):
    cut, whole = runs["cut"], runs["whole"]
    for step, params in whole["saved"].items():
        assert cut["saved"][step]["shapes"] == params["shapes"]
        close(cut["saved"][step]["numbers"], params["numbers"])
    assert cut["said"] == whole["said"]


def test_what_goes_over_a_vocabulary_is_what_is_cut():
    """The arrays whose size changes with that of a vocabulary, in parameters alone."""
    for tied in ("none", "input", "output", "all"):
        config = ModelConfig(hidden_size=6, embedding_size=6, tied_embeddings=tied)

        def shapes(source, target, config=config):
            made = jax.eval_shape(
                lambda key: model.init_params(key, config, source, target),
                jax.random.key(0),
            )
            return jax.tree_util.tree_flatten_with_path(made)[0]

        for (path, one), (_, other) in zip(shapes(11, 11), shapes(17, 17), strict=True):
            pairs = enumerate(zip(one.shape, other.shape, strict=True))
            grown = [dimension for dimension, (a, b) in pairs if a != b]
            cut = layout.cut_dimension(path)
            assert grown == ([] if cut is None else [cut]), path


def test_a_vocabulary_is_cut_over_a_divisor_of_the_devices():
    with pytest.raises(InputError) as refused:
        layout.check(TrainingConfig(vocabulary_shards=3), 8)
    assert "a divisor of the number of devices of a process (8)" in str(refused.value)
    layout.check(TrainingConfig(vocabulary_shards=4), 8)


@pytest.mark.parametrize(
    ("training", "backend"),
    [
        ({"sampled_softmax": 4, "label_smoothing": 0.0}, "auto"),
        ({"scheduled_sampling": 0.5}, "auto"),
        ({}, "pallas"),
    ],
)
def test_what_needs_a_whole_vocabulary_is_refused_beside_a_cut_one(training, backend):
    config = Config(
        model=ModelConfig(backend=backend),
        training=TrainingConfig(vocabulary_shards=2, **training),
    )
    with pytest.raises(InputError, match="vocabulary_shards is 2, but"):
        checks.check(config)
