"""Laws of the optimisers, over every entry of the table; rates: test_schedules."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seq2seq_jax.config import TrainingConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.training import optimizer

PLAIN = TrainingConfig(
    steps=100, learning_rate=0.1, schedule="constant", warmup_steps=0, clip_norm=None
)


def one_update(config, params, grads):
    tx = optimizer.make(config)
    updates, _ = tx.update(grads, tx.init(params), params)
    return optax.apply_updates(params, updates)


@pytest.mark.parametrize("sgd_from", [None, 4])
@pytest.mark.parametrize("schedule", optimizer.SCHEDULES)
def test_the_chain_uses_the_rate_that_is_reported(schedule, sgd_from):
    config = replace(
        PLAIN, optimizer="sgd", schedule=schedule, warmup_steps=3, sgd_from=sgd_from
    )
    tx = optimizer.make(config)
    params = {"w": jnp.zeros(())}
    state = tx.init(params)
    for step in range(6):
        updates, state = tx.update({"w": jnp.ones(())}, state, params)
        expected = -optimizer.learning_rate(config, step)
        assert float(updates["w"]) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("name", optimizer.OPTIMIZERS)
def test_every_optimizer_goes_downhill(name):
    config = replace(PLAIN, optimizer=name, learning_rate=0.5, clip_norm=5.0)
    tx = optimizer.make(config)
    params = {"w": jnp.full((2, 2), 3.0), "b": jnp.full((2,), -3.0)}

    def loss(params):
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params))

    @jax.jit
    def update(params, state):
        updates, state = tx.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    state, before = tx.init(params), loss(params)
    for _ in range(20):
        params, state = update(params, state)
    assert loss(params) < before


def test_sgd_is_the_rate_times_the_gradient():
    config = replace(PLAIN, optimizer="sgd")
    after = one_update(config, {"w": jnp.ones(3)}, {"w": jnp.array([1.0, 2.0, -3.0])})
    np.testing.assert_allclose(after["w"], [0.9, 0.8, 1.3], rtol=1e-6)


def test_clipping_scales_all_gradients_by_the_global_norm():
    config = replace(PLAIN, optimizer="sgd", clip_norm=1.0)
    zeros = {"a": jnp.zeros(1), "b": jnp.zeros(1)}
    after = one_update(config, zeros, {"a": jnp.array([3.0]), "b": jnp.array([4.0])})
    np.testing.assert_allclose(
        [after["a"][0], after["b"][0]], [-0.06, -0.08], rtol=1e-6
    )


def test_adamw_pulls_matrices_to_zero_and_leaves_vectors():
    config = replace(PLAIN, optimizer="adamw", weight_decay=0.5)
    ones = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    after = one_update(config, ones, jax.tree.map(jnp.zeros_like, ones))
    np.testing.assert_allclose(after["kernel"], 0.95, rtol=1e-6)
    np.testing.assert_array_equal(after["bias"], 1.0)


def test_adams_l2_is_part_of_the_matrices_gradients():
    rng = np.random.default_rng(0)
    params = {"kernel": rng.normal(size=(2, 2)), "bias": rng.normal(size=2)}
    grads = {"kernel": rng.normal(size=(2, 2)), "bias": rng.normal(size=2)}
    with jax.enable_x64(True):
        config = replace(PLAIN, optimizer="adam_l2", weight_decay=0.5)
        after = one_update(config, params, grads)
        grads["kernel"] = grads["kernel"] + 0.5 * params["kernel"]
        expected = one_update(replace(PLAIN, optimizer="adam"), params, grads)
    jax.tree.map(np.testing.assert_allclose, after, expected)


def test_epsilon_replaces_the_paper_s():
    grads, ones = {"w": jnp.ones(1)}, {"w": jnp.ones(1)}
    adam = one_update(replace(PLAIN, optimizer="adam", epsilon=1.0), ones, grads)
    np.testing.assert_allclose(adam["w"], 1 - 0.1 * 0.5, rtol=1e-6)
    delta = replace(PLAIN, optimizer="adadelta", learning_rate=1.0)
    np.testing.assert_allclose(
        one_update(delta, ones, grads)["w"], 1 - 1e-3 / np.sqrt(0.05 + 1e-6), rtol=1e-5
    )


GNMT = replace(
    PLAIN,
    learning_rate=0.02,
    schedule="halving",
    sgd_from=4,
    sgd_learning_rate=0.5,
    decay_start=7,
    decay_every=2,
    clip_norm=5.0,
)


def test_adam_then_sgd_is_each_of_them_in_its_time():
    """Wu et al. 2016, in float64: Adam (Kingma & Ba 2015), then w -= rate g."""
    tx = optimizer.make(GNMT)
    draw = np.random.default_rng(0)
    w = draw.normal(size=3)
    params, m, v = {"w": jnp.asarray(w, jnp.float32)}, 0.0, 0.0
    state, update = tx.init(params), jax.jit(tx.update)
    for t in range(1, 12):
        g = draw.normal(size=3)
        updates, state = update({"w": jnp.asarray(g, jnp.float32)}, state, params)
        params = optax.apply_updates(params, updates)
        if t <= 4:
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            hat = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
            w = w - 0.02 * hat
        else:
            halvings = max((t - 7) // 2 + 1, 0)
            w = w - 0.5 * 0.5**halvings * g
        np.testing.assert_allclose(params["w"], w, rtol=2e-5)


def test_the_switch_keeps_the_state_s_shape_and_compiles_nothing():
    tx, params = optimizer.make(GNMT), {"w": jnp.ones(3)}
    traces = []

    @jax.jit
    def update(state):
        traces.append(1)
        return tx.update({"w": jnp.ones(3)}, state, params)[1]

    state = first = tx.init(params)
    for _ in range(6):
        state = update(state)
    assert len(traces) == 1
    assert jax.tree.structure(state) == jax.tree.structure(first)
    kept = optax.tree_utils.tree_get(state, "mu")["w"]
    np.testing.assert_allclose(kept, 1 - 0.9**4, rtol=1e-5)


def adagrad(config):
    """Duchi et al. 2011: the square root of the sum of squares, from 0.1 on."""
    total = config.initial_accumulator
    while True:
        g = yield
        total = total + g**2
        yield g / np.sqrt(total)


def adadelta(config):
    """Zeiler 2012, algorithm 1."""
    squares = steps = 0.0
    rho, epsilon = config.rho, 1e-6
    while True:
        g = yield
        squares = rho * squares + (1 - rho) * g**2
        x = np.sqrt(steps + epsilon) / np.sqrt(squares + epsilon) * g
        steps = rho * steps + (1 - rho) * x**2
        yield x


@pytest.mark.parametrize("changes", [{}, {"rho": 0.8, "initial_accumulator": 0.5}])
@pytest.mark.parametrize("scaling", [adagrad, adadelta])
def test_a_scaling_is_its_paper_s_in_float64(scaling, changes):
    config = replace(PLAIN, optimizer=scaling.__name__, learning_rate=0.15, **changes)
    tx, paper = optimizer.make(config), scaling(config)
    draw = np.random.default_rng(1)
    state = tx.init({"w": jnp.zeros(4)})
    for _ in range(8):
        g = draw.normal(size=4)
        updates, state = tx.update({"w": jnp.asarray(g, jnp.float32)}, state)
        next(paper)
        np.testing.assert_allclose(updates["w"], -0.15 * paper.send(g), rtol=2e-5)


def test_the_plateau_factor_scales_updates_and_is_read_back():
    config = replace(PLAIN, optimizer="sgd", schedule="plateau")
    tx, params = optimizer.make(config), {"w": jnp.zeros(())}
    state = tx.init(params)
    assert optimizer.get_factor(state) == 1.0
    changed = optimizer.set_factor(state, 0.25)
    assert jax.tree.structure(changed) == jax.tree.structure(state)
    updates, _ = tx.update({"w": jnp.ones(())}, changed, params)
    assert float(updates["w"]) == pytest.approx(-0.025)
    assert optimizer.get_factor(changed) == 0.25


def test_other_schedules_have_the_factor_one():
    tx = optimizer.make(PLAIN)
    assert optimizer.get_factor(tx.init({"w": jnp.zeros(())})) == 1.0


@pytest.mark.parametrize(
    ("field", "name"),
    [("optimizer", "adm"), ("schedule", "cosin"), ("warmup", "linaer")],
)
def test_an_unknown_name_is_refused_with_the_nearest(field, name):
    with pytest.raises(InputError, match=rf"training\.{field}.*did you mean"):
        optimizer.check(replace(PLAIN, **{field: name}))
