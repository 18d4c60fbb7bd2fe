"""Laws of learning rates: every schedule and warm-up, and what their sources say."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax.config import TrainingConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.training import optimizer
from seq2seq_jax.training.schedules import SCHEDULES, WARMUPS, learning_rate

PLAIN = TrainingConfig(
    steps=100, learning_rate=0.1, schedule="constant", warmup_steps=0, clip_norm=None
)
WARMED_OUTSIDE = [name for name, entry in SCHEDULES.items() if not entry.own_warmup]


def rate(config, update):
    """The rate of update 1, 2, ..."""
    return float(learning_rate(config, update - 1))


def rates(config, updates):
    """The rates of several updates at once."""
    return np.asarray(jax.vmap(lambda t: learning_rate(config, t - 1))(updates))


@pytest.mark.parametrize("name", WARMED_OUTSIDE)
def test_linear_warm_up_ends_at_the_peak(name):
    config = replace(PLAIN, schedule=name, warmup_steps=10)
    found = [rate(config, t) for t in range(1, 11)]
    np.testing.assert_allclose(found, 0.1 * np.arange(1, 11) / 10, rtol=1e-6)


@pytest.mark.parametrize("name", WARMED_OUTSIDE)
def test_t2t_warm_up_is_that_of_tensorflow_nmt(name):
    config = replace(PLAIN, schedule=name, warmup_steps=8, warmup="t2t")
    cold = replace(config, warmup_steps=8, warmup="linear")
    factor = math.exp(math.log(0.01) / 8)
    for made in range(12):
        inverse_decay = factor ** (8 - made) if made < 8 else 1.0
        linear = min(1.0, (made + 1) / 8)
        share = rate(cold, made + 1) / linear
        assert rate(config, made + 1) == pytest.approx(share * inverse_decay, rel=1e-5)


@pytest.mark.parametrize("warmup", WARMUPS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_rate_is_never_negative_nor_above_the_peak(name, warmup):
    config = replace(PLAIN, schedule=name, warmup_steps=3, warmup=warmup)
    found = [rate(config, t) for t in (*range(1, 101), 10**6)]
    assert all(0 <= value <= 0.1 * (1 + 1e-6) for value in found)


@pytest.mark.parametrize("warmup", WARMUPS)
def test_no_updates_of_warm_up_are_none(warmup):
    assert rate(replace(PLAIN, warmup=warmup), 1) == pytest.approx(0.1)


def test_inverse_sqrt_falls_with_the_root_of_the_update():
    config = replace(PLAIN, schedule="inverse_sqrt", warmup_steps=16)
    assert rate(config, 64) == pytest.approx(0.05)
    assert rate(config, 1600) == pytest.approx(0.01)


def test_cosine_ends_at_the_final_rate():
    config = replace(PLAIN, schedule="cosine", final_learning_rate=0.02)
    assert rate(config, 50) == pytest.approx((0.1 + 0.02) / 2)
    assert rate(config, 100) == pytest.approx(0.02)
    assert rate(config, 200) == pytest.approx(0.02)


def test_halving_starts_half_way_and_goes_on_every_tenth():
    config = replace(PLAIN, schedule="halving")
    assert [rate(config, t) for t in (49, 50, 59, 60, 100)] == pytest.approx(
        [0.1, 0.05, 0.05, 0.025, 0.1 / 2**6]
    )


def test_halving_can_be_placed():
    config = replace(
        PLAIN, schedule="halving", decay_start=5, decay_every=2, decay_factor=0.1
    )
    assert [rate(config, t) for t in (4, 5, 6, 7)] == pytest.approx(
        [0.1, 0.01, 0.01, 0.001]
    )


# tensorflow/nmt


def staircase(scheme, steps, made):
    """The share of the rate after `made` updates, as tensorflow/nmt's graph has it."""
    if scheme == "luong5":
        start, times = int(steps / 2), 5
    elif scheme == "luong10":
        start, times = int(steps / 2), 10
    else:
        start, times = int(steps * 2 / 3), 4
    decay_steps = int((steps - start) / times)
    if made < start:
        return 1.0
    return 0.5 ** math.floor((made - start) / decay_steps)


@pytest.mark.parametrize("steps", [100, 12_000, 12_007, 340_000])
@pytest.mark.parametrize("scheme", ["luong5", "luong10", "luong234"])
def test_luong_schemes_are_those_of_tensorflow_nmt(scheme, steps):
    config = replace(PLAIN, schedule=scheme, steps=steps, learning_rate=1.0)
    made = np.unique(np.linspace(0, steps, 5001).astype(int))
    near = [np.clip(made + d, 0, steps) for d in (-1, 0, 1)]
    made = np.unique(np.concatenate(near))
    expected = [staircase(scheme, steps, int(m)) for m in made]
    np.testing.assert_array_equal(rates(config, jnp.asarray(made + 1)), expected)


def test_iwslt15_halves_at_9_10_11_and_12_thousand():
    config = replace(PLAIN, schedule="luong234", steps=12_000, learning_rate=1.0)
    found = rates(config, jnp.arange(12_001) + 1)
    assert [int(m) for m in np.flatnonzero(np.diff(found)) + 1] == [
        9_000,
        10_000,
        11_000,
        12_000,
    ]
    assert found[8_999] == 1.0 and found[9_000] == 0.5 and found[11_999] == 1 / 8


# RNMT+


@pytest.mark.parametrize("replicas", [1, 8, 32])
def test_rnmt_is_the_paper_s_formula(replicas):
    """Chen et al. 2018: 1e-4 min(1 + t(n-1)/(np), n, n(2n)^((s-nt)/(e-s))), then 5e-5.

    With lingvo's own example beside it: 8 replicas climb to 8 in 2M updates and fall
    from update 4M to a half at update 8M.
    """
    n, p, s, e = replicas, 500, 600_000, 1_200_000
    config = TrainingConfig(
        schedule="rnmt",
        learning_rate=1e-4,
        warmup_steps=p,
        decay_start=s,
        decay_every=e - s,
        replicas=n,
    )
    made = np.linspace(0, 1.5 * e / n, 997).astype(int)
    with np.errstate(over="ignore"):
        falling = n * (2.0 * n) ** ((s - n * made) / (e - s))
    formula = np.minimum(np.minimum(1 + made * (n - 1) / (n * p), n), falling)
    expected = 1e-4 * np.where(n * made < e, formula, 0.5)
    np.testing.assert_allclose(
        rates(config, jnp.asarray(made + 1)), expected, rtol=1e-4
    )


def test_rnmt_by_itself_decays_from_half_of_the_training_to_its_end():
    config = replace(PLAIN, schedule="rnmt", replicas=4, warmup_steps=5)
    assert rate(config, 1) == pytest.approx(0.1)
    assert rate(config, 21) == rate(config, 51) == pytest.approx(0.4)
    assert rate(config, 76) == pytest.approx(0.4 * 8**-0.5)
    assert rate(config, 101) == pytest.approx(0.05)


def test_sgd_has_its_own_peak_and_ends_where_the_schedule_says():
    config = replace(PLAIN, schedule="cosine", final_learning_rate=0.01, sgd_from=50)
    assert rate(config, 50) == pytest.approx((0.1 + 0.01) / 2)
    assert rate(config, 51) == pytest.approx((0.5 + 0.01) / 2, rel=0.05)
    assert rate(config, 100) == pytest.approx(0.01)


def test_an_unknown_unit_is_answered_with_the_nearest():
    with pytest.raises(InputError, match=r"decay_unit.*did you mean 'epochs'"):
        optimizer.check(replace(PLAIN, decay_unit="epoch"))
