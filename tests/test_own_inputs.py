"""Laws of scheduled sampling: what the decoder reads, and that nothing else changes."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import assert_close, make_batch, params_of, quick_jit, row_keys
from sweeps import DECODER_SWEEP, NOISY, SWEEP, name

from seq2seq_jax.config import TrainingConfig
from seq2seq_jax.inference.search import greedy_search
from seq2seq_jax.nn import feedback, hearing, layers, model
from seq2seq_jax.training.objective import own_share
from seq2seq_jax.types import BOS, EOS, PAD

NOISES = [replace(config, **NOISY) for config in DECODER_SWEEP]
QUIET = [replace(config, **dict.fromkeys(NOISY, 0.0)) for config in DECODER_SWEEP]


@partial(quick_jit, static_argnums=1)
def inputs_of(params, config, batch, keys, own):
    """What the decoder reads, found as `model.run` finds it."""
    parts = layers.split_key(keys, 5)
    encoded = model.encode(params, config, batch.source, batch.source_mask, parts[0])
    memory, state = model.start(params, config, encoded)
    gold = batch.target_in
    return feedback.own_inputs(params, config, memory, state, gold, parts, own)


@partial(quick_jit, static_argnums=1)
def loss_and_gradient(params, config, batch, keys, own=None):
    def total(params):
        sums = model.loss(params, config, batch, 0.1, keys, own=own)
        return sums.loss, sums

    (_, sums), grads = jax.value_and_grad(total, has_aux=True)(params)
    return sums, grads


@partial(quick_jit, static_argnums=1)
def said_after(params, config, batch, keys):
    """What the decoder finds most probable after each of the batch's inputs."""
    readout, *_ = model.run(params, config, batch, keys)
    logits = model.logits(layers.cast_kernels(params, config.dtype), config, readout)
    return jnp.argmax(logits.at[..., jnp.array([PAD, BOS])].set(-jnp.inf), -1)


@pytest.mark.parametrize("config", NOISES, ids=name)
def test_with_probability_0_it_is_teacher_forcing_bit_for_bit(config):
    params, batch, keys = params_of(config), make_batch(), row_keys()
    plain = loss_and_gradient(params, config, batch, keys)
    assert_close(loss_and_gradient(params, config, batch, keys, 0.0), plain)


def test_without_a_key_it_is_teacher_forcing():
    params, batch = params_of(SWEEP[2]), make_batch()
    plain = model.loss(params, SWEEP[2], batch)
    assert_close(model.loss(params, SWEEP[2], batch, own=jnp.float32(1.0)), plain)


@partial(quick_jit, static_argnums=(1, 3))
def greedy(params, config, batch, length):
    encoded = model.encode(params, config, batch.source, batch.source_mask)
    memory, state = model.start(params, config, encoded)
    memory = jax.tree.map(lambda x: x[:, None], memory)

    def step(memory, state, tokens):
        state, logits, looked = model.step(params, config, memory, state, tokens)
        return state, jax.nn.log_softmax(logits), looked

    limits = jnp.full(len(batch.source), length)
    found = greedy_search(step, memory, state, limits, max_length=length)
    return found.tokens[:, 0], found.lengths[:, 0]


@pytest.mark.parametrize("config", QUIET, ids=name)
def test_with_probability_1_it_reads_what_greedy_search_says(config):
    """Up to the EOS that ends a search; training goes on to the target's length."""
    params, batch = params_of(config, seed=1), make_batch(target_width=9)
    params["head"]["bias"][EOS] -= 3.0  # or it stops at once
    said, lengths = map(np.asarray, greedy(params, config, batch, 9))
    read = np.asarray(inputs_of(params, config, batch, row_keys(), 1.0))
    for row in range(3):
        words = said[row, : lengths[row]].copy()
        words[-1] = EOS  # which a search stores as padding
        count = min(1 + lengths[row], 9)
        np.testing.assert_array_equal(read[row, :count], [BOS, *words][:count])
    assert lengths[:3].sum() > 12


@pytest.mark.parametrize("config", NOISES, ids=name)
def test_an_input_is_gold_or_what_the_same_pass_says(config):
    """The pass that learns, on these inputs and with the same noise, says the same."""
    params, batch, keys = params_of(config), make_batch(), row_keys(5)
    read = inputs_of(params, config, batch, keys, 0.5)
    said = np.asarray(said_after(params, config, batch.replace(target_in=read), keys))
    mask, read = batch.target_mask[:, 1:], np.asarray(read)
    mine = read[:, 1:] == said[:, :-1]
    gold = read[:, 1:] == batch.target_in[:, 1:]
    assert (read[:, 0] == batch.target_in[:, 0]).all()
    assert (mine | gold)[mask].all()
    assert (mine & ~gold)[mask].any() and (gold & ~mine)[mask].any()


@pytest.mark.parametrize("config", NOISES, ids=name)
def test_the_gradient_is_teacher_forcing_s_on_these_inputs(config):
    params, batch, keys = params_of(config), make_batch(), row_keys(5)
    read = inputs_of(params, config, batch, keys, 0.5)
    expected = loss_and_gradient(
        params, config, batch.replace(target_in=np.asarray(read)), keys
    )
    assert_close(loss_and_gradient(params, config, batch, keys, 0.5), expected, 1e-6)


@pytest.mark.parametrize("config", NOISES, ids=name)
def test_a_row_hangs_on_its_own_key_and_not_on_padding(config):
    params, batch, keys = params_of(config), make_batch(), row_keys(5)
    read = np.asarray(inputs_of(params, config, batch, keys, 0.5))
    order = np.array([2, 0, 1, 3])
    shuffled = jax.tree.map(lambda leaf: leaf[order], batch)
    moved = inputs_of(params, config, shuffled, keys[order], 0.5)
    np.testing.assert_array_equal(moved, read[order])
    wide = make_batch(source_width=8, target_width=9, fill=7)
    widened = np.asarray(inputs_of(params, config, wide, keys, 0.5))[:, :5]
    real = batch.target_mask
    np.testing.assert_array_equal(widened[real], read[real])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_coins_fall_as_often_as_told(share):
    coins = np.asarray(layers.coins(row_keys(1, 500), jnp.float32(share), (500, 40)))
    assert abs(coins.mean() - share) < 4 * np.sqrt(share * (1 - share) / 20_000) + 1e-9
    assert len({row.tobytes() for row in coins}) == (500 if share == 0.3 else 1)


def test_bengio_s_rule_in_a_loop_over_one_row():
    """2015, section 2.4; this decoder says the square of what it has read, mod 11."""
    draw = np.random.default_rng(0)
    gold, own = draw.integers(4, 11, 30), draw.random(30) < 0.5
    expected, last = [], gold[0]
    for t in range(30):
        token = last if own[t] and t > 0 else gold[t]
        expected.append(token)
        last = max(token * token % 11, 2)

    def step(state, tokens, noise):
        square = jnp.maximum(tokens * tokens % 11, 2)
        return state, jax.nn.one_hot(square, 11), None

    read, _ = hearing.own_inputs(step, (), jnp.asarray(gold), jnp.asarray(own))
    assert read.tolist() == expected


def test_the_share_climbs_in_a_straight_line():
    config = TrainingConfig(scheduled_sampling=0.8, scheduled_sampling_steps=40)
    found = [float(own_share(config, step)) for step in (0, 10, 20, 40, 1000)]
    assert found == pytest.approx([0, 0.2, 0.4, 0.8, 0.8])
    at_once = TrainingConfig(scheduled_sampling=0.8)
    assert float(own_share(at_once, 0)) == pytest.approx(0.8)
