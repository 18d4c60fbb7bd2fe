"""Frozen parameters: no update, no moments, no share of the gradient's norm."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest
import toy
from tiny_runs import arrays, train

from seq2seq_jax import cli
from seq2seq_jax.config import Config, ModelConfig, TrainingConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.planning import costs
from seq2seq_jax.planning import programs as planned
from seq2seq_jax.training import checks, freezing, optimizer, parallel, programs, step

DEVICES = parallel.local(jax.local_devices()[:1])
SGD = TrainingConfig(
    optimizer="sgd", learning_rate=0.7, schedule="constant", warmup_steps=0
)


def run_of(config, pieces=1):
    """A state of the toy model, and its step, by a training's config."""
    tx = optimizer.make(config)
    start = programs.started(toy.params(), config, tx, jax.random.key(3))
    one = freezing.step_of(
        partial(step.train_step, accumulate=pieces), quiet, tx, config.freeze
    )
    state = parallel.place(start, DEVICES)
    return state, parallel.mapped_train_step(one, DEVICES)


def quiet(params, batch, keys, update):
    sums = toy.loss(params, batch, None)
    return sums.replace(loss=sums.loss * 30)


@pytest.mark.parametrize("pieces", [1, 2])
def test_the_others_are_updated_as_if_they_were_alone(pieces):
    state, run = run_of(replace(SGD, freeze=("out",), clip_norm=2.0), pieces)
    batch = toy.batch(6)
    after, told = run(state, *parallel.shard_batch(batch, 1, pieces))
    before = toy.params()
    for name in ("kernel", "bias"):
        np.testing.assert_array_equal(after.params["out"][name], before["out"][name])

    def mean(table):
        sums = toy.loss(before | {"table": table}, batch, None)
        return 30 * sums.loss / sums.weight

    grad = np.asarray(jax.grad(mean)(before["table"]), np.float64)
    norm = np.sqrt((grad**2).sum())
    assert norm > 2 and told["grad_norm"] == pytest.approx(norm, rel=1e-5)
    expected = before["table"] - 0.7 * grad * 2 / norm
    np.testing.assert_allclose(after.params["table"], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["adamw", "adam_l2", "adagrad", "adadelta"])
def test_nothing_is_remembered_of_them_and_no_decay_pulls_them(kind):
    config = TrainingConfig(optimizer=kind, weight_decay=0.1, freeze=("table",))
    state, run = run_of(config)
    shapes = {leaf.shape for leaf in jax.tree.leaves(state.opt_state)}
    assert toy.params()["table"].shape not in shapes
    assert toy.params()["out"]["kernel"].shape in shapes
    for number in range(3):
        batch = toy.batch(5, seed=number)
        state, _ = run(state, *parallel.shard_batch(batch, 1))
    np.testing.assert_array_equal(state.params["table"], toy.params()["table"])
    moved = state.params["out"]["kernel"] != toy.params()["out"]["kernel"]
    assert np.any(moved)


def test_their_gradients_are_not_computed(tiny):
    config, flops = tiny(), []
    for freeze in ((), ("source", "encoder")):
        made = replace(config, training=replace(config.training, freeze=freeze))
        run, arguments = planned.train_step(made, DEVICES, planned.Shape(4, 9, 9))
        flops.append(costs.flops(jax.make_jaxpr(run)(*arguments).jaxpr))
    model, tokens = config.model, 4 * 9
    gates = 3 * model.hidden_size
    # Of both of the encoder's matrices, and what goes back to h and to the embeddings.
    back = 2 * 2 * tokens * gates * (model.hidden_size + model.embedding_size)
    assert flops[0] - flops[1] >= 0.9 * back


def test_a_run_leaves_them_as_the_seed_made_them(tiny, tmp_path):
    config = tiny(steps=6, freeze=("encoder.layers", "target.*"))
    report, lines = train(config, tmp_path / "run")
    assert report.status == "done"
    ended, _ = arrays(tmp_path / "run", 6)
    key, _ = jax.random.split(jax.random.key(config.training.seed))
    made = programs.model.init_params(key, config.model, 8, 8)
    for path, leaf in freezing.fingerprints.plain(made).items():
        there = freezing.fingerprints.plain(ended["params"])[path]
        frozen = freezing.is_frozen(config.training.freeze, path)
        assert np.array_equal(leaf, there) == frozen, path
    count = freezing.count(made, config.training.freeze)
    assert any(f"{count:,} of them frozen" in line for line in lines)
    other = replace(config, training=replace(config.training, freeze=("encoder",)))
    with pytest.raises(InputError, match=r"training\.freeze: .* -> \('encoder',\)"):
        train(other, tmp_path / "run")
    assert train(config, tmp_path / "run")[0].status == "already done"


@pytest.mark.parametrize(
    ("patterns", "says"),
    [
        (("encodr.layers",), "'encodr.layers' names no parameter .did you mean 'enc"),
        (("head", "encoder/layers"), "'encoder/layers' .* 'encoder.layers'"),
        (("*.nothing",), "the parts of this model are decoder, encoder, head, source"),
        (("enc",), "'enc' names no parameter"),
        (("*",), "leaves nothing to learn: all .. parameters are frozen"),
        (("encoder", "decoder", "head", "?????e", "target"), "nothing to learn"),
    ],
)
def test_patterns_of_nothing_and_of_everything_are_refused(patterns, says):
    config = Config(training=TrainingConfig(freeze=patterns))
    with pytest.raises(InputError, match=says) as caught:
        checks.check(config)
    assert "\n" not in str(caught.value)


def test_the_command_lists_paths_and_what_is_frozen(capsys):
    flags = [
        "--model.tied_embeddings",
        "output",
        "--training.freeze",
        "source",
        "*.bias",
    ]
    cli.run_command(["parameters", "text", "--paths", *flags])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    frozen = {line[0] for line in lines if line[-1] == "frozen"}
    paths = freezing.paths_of(Config(model=ModelConfig(tied_embeddings="output")))
    assert "source.table" in frozen and "head.bias" in frozen
    assert frozen == {
        line[0] for line in lines if freezing.is_frozen(("source", "*.bias"), line[0])
    }
    assert len(lines) >= len(paths) - 4
