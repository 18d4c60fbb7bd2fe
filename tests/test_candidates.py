"""Laws of the sampled softmax: what is drawn, how it is corrected, what it costs."""

import math
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import (
    TARGET_VOCAB,
    assert_close,
    make_batch,
    params_of,
    quick_jit,
    row_keys,
)
from sweeps import SWEEP

from seq2seq_jax.nn import candidates, model
from seq2seq_jax.nn.losses import linear_cross_entropy

VOCAB, COUNT = 40, 9


def many_draws(count, vocab=VOCAB, seeds=20_000):
    keys = jax.random.split(jax.random.key(0), seeds)
    return np.asarray(jax.vmap(lambda k: candidates.draw(k, vocab, count))(keys))


def test_a_draw_is_distinct_tokens_and_hangs_on_the_key_alone():
    drawn = many_draws(COUNT, seeds=100)
    assert drawn.min() >= 0 and drawn.max() < VOCAB
    assert all(len(set(ids)) == COUNT for ids in drawn)
    again = candidates.draw(jax.random.split(jax.random.key(0), 100)[7], VOCAB, COUNT)
    np.testing.assert_array_equal(drawn[7], again)
    assert len({tuple(ids) for ids in drawn}) == 100


def test_the_first_of_a_draw_is_log_uniform():
    """TensorFlow: P(i) = (log(i + 2) - log(i + 1)) / log(V + 1)."""
    first = np.bincount(many_draws(1)[:, 0], minlength=VOCAB) / 20_000
    expected = [
        (math.log(i + 2) - math.log(i + 1)) / math.log(VOCAB + 1) for i in range(VOCAB)
    ]
    assert sum(expected) == pytest.approx(1)
    np.testing.assert_allclose(candidates.probabilities(VOCAB), expected, rtol=1e-12)
    np.testing.assert_allclose(first, expected, atol=4 * 0.5 / math.sqrt(20_000))


def test_later_ones_are_drawn_among_those_that_are_left():
    drawn, p = many_draws(2), candidates.probabilities(VOCAB)
    after_0 = drawn[drawn[:, 0] == 0][:, 1]
    found = np.bincount(after_0, minlength=VOCAB) / len(after_0)
    expected = np.where(np.arange(VOCAB) == 0, 0, p / (1 - p[0]))
    np.testing.assert_allclose(found, expected, atol=4 * 0.5 / math.sqrt(len(after_0)))


@pytest.mark.parametrize("count", [1, 9, 30, 39])
def test_expected_counts_add_up_and_are_nearly_how_often_tokens_come(count):
    expected = candidates.expected_counts(VOCAB, count)
    assert expected.sum() == pytest.approx(count, rel=1e-9)
    assert (np.diff(expected) <= 0).all() and expected.max() <= 1
    found = np.bincount(many_draws(count).ravel(), minlength=VOCAB) / 20_000
    # The number of draws that k distinct tokens take varies; Q holds it at its middle.
    np.testing.assert_allclose(found, expected, atol=0.03)


def logits_of(readout, rows, bias):
    return np.float64(readout) @ np.float64(rows).T + np.float64(bias)


def reference(readout, rows, bias, targets, mask, negatives):
    """Token by token in float64: Jean et al. 2015, eqs. 8 to 10, hits left out."""
    vocab, count = len(rows), len(negatives)
    q = candidates.expected_counts(vocab, count)
    loss = correct = weight = 0.0
    for x, y, real in zip(
        readout.reshape(-1, readout.shape[-1]),
        targets.ravel(),
        mask.ravel(),
        strict=True,
    ):
        if not real:
            continue
        scores = logits_of(x, rows, bias)
        rivals = [i for i in negatives if i != y]
        corrected = [scores[i] - math.log(q[i]) for i in (y, *rivals)]
        loss += math.log(sum(math.exp(c) for c in corrected)) - corrected[0]
        correct += scores[y] >= max(scores[i] for i in rivals)
        weight += 1
    return loss, correct, weight


@pytest.fixture(scope="module")
def tokens():
    draw = np.random.default_rng(0)
    readout = draw.normal(size=(3, 5, 6)).astype(np.float32)
    rows = draw.normal(size=(VOCAB, 6)).astype(np.float32)
    bias = draw.normal(size=VOCAB).astype(np.float32)
    targets = draw.integers(0, VOCAB, (3, 5))
    mask = np.arange(5) < np.array([[5], [2], [0]])
    negatives = np.asarray(candidates.draw(jax.random.key(3), VOCAB, COUNT))
    targets[0, :2] = negatives[:2]  # hits
    return readout, rows, bias, targets, mask, negatives


@pytest.mark.parametrize("tokens_at_once", [64, 4])
def test_the_loss_is_its_equation_in_float64(tokens, tokens_at_once, monkeypatch):
    monkeypatch.setattr("seq2seq_jax.nn.losses.SMALLEST", tokens_at_once)
    monkeypatch.setattr("seq2seq_jax.nn.losses.LOGITS", 1)
    sums = candidates.sampled_cross_entropy(*tokens)
    loss, correct, weight = reference(*tokens)
    np.testing.assert_allclose([sums.loss, sums.nll], loss, rtol=1e-5)
    assert (sums.correct, sums.weight) == (correct, weight)


def test_the_gradient_is_that_of_the_same_sum_written_plainly(tokens):
    readout, rows, bias, targets, mask, negatives = tokens
    log_q = jnp.log(candidates.expected_counts(VOCAB, COUNT).astype(np.float32))

    def plain(readout, rows, bias):
        scores = readout @ rows.T + bias - log_q
        own = jnp.take_along_axis(scores, targets[..., None], -1)
        rivals = scores[..., negatives]
        rivals = jnp.where(negatives == targets[..., None], -jnp.inf, rivals)
        nll = jax.nn.logsumexp(jnp.concatenate([own, rivals], -1), -1) - own[..., 0]
        return jnp.where(mask, nll, 0).sum()

    def ours(*args):
        return candidates.sampled_cross_entropy(*args, targets, mask, negatives).loss

    arguments = readout, rows, bias
    expected = jax.grad(plain, (0, 1, 2))(*arguments)
    assert_close(jax.grad(ours, (0, 1, 2))(*arguments), expected, 1e-5)
    untouched = np.setdiff1d(np.arange(VOCAB), [*targets[mask], *negatives])
    assert len(untouched) and not np.asarray(expected[1])[untouched].any()


def test_all_tokens_as_candidates_are_the_full_softmax(tokens):
    readout, rows, bias, targets, mask, _ = tokens
    everything = jnp.arange(VOCAB)[::-1]
    ours = candidates.sampled_cross_entropy(
        readout, rows, bias, targets, mask, everything
    )
    full = linear_cross_entropy(readout, rows.T, bias, targets, mask, 0.0)
    assert_close(ours, full, 1e-5)


def test_corrected_the_data_s_own_distribution_stands_still():
    """Targets y ~ P, candidates C beside them: P(y | C) ~ P(y) / Q(y), TensorFlow's
    reason for the correction. A model that says P then has no gradient on average; one
    without the correction is driven away from it.
    """
    bias = jnp.asarray(np.random.default_rng(4).normal(size=VOCAB), jnp.float32)
    readout, rows = jnp.zeros((VOCAB, 1)), jnp.zeros((VOCAB, 1))
    weights, targets = jax.nn.softmax(bias), jnp.arange(VOCAB)

    def corrected(bias, y, negatives):
        one = readout[:1], rows, bias, y[None], jnp.array([True]), negatives
        return candidates.sampled_cross_entropy(*one).loss

    def plain(bias, y, negatives):
        rivals = jnp.where(negatives == y, -jnp.inf, bias[negatives])
        return jax.nn.logsumexp(jnp.append(rivals, bias[y])) - bias[y]

    def mean_gradient(loss):
        def over_targets(negatives):
            grads = jax.vmap(jax.grad(loss), (None, 0, None))(bias, targets, negatives)
            return weights @ grads

        return jax.jit(jax.vmap(over_targets))(many_draws(COUNT, seeds=4000)).mean(0)

    ours, without = (
        float(jnp.linalg.norm(mean_gradient(loss))) for loss in (corrected, plain)
    )
    assert ours < 0.1 * without


SAMPLED = [SWEEP[2], SWEEP[10]]  # with a matrix of its own, and tied


@partial(quick_jit, static_argnums=1)
def sums_and_gradient(params, config, batch, negatives):
    def total(params):
        sums = model.loss(params, config, batch, key=row_keys(), negatives=negatives)
        return sums.loss, sums

    (_, sums), grads = jax.value_and_grad(total, has_aux=True)(params)
    return sums, grads


@pytest.mark.parametrize("config", SAMPLED, ids=["own", "tied"])
def test_a_model_of_any_tie_has_it(config):
    params, batch = params_of(config), make_batch()
    negatives = jnp.array([0, 5, 7])
    readout, *_ = model.run(params, config, batch, row_keys())
    table = model.tied_table(params, config)
    rows = params["head"]["kernel"].T if table is None else table
    loss, _, weight = reference(
        np.asarray(readout),
        rows,
        params["head"]["bias"],
        batch.target_out,
        batch.target_mask,
        [0, 5, 7],
    )
    sums, grads = sums_and_gradient(params, config, batch, negatives)
    assert sums.loss == pytest.approx(loss, rel=1e-5) and sums.weight == weight
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))


@pytest.mark.parametrize("config", SAMPLED, ids=["own", "tied"])
def test_padding_changes_nothing(config):
    params, negatives = params_of(config), jnp.array([0, 5, 7])
    plain = sums_and_gradient(params, config, make_batch(), negatives)
    wide = make_batch(source_width=8, target_width=9, fill=TARGET_VOCAB - 3)
    assert_close(sums_and_gradient(params, config, wide, negatives), plain, 2e-6)


def test_bfloat16_products_are_near_and_add_gradients_up_in_float32():
    params, batch = params_of(SWEEP[10]), make_batch()
    negatives = jnp.array([0, 5, 7])
    low = replace(SWEEP[10], dtype="bfloat16")
    exact, _ = sums_and_gradient(params, SWEEP[10], batch, negatives)
    near, grads = sums_and_gradient(params, low, batch, negatives)
    assert near.loss == pytest.approx(float(exact.loss), rel=0.03)
    assert {leaf.dtype for leaf in jax.tree.leaves(grads)} == {jnp.dtype("float32")}
