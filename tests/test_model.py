"""Laws of the whole model, swept over every decoder, score, cell and bridge."""

from dataclasses import fields, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import reference
import reference_model
import sweep_devices
from small import (
    SMOOTHING,
    SOURCE_VOCAB,
    TARGET_LENGTHS,
    TARGET_VOCAB,
    assert_close,
    everything,
    forward,
    logits_and_weights,
    make_batch,
    params_of,
    quick_jit,
    real,
    row_keys,
)
from sweeps import DECODER_SWEEP, NOISY, RECURRENT_SWEEP, SWEEP, TINY, name

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import losses, model
from seq2seq_jax.nn.heads import HEADS
from seq2seq_jax.types import Batch

sweep = pytest.mark.parametrize("config", SWEEP, ids=name)
each_decoder = pytest.mark.parametrize("config", DECODER_SWEEP, ids=name)


@sweep
def test_logits_weights_and_loss_are_the_papers_equations(config):
    params, batch = params_of(config), make_batch()
    found = everything(params, config, batch)
    exact = reference.to_float64(params)
    for row, (source, target_in, _) in enumerate(reference_model.real_rows(batch)):
        logits, weights = reference_model.translate_row(
            exact, config, source, target_in
        )
        steps = len(target_in)
        if HEADS[config.head].copies:  # log P_vocab stands behind them
            logits = logits[:, :-TARGET_VOCAB]
        said, beyond = np.split(found["logits"][row, :steps], [logits.shape[1]], 1)
        assert_close(said, logits, 1e-5)
        assert (beyond == -np.inf).all()  # no such position
        assert_close(found["weights"][row, :steps, : weights.shape[1]], weights, 1e-5)
    loss, nll, weight = reference_model.batch_loss(exact, config, batch, SMOOTHING)
    assert_close(
        [found["sums"].loss, found["sums"].nll, found["sums"].weight],
        [loss, nll, weight],
        1e-5,
    )


@sweep
def test_gradients_are_finite_differences_of_the_transcription(config):
    params, batch = params_of(config), make_batch()
    grads = everything(params, config, batch)["grads"]
    rng = np.random.default_rng(0)
    direction = jax.tree.map(lambda p: rng.normal(0, 1, p.shape), params)
    step = 1e-5

    def moved(sign):
        there = jax.tree.map(
            lambda p, d: np.asarray(p, np.float64) + sign * step * d, params, direction
        )
        exact = reference.to_float64(there)
        return reference_model.batch_loss(exact, config, batch, SMOOTHING)[0]

    slope = (moved(1) - moved(-1)) / (2 * step)
    products = jax.tree.map(lambda g, d: np.sum(np.asarray(g) * d), grads, direction)
    assert_close(sum(jax.tree.leaves(products)), slope, 1e-4)


@sweep
def test_what_stands_in_padding_changes_nothing(config):
    params, batch, other = params_of(config), make_batch(), make_batch(fill=9)
    plain, filled = (everything(params, config, b) for b in (batch, other))
    assert not np.array_equal(batch.source, other.source)
    for part in ("logits", "weights"):  # bit for bit
        assert_close(real(batch, filled[part]), real(batch, plain[part]))
    assert_close(filled["sums"], plain["sums"])
    assert_close(filled["grads"], plain["grads"], 1e-6)


@sweep
def test_more_padding_changes_nothing(config):
    params = params_of(config)
    short, long = make_batch(), make_batch(source_width=8, target_width=7, fill=9)
    plain, wide = (everything(params, config, b) for b in (short, long))
    wanted = real(short, plain["logits"])
    found = real(long, wide["logits"])[:, :5, : wanted.shape[-1]]
    assert_close(found, wanted, 5e-6)
    assert_close(
        real(long, wide["weights"])[:, :5, : plain["weights"].shape[-1]],
        real(short, plain["weights"]),
        5e-6,
    )
    assert_close(wide["sums"], plain["sums"], 1e-5)
    assert_close(wide["grads"], plain["grads"], 1e-5)


@sweep
def test_an_empty_row_weighs_nothing_and_makes_no_nan(config):
    params, batch = params_of(config), make_batch()
    found = everything(params, config, batch)
    assert found["sums"].weight == sum(TARGET_LENGTHS)
    found["logits"] = found["logits"][..., :TARGET_VOCAB]  # what none can copy: -inf
    for leaf in jax.tree.leaves(found):
        assert np.isfinite(leaf).all()
    nothing = jax.tree.map(lambda leaf: np.zeros_like(leaf), batch)
    empty = everything(params, config, nothing)
    assert_close(jax.tree.leaves(empty["sums"]), [0.0] * 4)
    for leaf in jax.tree.leaves(empty["grads"]):
        assert not np.asarray(leaf).any()


@sweep
def test_vmap_is_a_batch(config):
    params, batch = params_of(config), make_batch()
    one = quick_jit(jax.vmap(partial(logits_and_weights, params, config)))
    logits, weights = one(batch)
    expected = everything(params, config, batch)
    assert_close(logits, expected["logits"], 5e-6)
    assert_close(weights, expected["weights"], 5e-6)


def test_vmap_is_a_batch_noise_included():
    config = replace(SWEEP[2], **NOISY)
    params, batch, keys = params_of(config), make_batch(), row_keys()
    one = quick_jit(jax.vmap(partial(logits_and_weights, params, config)))
    assert_close(one(batch, keys), forward(params, config, batch, keys), 5e-6)


@sweep
def test_without_jit_nothing_changes(config):
    params, batch = params_of(config), make_batch()
    with jax.disable_jit():  # loops are Python's too
        logits, weights = logits_and_weights(params, config, batch)
    expected = everything(params, config, batch)
    assert_close(logits, expected["logits"], 5e-6)
    assert_close(weights, expected["weights"], 5e-6)


@pytest.fixture(scope="module")
def gradients(tmp_path_factory):
    return sweep_devices.start(tmp_path_factory.mktemp("gradients"))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(SWEEP)), ids=map(name, SWEEP))
def test_more_devices_find_the_gradient_of_one(gradients, number):
    found = everything(params_of(SWEEP[number]), SWEEP[number], make_batch())
    expected = sweep_devices.flat(found["grads"]) / found["sums"].weight
    assert expected.any()
    for way in sweep_devices.WAYS:
        assert_close(gradients[number][way], expected, 1e-6)


def test_the_models_loss_is_the_heads_loss_of_its_logits():
    config, batch = SWEEP[2], make_batch()
    params = params_of(config)
    run = quick_jit(model.loss, static_argnums=(1, 3))
    sums = run(params, config, batch, SMOOTHING)
    assert_close(sums, everything(params, config, batch)["sums"], 1e-6)


@each_decoder
def test_noise_belongs_to_its_row(config):
    config = replace(config, **NOISY)
    params, batch, keys = params_of(config), make_batch(), row_keys()
    order = np.array([2, 0, 3, 1])
    moved = jax.tree.map(lambda leaf: leaf[order], batch)
    plain, _ = forward(params, config, batch, keys)
    assert_close(forward(params, config, moved, keys[order])[0], plain[order], 2e-6)
    assert not np.allclose(forward(params, config, batch, row_keys(1))[0], plain)


@each_decoder
def test_without_a_key_there_is_no_noise(config):
    params, batch = params_of(config), make_batch()
    noisy = replace(config, **NOISY | {"zoneout": config.zoneout})
    assert_close(forward(params, noisy, batch), forward(params, config, batch))


@pytest.mark.parametrize("kind", NOISY)
def test_every_kind_of_dropout_makes_a_noise_of_its_own(kind):
    config, batch = SWEEP[2], make_batch()
    params = params_of(config)
    found, _ = forward(params, replace(config, **{kind: 0.5}), batch, row_keys())
    plain, _ = forward(params, config, batch)
    assert not np.allclose(found[:3], plain[:3])


@pytest.mark.parametrize("config", [*DECODER_SWEEP, *RECURRENT_SWEEP], ids=name)
def test_bfloat16_logits_stay_close_to_float32(config):
    params, batch = params_of(config), make_batch()
    low, _ = forward(params, replace(config, dtype="bfloat16"), batch)
    full, _ = forward(params, config, batch)
    assert low.dtype == jnp.float32
    assert 0 < np.abs(low - full).max() < 0.05


def test_bfloat16_loss_and_gradients_stay_close_to_float32():
    config, batch = SWEEP[2], make_batch()
    params = params_of(config)
    low = everything(params, replace(config, dtype="bfloat16"), batch)
    full = everything(params, config, batch)
    assert_close(low["sums"].loss, full["sums"].loss, 0.01)
    for a, b in zip(*map(jax.tree.leaves, (low["grads"], full["grads"])), strict=True):
        assert a.dtype == jnp.float32
        assert np.linalg.norm(a - b) < 0.05 * np.linalg.norm(b)


def test_a_frequent_tokens_bfloat16_gradient_does_not_saturate():
    config = replace(SWEEP[0], dtype="bfloat16")
    params, rows = params_of(config), 2048
    ids, mask = np.full((rows, 1), 5, np.int32), np.ones((rows, 1), bool)
    many = Batch(ids, mask, ids, ids, mask)
    two = jax.tree.map(lambda leaf: leaf[:2], many)
    grads = [everything(params, config, batch)["grads"] for batch in (many, two)]
    for side in ("source", "target"):
        all_rows, two_rows = (np.asarray(g[side]["table"][5]) for g in grads)
        np.testing.assert_allclose(all_rows / rows, two_rows / 2, rtol=0.03, atol=1e-5)


def test_log_probabilities_are_those_of_the_logits_and_zero_on_padding():
    config, batch = SWEEP[2], make_batch()
    params = params_of(config)
    run = quick_jit(model.token_log_probs, static_argnums=1)
    log_probs, weights = run(params, config, batch)
    expected = everything(params, config, batch)
    logits = np.asarray(expected["logits"], np.float64)
    for row, length in enumerate(TARGET_LENGTHS):
        for t in range(length):
            loss, _ = reference_model.cross_entropy(
                logits[row, t], batch.target_out[row, t], 0
            )
            assert_close(log_probs[row, t], -loss, 1e-5)
    assert not log_probs[~batch.target_mask].any()
    assert_close(weights, expected["weights"], 1e-6)
    assert_close(-log_probs.sum(), expected["sums"].nll, 1e-5)


def cross_entropy(logits, targets, mask, smoothing=0.0):
    size = logits.shape[-1]
    layer = np.eye(size, dtype=np.float32), np.zeros(size, np.float32)
    return losses.linear_cross_entropy(logits, *layer, targets, mask, smoothing)


@pytest.mark.parametrize("chunk", [1, 2**21])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_cross_entropy_is_optaxs(smoothing, chunk, monkeypatch):
    monkeypatch.setattr(losses, "LOGITS", chunk)
    monkeypatch.setattr(losses, "SMALLEST", 5)
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 5, (4, 6, 9)).astype(np.float32)
    targets, mask = rng.integers(0, 9, (4, 6)), rng.random((4, 6)) < 0.7

    def ours(logits):
        return cross_entropy(logits, targets, mask, smoothing).loss

    def theirs(logits):
        labels = optax.smooth_labels(jax.nn.one_hot(targets, 9), smoothing)
        return jnp.sum(optax.softmax_cross_entropy(logits, labels) * mask)

    found, expected = (jax.jit(jax.value_and_grad(f))(logits) for f in (ours, theirs))
    assert_close(found, expected, 1e-5)
    sums = cross_entropy(logits, targets, mask, smoothing)
    assert sums.correct == np.sum((logits.argmax(-1) == targets) & mask)
    assert sums.weight == mask.sum()


def test_cross_entropy_takes_huge_logits():
    logits = jnp.array([[3e4, -3e4, 0.0], [-3e4, -3e4, 3e4]])
    sums = cross_entropy(logits, jnp.array([0, 0]), jnp.array([True, True]))
    assert_close([sums.nll, sums.correct], [6e4, 1.0], 1e-6)


def count(config, source=SOURCE_VOCAB, target=TARGET_VOCAB):
    shapes = jax.eval_shape(
        lambda key: model.init_params(key, config, source, target), jax.random.key(0)
    )
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def test_the_number_of_parameters_is_the_one_counted_by_hand():
    config = ModelConfig(
        cell="lstm", hidden_size=5, decoder_hidden_size=7, embedding_size=3
    )
    embeddings = 11 * 3 + 13 * 3
    encoder = 2 * 4 * (3 * 5 + 5 * 5 + 5)
    decoder = 4 * ((3 + 7) * 7 + 7 * 7 + 7)
    bridge, attention, attentional = 2 * (10 * 7 + 7), 10 * 7, (10 + 7) * 7
    head = 7 * 13 + 13
    total = embeddings + encoder + decoder + bridge + attention + attentional + head
    assert count(config) == total
    assert count(replace(config, input_feeding=False)) == total - 4 * 7 * 7
    deeper = replace(config, encoder_layers=2, cell="gru", bridge="zero")
    gru = 2 * 3 * (3 * 5 + 5 * 5 + 5) + 2 * 3 * (10 * 5 + 5 * 5 + 5) + 4 * 5
    gru += 3 * ((3 + 7) * 7 + 7 * 7 + 7) + 7
    assert count(deeper) == embeddings + gru + attention + attentional + head


def test_tied_embeddings_have_one_matrix():
    free = replace(TINY, embedding_size=6, decoder_hidden_size=6)
    output, both, everywhere = (
        replace(free, tied_embeddings=kind) for kind in ("output", "input", "all")
    )
    assert count(output) == count(free) - 6 * 13
    assert count(both, 13, 13) == count(free, 13, 13) - 6 * 13
    assert count(everywhere, 13, 13) == count(free, 13, 13) - 2 * 6 * 13


def test_a_config_is_hashable_and_equal_configs_share_a_compilation():
    traces = []

    @partial(jax.jit, static_argnums=0)
    def traced(config, x):
        traces.append(config)
        return x * config.hidden_size

    for config in (TINY, replace(TINY), ModelConfig(), replace(TINY, cell=TINY.cell)):
        traced(config, 1.0)
    assert traces == [TINY, ModelConfig()]
    assert len({TINY, replace(TINY)}) == 1 and fields(TINY)
