"""What attention draws in training: dropout of weights, noise before a sigmoid."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import (
    assert_close,
    forward,
    logits_and_weights,
    make_batch,
    params_of,
    quick_jit,
    row_keys,
)
from sweeps import SWEEP, attending
from test_attention import CONFIG, B, S, made

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import attention, layers
from seq2seq_jax.nn.alignments import ALIGNMENTS
from seq2seq_jax.types import AttentionState, EncoderOutput

HALF = replace(CONFIG, attention_dropout=0.5)


def looked(config, seeds, width=S):
    """State and context of one look, the source padded to a width."""
    params, annotations, mask, query, state = made(config)
    wide = [(0, 0), (0, width - S)]
    annotations, mask = np.pad(annotations, [*wide, (0, 0)]), np.pad(mask, wide)
    state = jax.tree.map(lambda x: x if x.ndim == 1 else pad_last(x, width), state)
    read = attention.memory(params, config, EncoderOutput(annotations, (), mask))
    return attention.attend(params, config, read, query, state, seeds)


def pad_last(x, width):
    return np.pad(x, [*[(0, 0)] * (x.ndim - 1), (0, width - S)])


def seeds_of(config, rows=B, seed=0):
    return attention.make_noise(row_keys(seed, rows), config, (rows,))


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("kind", ALIGNMENTS)
def test_noise_does_not_depend_on_padding(kind, heads):
    config = replace(HALF, alignment=kind, attention_heads=heads)
    seeds = seeds_of(config)
    (state, context), (wide, same) = (looked(config, seeds, n) for n in (S, S + 3))
    assert_close(wide.weights[:, :S], state.weights, 1e-6)
    assert_close(same, context, 1e-6)
    other = looked(config, seeds_of(config, seed=1))[1]
    assert not np.allclose(other[:2], context[:2])


def test_dropout_falls_on_the_context_alone():
    _, annotations, *_ = made(HALF)
    state, context = looked(HALF, seeds_of(HALF))
    plain, _ = looked(HALF, None)
    assert_close((state.weights, state.coverage), (plain.weights, plain.coverage))
    drop, _ = layers.split_key(seeds_of(HALF), 2)
    kept = np.asarray(layers.dropout_mask(drop, 0.5, (B, S)))
    assert set(np.unique(kept)) == {0.0, 2.0}
    values = np.einsum("bs,bsc->bc", plain.weights * kept, annotations)
    assert_close(context, values, 1e-6)


def test_each_head_and_each_step_has_noise_of_its_own():
    config = replace(HALF, attention_heads=2)
    seeds = attention.make_noise(row_keys(), config, (4, 6))
    assert seeds.shape == (4, 6, 4)
    parted = np.asarray(seeds).reshape(-1, 2)
    assert len({tuple(pair) for pair in parted}) == len(parted)
    longer = attention.make_noise(row_keys(), config, (4, 9))
    assert_close(longer[:, :6], seeds)


@pytest.mark.parametrize(
    "config", [ModelConfig(), ModelConfig(attention="none", attention_dropout=0.5)]
)
def test_who_draws_nothing_has_no_seeds(config):
    assert attention.make_noise(row_keys(), config, (4,)) is None
    assert attention.make_noise(None, HALF, (4,)) is None


def test_dropout_keeps_its_share():
    config = replace(HALF, attention_dropout=0.3)
    drop, _ = layers.split_key(seeds_of(config, rows=50), 2)
    kept = layers.dropout_mask(drop, 0.3, (50, 200)) > 0
    assert abs(kept.mean() - 0.7) < 0.02


@pytest.mark.parametrize("source", [3, 20_000])
def test_gaussian_noise_is_normal_and_finite(source):
    noise = np.asarray(layers.gaussian_noise(row_keys(), (4, source)), np.float64)
    assert np.isfinite(noise).all()
    if source > 3:
        assert abs(noise.mean()) < 0.02 and abs(noise.std() - 1) < 0.02
        assert abs((noise > 1.6449).mean() - 0.05) < 0.005


def test_gaussian_noise_of_the_first_and_the_last_number_is_finite(monkeypatch):
    ends = jnp.array([0, 2**32 - 1], jnp.uint32)
    monkeypatch.setattr(layers, "random_bits", lambda key, shape: ends)
    low, high = layers.gaussian_noise(None, (2,))
    assert np.isfinite([low, high]).all() and low < -5 and high > 5


def energies_of(scale=1.0):
    rng = np.random.default_rng(0)
    energies = jnp.asarray(rng.normal(0, scale, (B, S)), jnp.float32)
    return energies, jnp.arange(S) < jnp.array([[S], [3], [1]])


def first_state(**more):
    nothing = jnp.zeros((B, S))
    return replace(AttentionState(nothing, nothing, jnp.zeros(B)), **more)


def weights_of(kind, energies, mask, state, seed=None):
    """Of an alignment, its offset 0; with a seed, those of training."""
    entry, params = ALIGNMENTS[kind], {"offset": jnp.zeros(())}
    given = params, CONFIG, energies, jnp.zeros((B, 1)), mask, state
    return entry.weights(*given) if seed is None else entry.noisy(seed, *given)


def test_in_training_the_hard_walk_is_the_expectation_of_noisy_energies():
    """Raffel et al. 2017, section 2.5: N(0, 1) is added before the sigmoid."""
    energies, mask = energies_of()
    seed = layers.split_key(row_keys(rows=B), 1)[0]
    found = weights_of("monotonic_hard", energies, mask, first_state(), seed)
    noisy = energies + layers.gaussian_noise(seed, energies.shape)
    assert_close(found, weights_of("monotonic", noisy, mask, first_state()), 1e-6)
    assert not np.allclose(
        found, weights_of("monotonic", energies, mask, first_state())
    )


def test_where_energies_are_far_from_zero_the_walk_is_its_expectation():
    energies, mask = energies_of(1e4)
    state = first_state()
    for time in range(3):
        hard, soft = (
            weights_of(kind, energies, mask, state)
            for kind in ("monotonic_hard", "monotonic")
        )
        assert_close(hard, soft, 1e-6)
        state = first_state(weights=hard, time=jnp.full(B, time + 1.0))


def test_a_walk_that_went_off_the_end_looks_nowhere_any_more():
    energies, mask = -jnp.ones((B, S)), jnp.ones((B, S), bool)
    weights = weights_of("monotonic_hard", energies, mask, first_state())
    assert not weights.any()
    later = first_state(weights=weights, time=jnp.ones(B))
    assert not weights_of("monotonic_hard", -energies, mask, later).any()


def test_a_hard_walk_learns_through_the_noisy_expectation():
    config = attending("general", "luong", "monotonic_hard")
    params, batch = params_of(config), make_batch()

    @partial(quick_jit, static_argnums=2)
    def slope(params, batch, config, keys=None):
        def total(params):
            return logits_and_weights(params, config, batch, keys)[0].sum()

        return jax.grad(total)(params)

    quiet, noisy = (slope(params, batch, config, k) for k in (None, row_keys()))
    kernel = [g["decoder"]["attention"]["score"]["kernel"] for g in (quiet, noisy)]
    assert not np.asarray(kernel[0]).any() and np.asarray(kernel[1]).any()


def test_a_search_has_no_noise():
    """Dropout of weights belongs to training: without a key there is none."""
    config = replace(SWEEP[2], attention_dropout=0.5)
    params, batch = params_of(config), make_batch()
    assert_close(forward(params, config, batch), forward(params, SWEEP[2], batch))
