"""Laws of leaving out updates whose gradient is unusually large."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seq2seq_jax.config import TrainingConfig
from seq2seq_jax.training import optimizer
from seq2seq_jax.training.anomalies import without_anomalies

PLAIN = TrainingConfig(
    steps=100, learning_rate=0.1, schedule="constant", warmup_steps=0, clip_norm=None
)


@jax.jit
def steps(norms):
    """For each gradient of a length: what SGD makes of it, and the state."""
    tx = without_anomalies(optax.sgd(1.0, momentum=0.5), 4.0)
    params = {"w": jnp.zeros(2)}
    direction = jnp.array([0.6, 0.8])

    def step(state, norm):
        updates, state = tx.update({"w": norm * direction}, state, params)
        return state, (updates["w"] @ direction, state)

    return jax.lax.scan(step, tx.init(params), norms)[1]


def transcribed(norms, deviations=4.0):
    """Chen et al. 2018 in float64: whether each update is made."""
    weight = mean = square = 0.0
    for norm in norms:
        log = np.log(max(norm, 1e-2))
        anomaly = False
        if weight > 0.75:
            m = mean / weight
            limit = m + deviations * np.sqrt(max(square / weight - m * m, 1e-6))
            anomaly, log = log > limit, min(log, limit)
        weight = 0.995 * weight + 0.005
        mean = 0.995 * mean + 0.005 * log
        square = 0.995 * square + 0.005 * log**2
        yield not anomaly


def drawn(count=700):
    """Norms of a training: lognormal, with a few that are far too large."""
    rng = np.random.default_rng(0)
    norms = np.exp(rng.normal(0.5, 0.3, count))
    norms[[5, 300, 420, 421, 600]] = 40.0, 30.0, 9.0, 1e4, 3.0
    return norms.astype(np.float32)


def test_what_is_left_out_is_what_the_paper_leaves_out():
    norms = drawn()
    changes, _ = steps(norms)
    made = np.array(list(transcribed(norms)))
    assert [i for i in range(len(norms)) if not made[i]] == [300, 420, 421]
    np.testing.assert_array_equal(np.asarray(changes) != 0, made)


def test_the_rest_of_the_optimizer_never_sees_it():
    norms = drawn()
    changes, states = steps(norms)
    made = np.array(list(transcribed(norms)))
    velocity, expected = 0.0, []
    for norm, is_made in zip(norms, made, strict=True):
        velocity = 0.5 * velocity + norm if is_made else velocity
        expected.append(-velocity * is_made)
    np.testing.assert_allclose(changes, expected, rtol=1e-5)
    np.testing.assert_array_equal(states.left_out, np.cumsum(~made))


def test_at_the_start_nothing_is_left_out():
    changes, states = steps(np.geomspace(1e-3, 1e6, 250, dtype=np.float32))
    assert np.all(np.asarray(changes) != 0) and states.left_out[-1] == 0


def test_a_gradient_of_zeros_is_none():
    _, states = steps(np.zeros(400, np.float32))
    assert states.left_out[-1] == 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(states))


@pytest.mark.parametrize("schedule", ["constant", "plateau", "inverse_sqrt"])
@pytest.mark.parametrize("name", optimizer.OPTIMIZERS)
def test_it_goes_round_every_optimizer_and_schedule(name, schedule):
    config = replace(PLAIN, optimizer=name, schedule=schedule, warmup_steps=2)
    params, grads = {"w": jnp.ones((2, 2))}, {"w": jnp.full((2, 2), 0.5)}
    plain, guarded = (
        optimizer.make(replace(config, clip_deviations=n)) for n in (None, 4.0)
    )
    expected, _ = plain.update(grads, plain.init(params), params)
    found, state = guarded.update(grads, guarded.init(params), params)
    np.testing.assert_allclose(found["w"], expected["w"], rtol=1e-6)
    assert optimizer.left_out(state) == 0 and optimizer.get_factor(state) == 1.0
    assert optimizer.left_out(plain.init(params)) == 0
    if schedule == "plateau":
        assert optimizer.get_factor(optimizer.set_factor(state, 0.5)) == 0.5
