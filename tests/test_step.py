"""Laws of one training step on one device; several devices are in test_devices."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toy

from seq2seq_jax.config import TrainingConfig
from seq2seq_jax.training import optimizer, parallel, step
from seq2seq_jax.types import Batch

DEVICES = parallel.local(jax.local_devices()[:1])


def state(tx, params=None):
    start = step.init_state(jax.random.key(3), params or toy.params(), tx)
    return parallel.place(start, DEVICES)


def mapped(tx, accumulate=1, loss=toy.loss, normalize="tokens"):
    one = partial(step.train_step, loss, tx, accumulate=accumulate, normalize=normalize)
    return parallel.mapped_train_step(one, DEVICES)


def quiet_loss(params, batch, keys, update):
    return toy.loss(params, batch, None)


def test_a_step_of_sgd_is_the_gradient_of_the_mean_token_loss():
    tx, batch = optax.sgd(1.0), toy.batch(5)

    def mean(params):
        sums = toy.loss(params, batch, None)
        return sums.loss / sums.weight

    after, metrics = mapped(tx, loss=quiet_loss)(
        state(tx), *parallel.shard_batch(batch, 1)
    )
    grads = jax.grad(mean)(toy.params())
    expected = jax.tree.map(jnp.subtract, toy.params(), grads)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), after.params, expected)
    assert metrics["grad_norm"] == pytest.approx(
        float(optax.tree.norm(grads)), rel=1e-5
    )
    assert int(after.step) == 1


def summed_gradient(batch):
    return jax.grad(lambda params: toy.loss(params, batch, None).loss)(toy.params())


@pytest.mark.parametrize("scale", [0.01, 30.0])
def test_clipping_comes_after_the_division_by_sentences(scale):
    """Sutskever et al. 2014, 3.4: g = sum / 128; s = |g|; if s > 5 then g = 5 g / s."""
    tx = optimizer.make(
        TrainingConfig(
            optimizer="sgd",
            learning_rate=0.7,
            schedule="constant",
            warmup_steps=0,
            clip_norm=5.0,
        )
    )

    def scaled(params, batch, keys, update):
        sums = toy.loss(params, batch, None)
        return sums.replace(loss=sums.loss * scale)

    batch = toy.batch(5)
    run = mapped(tx, loss=scaled, normalize="sentences")
    after, metrics = run(state(tx), *parallel.shard_batch(batch, 1, 2))
    grads = jax.tree.map(lambda g: np.float64(g) * scale / 5, summed_gradient(batch))
    norm = np.sqrt(sum(np.sum(leaf**2) for leaf in jax.tree.leaves(grads)))
    assert (norm > 5) == (scale == 30.0)
    step_size = 0.7 * min(1.0, 5 / norm)
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    jax.tree.map(
        lambda new, old, g: close(new, np.float64(old) - step_size * g),
        after.params,
        toy.params(),
        grads,
    )
    assert metrics["grad_norm"] == pytest.approx(norm, rel=1e-5)


def test_metrics_stay_per_token_whatever_the_gradient_is_divided_by():
    tx, batch = optax.sgd(0.1), toy.batch(5)
    cut = parallel.shard_batch(batch, 1, 3)
    _, by_tokens = mapped(tx)(state(tx), *cut)
    _, by_sentences = mapped(tx, normalize="sentences")(state(tx), *cut)
    for name in ("loss", "nll", "correct", "weight"):
        assert by_tokens[name] == by_sentences[name]
    ratio = by_sentences["grad_norm"] / by_tokens["grad_norm"]
    assert ratio == pytest.approx(batch.target_mask.sum() / 5, rel=1e-5)


def test_the_metrics_are_sums():
    tx, batch = optax.sgd(0.1), toy.batch(5)
    _, metrics = mapped(tx)(state(tx), *parallel.shard_batch(batch, 1))
    assert metrics["weight"] == batch.target_mask.sum()
    assert metrics["real"] == batch.target_mask.sum() + batch.source_mask.sum()
    assert metrics["cells"] == 2 * batch.target_mask.size
    assert 0 <= metrics["correct"] <= metrics["weight"]
    assert bool(metrics["finite"])


@pytest.mark.parametrize("pieces", [2, 3, 8])
def test_accumulation_gives_the_numbers_of_one_piece(pieces):
    tx = optax.sgd(0.5)
    whole, in_pieces = state(tx), state(tx)
    at_once, piecewise = mapped(tx), mapped(tx, pieces)
    for seed in range(3):
        batch = toy.batch(7, seed=seed)
        whole, one = at_once(whole, *parallel.shard_batch(batch, 1))
        cut = parallel.shard_batch(batch, 1, pieces)
        in_pieces, several = piecewise(in_pieces, *cut)
        for name in ("loss", "weight", "correct", "grad_norm"):
            assert several[name] == pytest.approx(float(one[name]), rel=1e-5)
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(close, in_pieces.params, whole.params)


def test_empty_rows_change_nothing():
    tx, batch = optax.sgd(0.5), toy.batch(5)
    fill = jax.tree.map(
        lambda leaf: np.zeros_like(leaf, shape=(3, *leaf.shape[1:])), batch
    )
    filled = jax.tree.map(lambda a, b: np.concatenate([a, b]), batch, fill)
    plain, one = mapped(tx)(state(tx), *parallel.shard_batch(batch, 1))
    other, two = mapped(tx)(state(tx), *parallel.shard_batch(filled, 1))
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(close, plain.params, other.params)
    assert one["weight"] == two["weight"]


def test_the_same_body_runs_under_jit_of_shard_map():
    tx, batch = optax.sgd(0.5), toy.batch(6)
    body = partial(step.train_step, toy.loss, tx, accumulate=2)
    mesh = jax.sharding.Mesh(np.array(DEVICES.devices), (step.AXIS,))
    spec = jax.sharding.PartitionSpec
    mapped_by_jit = jax.jit(
        jax.shard_map(
            body,
            mesh=mesh,
            in_specs=(spec(), spec(step.AXIS), spec(step.AXIS)),
            out_specs=spec(),
        )
    )
    ours, one = mapped(tx, 2)(state(tx), *parallel.shard_batch(batch, 1))
    theirs, two = mapped_by_jit(state(tx), batch, np.arange(6, dtype=np.int32))
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(close, ours.params, theirs.params)
    assert one["loss"] == pytest.approx(float(two["loss"]), rel=1e-6)


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_what_is_not_finite_leaves_all_but_the_step_as_it_was(where):
    tx, batch = optax.adam(0.1), toy.batch(4)

    def bad(params, batch: Batch, keys, update):
        sums = toy.loss(params, batch, keys)
        # sqrt has a finite value and an infinite slope at 0.
        cliff = jnp.sqrt(jnp.sum(params["out"]["bias"]))
        trouble = cliff if where == "gradient" else jnp.nan
        return sums.replace(loss=sums.loss + trouble)

    before = state(tx)
    kept = jax.tree.map(np.asarray, (before.params, before.opt_state))
    after, metrics = mapped(tx, loss=bad)(before, *parallel.shard_batch(batch, 1))
    assert not metrics["finite"]
    assert np.isfinite(metrics["loss"]) == (where == "gradient")
    now = (after.params, after.opt_state)
    jax.tree.map(np.testing.assert_array_equal, now, kept)
    assert int(after.step) == 1


def test_a_loss_over_the_limit_is_left_out_and_any_other_is_as_without_one():
    tx, cut = optax.adam(0.1), parallel.shard_batch(toy.batch(4), 1)

    def after(limit):
        one = partial(step.train_step, toy.loss, tx, loss_limit=limit)
        return parallel.mapped_train_step(one, DEVICES)(state(tx), *cut)

    free, metrics = after(None)
    loss = float(metrics["loss"] / metrics["weight"])
    within, metrics = after(loss * 1.01)
    assert metrics["finite"]
    jax.tree.map(np.testing.assert_array_equal, free.params, within.params)
    over, metrics = after(loss * 0.99)
    assert not metrics["finite"] and int(over.step) == 1
    jax.tree.map(np.testing.assert_array_equal, over.params, state(tx).params)


def test_a_row_s_noise_depends_on_its_number_and_the_step_alone():
    key, rows = jax.random.key(0), jnp.array([4, 0, 2])
    keys = jax.random.key_data(step.row_keys(key, 5, rows))
    all_keys = jax.random.key_data(step.row_keys(key, 5, jnp.arange(6)))
    np.testing.assert_array_equal(keys, all_keys[rows])
    other_step = jax.random.key_data(step.row_keys(key, 6, rows))
    assert not np.array_equal(keys, other_step)
    assert len({tuple(row) for row in np.asarray(all_keys)}) == 6


def test_all_rows_of_an_update_share_its_number_and_a_key_that_no_row_has():
    seen = []

    def look(params, batch, keys, update):
        seen.append(update)
        sums = toy.loss(params, batch, None)
        data = jax.random.key_data(update.key).astype(jnp.float32)
        marks = jnp.where(batch.target_mask.any(1), update.step + data[0] / 2.0**32, 0)
        return sums.replace(nll=marks.sum())

    tx, batch = optax.sgd(0.1), toy.batch(6)
    run, now = mapped(tx, 3, loss=look), state(tx)
    for number in range(3):
        now, metrics = run(now, *parallel.shard_batch(batch, 1, 3))
        update = step.shared_by_rows(now.replace(step=jnp.int32(number)))
        data = float(jax.random.key_data(update.key)[0]) / 2**32
        assert metrics["nll"] == pytest.approx(6 * (number + data), rel=1e-5)
        rows = jax.random.key_data(step.row_keys(now.key, number, jnp.arange(64)))
        assert not (rows == jax.random.key_data(update.key)).all(-1).any()
    assert len(seen) < 9, "it is traced, not called at each update"


def test_evaluation_has_no_noise_and_adds_up():
    run = parallel.mapped_eval_step(partial(step.eval_step, toy.loss), DEVICES)
    batch = toy.batch(5)
    params = parallel.place(toy.params(), DEVICES)
    sums = run(params, parallel.shard_batch(batch, 1)[0])
    expected = toy.loss(toy.params(), batch, None)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), sums, expected)


def test_a_placed_state_is_a_copy_that_can_be_given_away():
    tx, params = optax.sgd(0.1), toy.params()
    mapped(tx)(state(tx, params), *parallel.shard_batch(toy.batch(4), 1))
    assert np.isfinite(np.asarray(params["table"])).all()


@pytest.mark.parametrize(
    ("rows", "devices", "pieces"), [(7, 2, 1), (8, 4, 1), (5, 2, 3)]
)
def test_sharding_fills_up_with_empty_rows_and_numbers_them(rows, devices, pieces):
    batch = toy.batch(rows)
    cut, numbers = parallel.shard_batch(batch, devices, pieces)
    whole = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), cut)
    assert cut.source.shape[0] == devices
    assert cut.source.shape[1] % pieces == 0
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[:rows], b), whole, batch)
    assert not whole.target_mask[rows:].any() and not whole.source_mask[rows:].any()
    np.testing.assert_array_equal(numbers.ravel(), np.arange(len(whole.source)))
