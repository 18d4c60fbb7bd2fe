"""Heads for numbers, and a decoder that reads what it says: against loops in NumPy."""

import math
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import assert_close, quick_jit, row_keys

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.nn import checks, layers, model, real_heads
from seq2seq_jax.nn.heads import HEADS
from seq2seq_jax.types import Batch

REAL = [name for name, head in HEADS.items() if head.width is not None]
SMALL = ModelConfig(
    frontend="features",
    head="mean",
    cell="gru",
    hidden_size=4,
    embedding_size=3,
    dropout=0.0,
    quantiles=3,
)
SOURCE, TARGETS, HEARD = 5, 2, 6  # two numbers, two marks, two that are known
L, N = 4, 3


def config_of(head):
    return replace(SMALL, head=head, quantiles=3 if head == "quantiles" else 9)


def params_of(config, seed=0):
    shapes = jax.eval_shape(
        lambda key: model.init_params(key, config, SOURCE, TARGETS, HEARD),
        jax.random.key(0),
    )
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: rng.uniform(-0.7, 0.7, leaf.shape).astype(np.float32), shapes
    )


def batch_of(seed=0, rows=3):
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(rows, N, TARGETS)).astype(np.float32)
    target[0, 1, 0] = np.nan
    heard = rng.normal(size=(rows, N, HEARD)).astype(np.float32)
    heard[..., TARGETS : 2 * TARGETS] = 1.0
    return Batch(
        source=rng.normal(size=(rows, L, SOURCE)).astype(np.float32),
        source_mask=np.ones((rows, L), bool),
        target_in=heard,
        target_out=target,
        target_mask=np.ones((rows, N), bool) & (np.arange(rows) < rows - 1)[:, None],
    )


def said_by(head, params, readout):
    """W numbers of each target, written out."""
    numbers = []
    for m in range(TARGETS):
        row = []
        for part in params["parts"]:
            total = part["bias"][m]
            for i, x in enumerate(readout):
                total += x * part["kernel"][i, m]
            row.append(float(total))
        if head == "gaussian":
            row[1] = 0.001 + math.log(1 + math.exp(row[1]))
        numbers.append(row)
    return numbers


def lost_by(head, said, y):
    """The loss of one target."""
    if head == "mean":
        return (y - said[0]) ** 2
    if head == "gaussian":
        mu, sigma = said
        density = math.exp(-((y - mu) ** 2) / (2 * sigma**2))
        return -math.log(density / math.sqrt(2 * math.pi * sigma**2))
    total = 0.0
    for k, f in enumerate(said, 1):
        q = k / (len(said) + 1)
        total += 2 * (q * (y - f) if y >= f else (1 - q) * (f - y))
    return total / len(said)


@pytest.mark.parametrize("head", REAL)
def test_outputs_and_loss_are_the_equations(head):
    entry, config, batch = HEADS[head], config_of(head), batch_of()
    params = params_of(config)["head"]
    size = params["parts"][0]["kernel"].shape[0]
    readout = np.random.default_rng(1).normal(size=(3, N, size)).astype(np.float32)
    outputs = entry.apply(params, readout)
    total = count = 0.0
    for b in range(3):
        for t in range(N):
            said = said_by(head, params, readout[b, t])
            np.testing.assert_allclose(outputs[b, t], said, rtol=2e-5, atol=2e-5)
            for m in range(TARGETS):
                y = float(batch.target_out[b, t, m])
                if batch.target_mask[b, t] and not math.isnan(y):
                    total += lost_by(head, said[m], y)
                    count += 1
    sums = entry.loss(params, readout, batch.target_out, batch.target_mask)
    assert float(sums.weight) == count == 11
    np.testing.assert_allclose(float(sums.loss), total, rtol=1e-4)
    np.testing.assert_allclose(float(sums.nll), total, rtol=1e-4)


@partial(quick_jit, static_argnums=1)
def loss_and_gradient(params, config, batch, keys=None, own=None):
    def total(params):
        return model.loss(params, config, batch, 0.0, keys, own=own).loss

    return jax.value_and_grad(total)(params)


@pytest.mark.parametrize("head", REAL)
def test_what_is_missing_or_padding_changes_nothing(head):
    config, batch = config_of(head), batch_of()
    params = params_of(config)
    loss, grads = loss_and_gradient(params, config, batch)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
    other = batch.target_out.copy()
    other[2] = np.nan  # the row that is not there
    moved = batch.target_in.copy()
    moved[2] = 9.0
    again = batch.replace(target_out=other, target_in=moved)
    assert_close(loss_and_gradient(params, config, again), (loss, grads), 1e-6)


@partial(quick_jit, static_argnums=1)
def forecast(params, config, batch):
    return model.forecast(params, config, batch)


@partial(quick_jit, static_argnums=1)
def forced(params, config, batch):
    return model.logits_and_weights(params, config, batch)


@pytest.mark.parametrize("head", REAL)
def test_a_forecast_is_teacher_forcing_on_what_it_says_itself(head):
    """The numbers that are read are its own; what is known stays."""
    config, batch = config_of(head), batch_of()
    params = params_of(config)
    outputs, weights = map(np.asarray, forecast(params, config, batch))
    point = np.asarray(HEADS[head].point(outputs))
    read = batch.target_in.copy()
    read[:, 1:, :TARGETS] = point[:, :-1]
    again = forced(params, config, batch.replace(target_in=read))
    assert_close((outputs, weights), again, 2e-6)
    np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("head", REAL)
def test_a_forecast_knows_nothing_of_what_comes(head):
    config, batch = config_of(head), batch_of()
    params = params_of(config)
    outputs, _ = forecast(params, config, batch)
    other = batch.target_in.copy()
    other[:, 1:, : 2 * TARGETS] = 5.0
    assert_close(forecast(params, config, batch.replace(target_in=other))[0], outputs)


@pytest.mark.parametrize("head", REAL)
def test_sampling_its_own_always_is_teacher_forcing_on_its_forecast(head):
    config, batch = config_of(head), batch_of()
    params, keys = params_of(config), row_keys(rows=3)
    outputs, _ = forecast(params, config, batch)
    read = batch.target_in.copy()
    read[:, 1:, :TARGETS] = np.asarray(HEADS[head].point(outputs))[:, :-1]
    expected = loss_and_gradient(params, config, batch.replace(target_in=read))
    found = loss_and_gradient(params, config, batch, keys, jnp.float32(1.0))
    assert_close(found, expected, 1e-5)
    never = loss_and_gradient(params, config, batch, keys, jnp.float32(0.0))
    assert_close(never, loss_and_gradient(params, config, batch), 1e-6)


def test_quantiles_cross_the_middle_at_the_median():
    outputs = jnp.array([[3.0, 1.0, 2.0]])
    assert real_heads.median(outputs).tolist() == [1.0]
    assert real_heads.levels(9)[4] == 0.5


def test_a_head_for_numbers_refuses_what_only_tokens_have():
    for change, told in (
        ({"tied_embeddings": "output"}, "says numbers"),
        ({"head": "quantiles", "quantiles": 4}, "odd number"),
        ({"quantiles": 5}, "nothing reads it"),
    ):
        with pytest.raises(InputError, match=told):
            checks.check(replace(config_of("mean"), **change))


def test_first_weights_of_a_head_are_layers_like_others():
    made = real_heads.init(jax.random.key(0), 4, 2, layers.initializers(), False, 3)
    assert [part["kernel"].shape for part in made["parts"]] == [(4, 2)] * 3
