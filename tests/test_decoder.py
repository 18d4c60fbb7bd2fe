"""Laws of the decoders: steps and unrolls agree, and neither sees the future."""

import math
from dataclasses import fields, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import (
    NUMBERS,
    SOURCE_LENGTHS,
    assert_close,
    everything,
    forward,
    make_batch,
    params_of,
    quick_jit,
    real,
    row_keys,
)
from sweeps import COPYING, DECODER_SWEEP, NOISY, RECURRENT_SWEEP, SWEEP, TINY, name

from seq2seq_jax.nn import decoder, ends, model
from seq2seq_jax.nn.alignments import ALIGNMENTS
from seq2seq_jax.nn.bridges import BRIDGES
from seq2seq_jax.nn.cells import CELLS
from seq2seq_jax.nn.decoders import DECODERS
from seq2seq_jax.nn.encoder import ENCODERS
from seq2seq_jax.nn.frontends import FRONTENDS
from seq2seq_jax.nn.residuals import RESIDUALS
from seq2seq_jax.nn.scores import SCORES
from seq2seq_jax.nn.stack import inputs, look, no_noise, part_feed, scan_steps

sweep = pytest.mark.parametrize("config", SWEEP, ids=name)
each_decoder = pytest.mark.parametrize("config", DECODER_SWEEP, ids=name)


TABLES = {
    "cell": CELLS,
    "bridge": BRIDGES,
    "attention": SCORES,
    "alignment": ALIGNMENTS,
    "decoder": DECODERS,
    "residual": RESIDUALS,
    "encoder": ENCODERS,
    "frontend": FRONTENDS,
}


@pytest.mark.parametrize("field", TABLES)
def test_the_sweep_covers_every_table(field):
    assert {getattr(config, field) for config in SWEEP} == set(TABLES[field])


def test_the_sweep_covers_every_way_through_a_decoder():
    assert {c.input_feeding for c in SWEEP if c.decoder == "luong"} == {True, False}
    for kind, entry in DECODERS.items():
        mine = [config for config in SWEEP if config.decoder == kind]
        assert mine and any(not entry.refuse(config) for config in mine)
    assert {"attention_heads", "reverse_source", "zoneout", "output_rank"} <= {
        field.name
        for config in SWEEP
        for field in fields(config)
        if getattr(config, field.name) != getattr(TINY, field.name)
    }


@partial(quick_jit, static_argnums=1)
def walk(params, config, batch, tokens):
    """Logits and weights of `model.step` over tokens `[B, K, T]`, one memory a row."""
    encoded = model.encode(params, config, batch.source, batch.source_mask)
    memory, state = model.start(params, config, encoded)
    memory = jax.tree.map(lambda leaf: leaf[:, None], memory)
    state = jax.tree.map(
        lambda leaf: jnp.repeat(leaf[:, None], tokens.shape[1], axis=1), state
    )

    def body(state, column):
        state, *outputs = model.step(params, config, memory, state, column)
        return state, outputs

    _, outputs = jax.lax.scan(body, state, jnp.moveaxis(tokens, -1, 0))
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 2), outputs)


@pytest.mark.parametrize(
    "config", [*DECODER_SWEEP, SWEEP[1], *RECURRENT_SWEEP, *COPYING], ids=name
)
def test_steps_over_a_shared_memory_are_the_teacher_forced_unroll(config):
    params, batch = params_of(config), make_batch()
    other = np.where(batch.target_in == 1, 1, 15 - batch.target_in) % 13
    tokens = np.stack([batch.target_in, other], axis=1)
    logits, weights = walk(params, config, batch, tokens)
    for k, target_in in enumerate((batch.target_in, other)):
        expected = everything(params, config, batch.replace(target_in=target_in))
        assert_close(logits[:, k], expected["logits"], 5e-6)
        assert_close(weights[:, k], expected["weights"], 5e-6)


def test_steps_without_a_beam_axis_are_the_unroll_too():
    config = SWEEP[2]
    params, batch = params_of(config), make_batch()
    encode, start, step = (
        quick_jit(f, static_argnums=1) for f in (model.encode, model.start, model.step)
    )
    encoded = encode(params, config, batch.source, batch.source_mask)
    memory, state = start(params, config, encoded)
    expected = everything(params, config, batch)
    for t in range(batch.target_in.shape[1]):
        tokens = batch.target_in[:, t]
        state, logits, weights = step(params, config, memory, state, tokens)
        assert_close(logits, expected["logits"][:, t], 5e-6)
        assert_close(weights, expected["weights"][:, t], 5e-6)


@sweep
def test_it_is_causal(config):
    params, batch = params_of(config), make_batch()
    before = everything(params, config, batch)
    for t in (1, 3):
        target_in = batch.target_in.copy()
        target_in[:, t] = (target_in[:, t] + 5) % 13
        after = everything(params, config, batch.replace(target_in=target_in))
        for part in ("logits", "weights"):
            assert_close(after[part][:, :t], before[part][:, :t])  # bit for bit
        rows = slice(0, 3)  # the last row has no source to differ on
        assert not np.array_equal(after["logits"][rows, t:], before["logits"][rows, t:])


@sweep
def test_weights_sum_to_one_and_are_zero_on_padding(config):
    batch = make_batch()
    weights = np.asarray(everything(params_of(config), config, batch)["weights"])
    if config.decoder in ("gnmt", "luong_fed"):  # at first they read no context
        assert not weights[:, 0].any()
        weights = weights[:, 1:]
    whole = not SCORES[config.attention].shares
    if whole and ALIGNMENTS[config.alignment].sums_to_one:
        np.testing.assert_allclose(weights[:3].sum(-1), 1.0, rtol=1e-6)
    assert (weights >= 0).all() and (weights.sum(-1) <= 1 + 1e-6).all()
    looks = weights[:3].any(-1)
    if config.alignment == "local_m_paper":  # its window leaves short sources behind
        last = batch.source_mask[:3].sum(-1) - 1
        looks |= np.arange(looks.shape[1]) > last[:, None] + config.window
    if config.alignment == "monotonic_hard":  # what walks off the end comes not back
        off = np.logical_or.accumulate(~looks, axis=1)
        looks ^= off
    assert looks.all()
    assert not weights[3].any()
    lengths = [
        math.prod(ends.grid(config, (length, NUMBERS.shape[1])))
        for length in SOURCE_LENGTHS
    ]  # annotations
    padding = np.arange(weights.shape[-1]) >= np.array(lengths)[:, None]
    assert not np.moveaxis(weights, 1, 2)[padding].any()


def unrolls(params, config, batch, key):
    """`(features, weights)` by the entry's own unroll and by a scan of its advance."""
    encoded = model.encode(params, config, batch.source, batch.source_mask)
    memory, state = model.start(params, config, encoded)
    embedded = params["target"]["table"][batch.target_in]
    params = part_feed(params["decoder"], config)
    entry, steps = DECODERS[config.decoder], (embedded.shape[1],)
    noise = decoder.make_noise(key, config, embedded[:, 0], steps)
    arguments = (
        params,
        config,
        memory,
        state,
        inputs(params, config, embedded),
        noise if key is not None else no_noise(config),
    )
    scanned = scan_steps(entry.advance, *arguments, entry.looked)
    return entry.unroll(*arguments), scanned


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("config", [SWEEP[5], *DECODER_SWEEP], ids=name)
def test_an_unroll_is_the_scan_over_its_steps(config, noisy):
    if noisy:
        config = replace(config, dropout=0.4, recurrent_dropout=0.3, zoneout=0.2)
    key = row_keys() if noisy else None
    both = quick_jit(unrolls, static_argnums=1)
    whole, scanned = both(params_of(config), config, make_batch(), key)
    assert_close(whole, scanned, 2e-6)


def test_gnmt_is_the_papers_from_its_second_step_on():
    """Started from the first state's look, it reads what the paper's reads."""
    config = next(c for c in SWEEP if c.decoder == "gnmt")

    @quick_jit
    def both(params, batch):
        encoded = model.encode(params, config, batch.source, batch.source_mask)
        memory, state = model.start(params, config, encoded)
        embedded = params["target"]["table"][batch.target_in]
        params = part_feed(params["decoder"], config)
        projected = inputs(params, config, embedded)

        def run(kind, state):
            more = memory, state, projected, no_noise(config)
            return DECODERS[kind].unroll(params, config, *more)

        query, looked = state.carry[0][-1], state.attention
        looked, context = look(params, config, memory, query, looked)
        ahead = state.replace(context=context, attention=looked)
        return run("gnmt_paper", state), run("gnmt", ahead)

    expected, found = both(params_of(config), make_batch())
    assert_close(found, expected, 2e-6)


@pytest.mark.parametrize("feeding", [False, True])
def test_recurrent_dropout_drops_the_same_units_at_every_step(feeding):
    """With U = I and no input, a dropped unit stands still and a kept one grows."""
    size, bias = 32, 0.1
    config = replace(
        SWEEP[0],
        cell="rnn",
        bridge="zero",
        decoder_hidden_size=size,
        input_feeding=feeding,
        recurrent_dropout=0.5,
    )
    params = jax.eval_shape(lambda: params_of(config))["decoder"]
    params = jax.tree.map(lambda p: jnp.zeros(p.shape), params)
    layer = {"recurrent": jnp.eye(size), "bias": jnp.full(size, bias)}
    params["layers"][0] |= layer
    params["own"]["kernel"] = jnp.eye(size)

    @quick_jit
    def readouts(params, keys):
        mask = jnp.ones((2, 1), bool)
        carry = (((jnp.zeros((2, size)),),),)
        encoded = model.EncoderOutput(jnp.zeros((2, 1, 4)), carry, mask)
        memory, state = decoder.start(params, config, encoded)
        embedded = jnp.zeros((2, 8, config.embedding_size))
        return decoder.unroll(params, config, memory, state, embedded, keys)[0]

    h = np.arctanh(np.asarray(readouts(params, row_keys(rows=2)), np.float64))
    dropped = np.isclose(h[:, 1], np.tanh(bias), rtol=1e-4)
    assert 0 < dropped.sum() < dropped.size
    still = h[dropped.nonzero()[0], :, dropped.nonzero()[1]]
    np.testing.assert_allclose(still, np.tanh(bias), rtol=1e-4)
    assert (np.diff(h, axis=1).transpose(0, 2, 1)[~dropped] > 0).all()


@each_decoder
def test_noise_of_padding_steps_does_not_reach_real_ones(config):
    config = replace(config, **NOISY)
    params, keys = params_of(config), row_keys()
    short, long = make_batch(), make_batch(source_width=8, target_width=7, fill=5)
    plain, weights = forward(params, config, short, keys)
    wide, wide_weights = forward(params, config, long, keys)
    assert_close(real(long, wide)[:, :5], real(short, plain), 5e-6)
    assert_close(real(long, wide_weights)[:, :5, :6], real(short, weights), 5e-6)
