"""Laws of attention, over every score, alignment and number of heads."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import reference_attention
from jax.test_util import check_grads
from small import assert_close

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import attention, layers, memory
from seq2seq_jax.nn.alignments import ALIGNMENTS
from seq2seq_jax.nn.scores import SCORES
from seq2seq_jax.types import AttentionState, EncoderOutput

B, S, C, A = 3, 5, 4, 3
LENGTHS = (5, 2, 0)

CONFIG = ModelConfig(attention_size=A, window=1, positions=4)
PAIRS = [(kind, "global", 1) for kind in SCORES]
PAIRS += [("general", kind, 1) for kind in ALIGNMENTS if kind != "global"]
PAIRS += [(kind, "global", 2) for kind in SCORES if kind != "none"]
PAIRS += [("additive", kind, 2) for kind in ALIGNMENTS if kind != "global"]
CONFIGS = [
    replace(CONFIG, attention=score, alignment=alignment, attention_heads=heads)
    for score, alignment, heads in PAIRS
]


def name(config):
    """A test's id."""
    return f"{config.attention}-{config.alignment}-{config.attention_heads}"


sweep = pytest.mark.parametrize("config", CONFIGS, ids=name)


def made(config, dtype=np.float32, seed=0):
    """`(params, annotations, mask, query, state)`; the last row is all padding."""
    rng = np.random.default_rng(seed)
    inits = layers.initializers()
    params = jax.eval_shape(
        lambda k: attention.init(k, config, C, C, inits), jax.random.key(0)
    )
    params = jax.tree.map(lambda p: rng.normal(0, 1, p.shape).astype(dtype), params)
    mask = np.arange(S) < np.array(LENGTHS)[:, None]
    annotations = rng.normal(0, 1, (B, S, C)).astype(dtype)
    query = rng.normal(0, 1, (B, C)).astype(dtype)
    return params, annotations, mask, query, before(config, mask, rng, dtype)


def before(config, mask, rng, dtype):
    """The attention state after two steps that looked somewhere."""

    def weights(*shape):
        powers = np.exp(rng.normal(0, 1, (B, *shape, S)))
        real = mask.reshape(B, *[1] * len(shape), S)
        total = np.maximum((powers * real).sum(-1, keepdims=True), 1e-9)
        return (powers * real / total).astype(dtype)

    heads = config.attention_heads
    first, last = weights(), weights()
    inner = (weights(heads), weights(heads)) if heads > 1 else None
    if inner:
        last, first = inner[0].mean(1), (inner[1] - inner[0]).mean(1)
    return AttentionState(last, first + last, np.full(B, 2.0, dtype), inner)


def look(config, params, annotations, mask, query, state):
    """`(weights, context)` of one look at annotations."""
    read = attention.memory(params, config, EncoderOutput(annotations, (), mask))
    state, context = attention.attend(params, config, read, query, state)
    return state.weights, context


jitted = jax.jit(look, static_argnums=0)
gradient = jax.jit(
    jax.grad(lambda *args: sum(jnp.sum(jnp.sin(x)) for x in look(*args)), (1, 2, 4)),
    static_argnums=0,
)


def row_of(state, config, row, length):
    """The reference's form of one row's state."""
    first = reference.first_look(config, length)
    found = {
        "weights": np.asarray(state.weights[row, :length], np.float64),
        "coverage": np.asarray(state.coverage[row, :length], np.float64),
        "time": state.time[row],
    }
    if config.attention_heads == 1:
        return first | found
    heads = [
        found | {"weights": w[:length], "coverage": c[:length]}
        for w, c in zip(*(leaf[row] for leaf in state.heads), strict=True)
    ]
    return first | found | {"heads": heads}


def test_the_transcription_has_every_entry():
    assert set(SCORES) == set(reference_attention.SCORES)
    assert set(ALIGNMENTS) == set(reference_attention.ALIGNMENTS)


@sweep
def test_weights_and_contexts_are_the_papers_equations(config):
    params, annotations, _, query, state = arguments = made(config)
    weights, context = jitted(config, *arguments)
    exact = reference.to_float64(params)
    for row, length in enumerate(LENGTHS[:2]):
        found, expected = reference.attend(
            exact,
            config,
            query[row].astype(np.float64),
            annotations[row, :length].astype(np.float64),
            row_of(state, config, row, length),
        )
        assert_close(weights[row, :length], found["weights"], 4e-6)
        assert_close(context[row], expected, 4e-6)


@sweep
def test_gradients_are_finite_differences(config):
    with jax.enable_x64(True):
        params, annotations, mask, query, state = made(config, np.float64)

        def outputs(params, annotations, query, weights, coverage):
            before = replace(state, weights=weights, coverage=coverage)
            return jitted(config, params, annotations, mask, query, before)

        differentiable = (params, annotations, query, state.weights, state.coverage)
        check_grads(outputs, differentiable, order=1, modes=["rev"])


@sweep
def test_weights_are_shares_and_zero_on_padding(config):
    _, _, mask, _, _ = arguments = made(config)
    weights, _ = jitted(config, *arguments)
    entry = ALIGNMENTS[config.alignment]
    if entry.sums_to_one and not SCORES[config.attention].shares:
        np.testing.assert_allclose(weights.sum(-1), [1, 1, 0], rtol=1e-6)
    assert np.all(np.asarray(weights) >= 0)
    assert np.all(np.asarray(weights).sum(-1) <= 1 + 1e-6)
    assert_close(weights[~mask], np.zeros((~mask).sum()))


@sweep
def test_what_stands_in_padding_changes_nothing(config):
    params, annotations, mask, query, state = arguments = made(config)
    other = np.where(mask[..., None], annotations, 1e4).astype(np.float32)
    filled = (params, other, mask, query, state)
    assert_close(jitted(config, *filled), jitted(config, *arguments))
    new = gradient(config, *filled)
    assert_close(new, gradient(config, *arguments))
    assert_close(new[1][~mask], np.zeros(((~mask).sum(), C)))


@sweep
def test_more_padding_changes_nothing(config):
    params, annotations, mask, query, state = arguments = made(config)

    def wider(x, axis):
        ends = [(0, 0)] * x.ndim
        ends[axis] = (0, 3)
        return np.pad(x, ends)

    long = replace(
        jax.tree.map(lambda x: wider(x, -1), replace(state, time=np.zeros((B, 1)))),
        time=state.time,
    )
    weights, context = jitted(
        config, params, wider(annotations, 1), wider(mask, 1), query, long
    )
    plain = jitted(config, *arguments)
    assert_close(weights[:, :S], plain[0], 1e-6)
    assert_close(context, plain[1], 1e-6)


@sweep
def test_a_row_of_padding_gives_zeros_and_no_nan(config):
    arguments = made(config)
    weights, context = jitted(config, *arguments)
    assert not weights[2].any() and not context[2].any()
    for leaf in jax.tree.leaves(gradient(config, *arguments)):
        assert np.isfinite(leaf).all()


@sweep
def test_one_memory_serves_many_queries_without_copies(config):
    params, annotations, mask, query, state = made(config)
    queries = np.stack([query, -query, 2 * query], axis=1)
    three = jax.tree.map(lambda leaf: np.stack([leaf] * 3, axis=1), state)
    shared = jitted(config, params, annotations[:, None], mask[:, None], queries, three)
    copied = jitted(
        config,
        params,
        annotations.repeat(3, 0),
        mask.repeat(3, 0),
        queries.reshape(-1, C),
        jax.tree.map(lambda leaf: leaf.repeat(3, 0), state),
    )
    width = 0 if config.attention == "none" else C
    assert_close(shared[0], copied[0].reshape(B, 3, S), 1e-6)
    assert_close(shared[1], copied[1].reshape(B, 3, width), 1e-5)


@sweep
def test_vmap_is_a_batch(config):
    arguments = made(config)
    batch = jitted(config, *arguments)
    rows = jax.vmap(partial(jitted, config), (None, 0, 0, 0, 0))
    assert_close(rows(*arguments), batch, 1e-6)


def test_huge_energies_neither_overflow_nor_vanish():
    energies = jnp.array([[1e4, 1e4 - 1, -1e4], [-3e4, -3e4, 3e4]])
    mask = jnp.array([[True, True, True], [True, True, False]])
    weights = memory.masked_softmax(energies, mask)
    near = 1 / (1 + np.exp(-1))
    assert_close(weights, np.array([[near, 1 - near, 0], [0.5, 0.5, 0]]), 1e-6)


@pytest.mark.parametrize("heads", [1, 2])
def test_coverage_is_the_sum_of_all_weights_so_far(heads):
    config = replace(CONFIG, attention_heads=heads)
    params, annotations, mask, query, _ = made(config)
    read = attention.memory(params, config, EncoderOutput(annotations, (), mask))
    state = attention.initial_state(config, read, query)
    seen = []
    for factor in (1, -2, 3):
        state, _ = attention.attend(params, config, read, factor * query, state)
        seen.append(state.weights)
    assert_close(state.coverage, sum(seen), 1e-6)
    assert_close(state.time, np.full(B, 3.0))


@sweep
def test_what_is_not_recurrent_reads_no_state(config):
    params, annotations, mask, query, state = arguments = made(config)
    other = jax.tree.map(lambda leaf: 1.0 - 0.5 * leaf, replace(state, time=0.0))
    other = replace(other, time=state.time)
    changed = jitted(config, params, annotations, mask, query, other)
    same = np.array_equal(changed[0], jitted(config, *arguments)[0])
    assert same != attention.is_recurrent(config)
