"""Hard attention: what is drawn, and that its gradient is that of the expectation."""

import itertools
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import assert_close, forward, make_batch, params_of, row_keys
from sweeps import attending

from seq2seq_jax.config import Config, ModelConfig, TrainingConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.nn import attention, hard, model
from seq2seq_jax.training import checks

ROWS, S = 4000, 3
CONFIG = ModelConfig(alignment="hard", drawn_share=0.25)


def draws(energies, mask, config=CONFIG):
    """Of many rows with the same energies `[S]`: weights and what goes with them."""
    seeds = attention.make_noise(row_keys(0, ROWS), config, (ROWS,))
    wide = [np.broadcast_to(x, (ROWS, S)) for x in (energies, mask)]
    return hard.draw(
        seeds[:, :2], seeds[:, 2], {}, config, wide[0], None, wide[1], None
    )


def test_draws_are_of_the_softmax_and_the_other_rows_expect():
    energies = np.array([1.0, 0.0, 5.0], np.float32)
    mask = np.array([True, True, False])
    weights, drawn = map(np.asarray, draws(energies, mask))
    alpha = np.exp([1.0, 0.0]) / np.exp([1.0, 0.0]).sum()
    one = weights.max(-1) == 1
    assert abs(one.mean() - 0.25) < 0.03
    assert_close(weights[~one], np.tile([*alpha, 0.0], (sum(~one), 1)), 1e-6)
    assert abs(weights[one][:, 0].mean() - alpha[0]) < 0.05
    assert not weights[:, 2].any()
    logs = np.log(alpha)[weights[one].argmax(-1)]
    assert_close(drawn[one, 0], logs, 1e-5)
    assert not drawn[~one, 0].any()
    assert_close(drawn[:, 1], np.full(ROWS, -(alpha * np.log(alpha)).sum()), 1e-5)


def test_a_rows_coin_is_the_same_at_all_steps():
    seeds = attention.make_noise(row_keys(0, 50), CONFIG, (50, 7))
    assert seeds.shape == (50, 7, 3)
    assert (seeds[..., 2] == seeds[:, :1, 2]).all()
    assert len(np.unique(seeds[..., 2])) == 50
    assert len(np.unique(seeds[..., 0])) == 350


def test_a_row_without_a_real_place_draws_nothing():
    weights, drawn = draws(np.zeros(S, np.float32), np.zeros(S, bool))
    assert not np.any(weights) and np.isfinite(drawn).all() and not np.any(drawn)


@pytest.mark.parametrize("baseline", [0.0, -1.5])
def test_the_mean_gradient_over_all_draws_is_that_of_the_mean(baseline):
    """Xu et al. 2015, eq. 11 and 12, over two steps of three places, and padding."""
    rng = np.random.default_rng(0)
    nll = rng.uniform(1, 3, (S, S, 3))  # of each step; the last is padding
    nll[..., 0] = nll[:, :1, 0]  # what is said first knows nothing of the second draw
    mask = jnp.array([True, True, False])
    logits = jnp.asarray(rng.normal(size=(2, S)), jnp.float32)

    def chance(logits, draw):
        logs = jax.nn.log_softmax(logits)
        return jnp.array([logs[0, draw[0]], logs[1, draw[1]], logs[0, 0]])

    every = list(itertools.product(range(S), repeat=2))

    def expected(logits):
        each = [jnp.exp(chance(logits, d)[:2].sum()) * nll[d][:2].sum() for d in every]
        return sum(each)

    def estimate(logits, draw):
        drawn = jnp.stack([chance(logits, draw), jnp.ones(3)], axis=-1)
        return hard.reinforced_loss(nll[draw], drawn, mask, baseline, 1.0, 0.0)

    mean = sum(
        jnp.exp(chance(logits, d)[:2].sum()) * jax.grad(estimate)(logits, d)
        for d in every
    )
    assert_close(mean, jax.grad(expected)(logits), 1e-5)
    assert float(estimate(logits, every[0])) == 0.0


def test_every_share_drawn_the_context_is_one_annotation():
    config = replace(attending("general", "luong", "hard"), drawn_share=1.0)
    params, batch = params_of(config), make_batch()
    _, weights, drawn = model.run(params, config, batch, row_keys())
    weights = np.asarray(weights)
    assert set(np.unique(weights)) == {0.0, 1.0}
    assert (weights.sum(-1) <= 1).all()
    assert np.asarray(drawn)[..., 0].max() <= 0 and np.asarray(drawn)[..., 0].any()
    same = replace(config, drawn_share=0.0)
    soft = replace(config, alignment="global", drawn_share=0.5)
    one = model.apply(params, same, batch, row_keys())
    two = model.apply(params, soft, batch, row_keys())
    assert_close(one, two, 1e-5)


def test_a_score_learns_by_its_reward_alone():
    config = replace(attending("general", "luong", "hard"), drawn_share=1.0)
    params, batch = params_of(config), make_batch()

    def slope(reward, spread):
        teach = partial(
            hard.reinforced_loss, baseline=-1.0, reward=reward, spread=spread
        )

        def total(params):
            sums = model.loss(params, config, batch, 0.0, row_keys(), reinforce=teach)
            return sums.loss

        return jax.grad(total)(params)["decoder"]["attention"]["score"]["kernel"]

    assert not np.asarray(slope(0.0, 0.0)).any()
    assert np.asarray(slope(1.0, 0.0)).any() and np.asarray(slope(0.0, 1.0)).any()


def test_a_search_takes_the_likeliest_place():
    config = attending("general", "luong", "hard")
    params, batch = params_of(config), make_batch()
    _, weights, _ = model.run(params, config, batch)
    assert set(np.unique(weights)) == {0.0, 1.0}
    other = replace(config, drawn_share=1.0)
    assert_close(forward(params, config, batch), forward(params, other, batch))


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"training": {"reinforce": 2.0}}, "training.reinforce is 2.0, but model"),
        (
            {"model": {"alignment": "hard"}, "training": {"vocabulary_shards": 2}},
            "whose rewards need the whole vocabulary",
        ),
        (
            {"model": {"alignment": "hard", "drawn_share": 1.5}},
            "model.drawn_share is 1.5, expected at most 1",
        ),
        ({"model": {"drawn_share": 0.4}}, "model.drawn_share"),
    ],
)
def test_what_draws_nothing_learns_from_no_reward(wrong, said):
    made = Config(
        model=ModelConfig(**wrong.get("model", {})),
        training=TrainingConfig(**wrong.get("training", {})),
    )
    with pytest.raises(InputError, match=said):
        checks.check(made)
