"""A head that copies: ids beyond the vocabulary, and a loss for looking again."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import reference_model
from small import (
    SMOOTHING,
    TARGET_VOCAB,
    assert_close,
    make_batch,
    params_of,
    quick_jit,
)
from sweeps import COPYING, SWEEP, name

from seq2seq_jax.nn import given, losses, model

V = TARGET_VOCAB
copying = pytest.mark.parametrize("config", COPYING, ids=name)


def unknown_batch():
    """The ragged batch with words that the vocabulary lacks, some of them said."""
    batch = make_batch()
    source, said = np.array(batch.source), np.array(batch.target_out)
    source[0, 1] = source[0, 4] = V + 1  # the same word twice
    source[1, 0] = V
    said[0, 0], said[0, 3], said[1, 1] = V + 1, V + 1, V
    heard = np.array(batch.target_in)
    heard[0, 1], heard[0, 4] = V + 1, V + 1
    return replace(batch, source=source, target_out=said, target_in=heard)


@partial(quick_jit, static_argnums=(1, 3))
def sums_and_gradients(params, config, batch, coverage=0.0):
    def total(params):
        sums = model.loss(params, config, batch, SMOOTHING, coverage=coverage)
        return sums.loss, sums

    return jax.value_and_grad(total, has_aux=True)(params)


def exactly(params, config, batch, coverage=0.0):
    """The loss in float64, by loops."""
    exact = reference.to_float64(params)
    loss = reference_model.batch_loss(exact, config, batch, SMOOTHING)[0]
    for source, heard, _ in reference_model.real_rows(batch):
        _, weights = reference_model.translate_row(exact, config, source, heard)
        for t in range(len(weights)):
            for i in range(len(source)):
                again = min(weights[t][i], sum(weights[:t, i]))
                loss += coverage * again
    return loss


@copying
@pytest.mark.parametrize("coverage", [0.0, 0.7])
def test_the_loss_is_the_papers_with_words_that_none_knows(config, coverage):
    params, batch = params_of(config), unknown_batch()
    (loss, _), _ = sums_and_gradients(params, config, batch, coverage)
    assert_close(loss, exactly(params, config, batch, coverage), 1e-5)


@copying
def test_its_gradient_is_that_of_finite_differences(config):
    params, batch = params_of(config), unknown_batch()
    _, grads = sums_and_gradients(params, config, batch, 0.7)
    draw = np.random.default_rng(0)
    way = jax.tree.map(lambda p: draw.normal(0, 1, p.shape), params)

    def moved(step):
        there = jax.tree.map(lambda p, d: np.float64(p) + step * d, params, way)
        return exactly(there, config, batch, 0.7)

    slope = (moved(1e-5) - moved(-1e-5)) / 2e-5
    products = jax.tree.map(lambda g, d: np.sum(np.asarray(g) * d), grads, way)
    assert_close(sum(jax.tree.leaves(products)), slope, 1e-4)


@copying
def test_all_that_may_be_said_is_certain_in_sum(config):
    params, batch = params_of(config), unknown_batch()
    logits = jax.nn.logsumexp(model.apply(params, config, batch), axis=-1)
    assert_close(logits, np.zeros_like(logits), 1e-5)
    said = np.exp(model.apply(params, config, batch))[0, 0]
    assert said[V + 1] > 0 and not said[[V, V + 2, V + 3, V + 4, V + 5]].any()


@copying
def test_the_probability_of_a_target_is_that_of_the_step(config):
    params, batch = params_of(config), unknown_batch()
    log_probs, _ = model.token_log_probs(params, config, batch)
    (_, sums), _ = sums_and_gradients(params, config, batch)
    assert_close(-log_probs.sum(), sums.nll, 1e-5)


def test_what_none_can_copy_costs_much_and_makes_no_nan():
    config = COPYING[0]
    params, batch = params_of(config), make_batch()
    said = np.where(batch.target_mask, V + 5, 0)  # rows 1 and 2 are shorter than that
    batch = replace(batch, target_out=said)
    (loss, _), grads = sums_and_gradients(params, config, batch, 1.0)
    assert 200 < loss < 2000
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))


def test_the_coverage_loss_is_any_models_that_looks():
    config, batch = SWEEP[2], make_batch()
    params = params_of(config)
    (plain, _), _ = sums_and_gradients(params, config, batch)
    (both, sums), _ = sums_and_gradients(params, config, batch, 2.0)
    _, weights, _ = model.run(params, config, batch)
    again = losses.coverage_loss(weights, batch.target_mask)
    assert again > 0
    assert_close(both - plain, 2.0 * again, 1e-4)
    assert sums.nll < both


@pytest.mark.parametrize("chunk", [1, 2**21])
def test_given_log_probabilities_are_those_of_a_softmax(chunk, monkeypatch):
    monkeypatch.setattr(losses, "LOGITS", chunk)
    monkeypatch.setattr(losses, "SMALLEST", 5)
    draw = np.random.default_rng(0)
    x, kernel, bias = (draw.normal(size=n) for n in ((4, 6, 3), (3, 9), (9,)))
    targets, mask = draw.integers(0, 9, (4, 6)), draw.random((4, 6)) < 0.7
    first, second = draw.normal(size=(2, 4, 6))

    def ours(*args):
        own, mean, best = given.log_probs_of(*args, targets, mask)
        return jnp.sum(own * first + mean * second), (own, mean, best)

    def plainly(x, kernel, bias):
        logs = jax.nn.log_softmax(x @ kernel + bias)
        own = jnp.take_along_axis(logs, targets[..., None], -1)[..., 0]
        each = [jnp.where(mask, a, 0.0) for a in (own, logs.mean(-1), logs.max(-1))]
        return jnp.sum(each[0] * first + each[1] * second), tuple(each)

    args = tuple(jnp.asarray(a, jnp.float32) for a in (x, kernel, bias))
    found, expected = (
        jax.value_and_grad(f, (0, 1, 2), has_aux=True)(*args) for f in (ours, plainly)
    )
    assert_close(found, expected, 1e-5)
