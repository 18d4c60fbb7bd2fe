"""Laws of the attention scores, over every entry of `SCORES`."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from jax.test_util import check_grads
from small import assert_close

from seq2seq_jax.nn import attention, layers
from seq2seq_jax.types import AttentionMemory, AttentionState, EncoderOutput

B, S, C, A = 3, 5, 4, 3
LENGTHS = (5, 2, 0)


def made(kind, dtype=np.float32, seed=0):
    """`(params, annotations, mask, query)`; the last row is all padding."""
    rng = np.random.default_rng(seed)
    score, inits = attention.SCORES[kind], layers.initializers(None)
    params = jax.eval_shape(lambda k: score.init(k, C, C, A, inits), jax.random.key(0))
    params = jax.tree.map(lambda p: rng.normal(0, 1, p.shape).astype(dtype), params)
    mask = np.arange(S) < np.array(LENGTHS)[:, None]
    annotations = rng.normal(0, 1, (B, S, C)).astype(dtype)
    return params, annotations, mask, rng.normal(0, 1, (B, C)).astype(dtype)


def look(kind, params, annotations, mask, query):
    """`(weights, context)` of one look at annotations."""
    score = attention.SCORES[kind]
    memory = score.memory(params, EncoderOutput(annotations, (), mask))
    first = attention.initial_state(memory, query)
    state, context = attention.attend(score, params, memory, query, first)
    return state.weights, context


jitted = jax.jit(look, static_argnums=0)
gradient = jax.jit(
    jax.grad(lambda *args: sum(jnp.sum(jnp.sin(x)) for x in look(*args)), (1, 2, 4)),
    static_argnums=0,
)


@pytest.mark.parametrize("kind", attention.SCORES)
def test_weights_and_contexts_are_the_papers_equations(kind):
    params, annotations, mask, query = made(kind)
    weights, context = jitted(kind, params, annotations, mask, query)
    exact = reference.to_float64(params)
    for row, length in enumerate(LENGTHS[:2]):
        expected = reference.attend(exact, kind, query[row], annotations[row, :length])
        assert_close(weights[row, :length], expected[0], 2e-6)
        assert_close(context[row], expected[1], 2e-6)


@pytest.mark.parametrize("kind", attention.SCORES)
def test_gradients_are_finite_differences(kind):
    with jax.enable_x64(True):
        params, annotations, mask, query = made(kind, np.float64)

        def outputs(params, annotations, query):
            return jitted(kind, params, annotations, mask, query)

        check_grads(outputs, (params, annotations, query), order=1, modes=["rev"])


@pytest.mark.parametrize("kind", attention.SCORES)
def test_weights_sum_to_one_and_are_zero_on_padding(kind):
    _, _, mask, _ = arguments = made(kind)
    weights, _ = jitted(kind, *arguments)
    np.testing.assert_allclose(weights.sum(-1), [1, 1, 0], rtol=1e-6)
    assert np.all(np.asarray(weights) >= 0)
    assert_close(weights[~mask], np.zeros((~mask).sum()))


@pytest.mark.parametrize("kind", attention.SCORES)
def test_what_stands_in_padding_changes_nothing(kind):
    params, annotations, mask, query = made(kind)
    other = np.where(mask[..., None], annotations, 1e4).astype(np.float32)
    assert_close(
        jitted(kind, params, other, mask, query),
        jitted(kind, params, annotations, mask, query),
    )
    new = gradient(kind, params, other, mask, query)
    assert_close(new, gradient(kind, params, annotations, mask, query))
    assert_close(new[1][~mask], np.zeros(((~mask).sum(), C)))


@pytest.mark.parametrize("kind", attention.SCORES)
def test_a_row_of_padding_gives_zeros_and_no_nan(kind):
    arguments = made(kind)
    weights, context = jitted(kind, *arguments)
    assert not weights[2].any() and not context[2].any()
    for leaf in jax.tree.leaves(gradient(kind, *arguments)):
        assert np.isfinite(leaf).all()


@pytest.mark.parametrize("kind", attention.SCORES)
def test_one_memory_serves_many_queries_without_copies(kind):
    params, annotations, mask, query = made(kind)
    queries = np.stack([query, -query, 2 * query], axis=1)
    shared = jitted(kind, params, annotations[:, None], mask[:, None], queries)
    copied = jitted(
        kind,
        params,
        annotations.repeat(3, 0),
        mask.repeat(3, 0),
        queries.reshape(-1, C),
    )
    width = 0 if kind == "none" else C
    assert_close(shared[0], copied[0].reshape(B, 3, S), 1e-6)
    assert_close(shared[1], copied[1].reshape(B, 3, width), 1e-5)


@pytest.mark.parametrize("kind", attention.SCORES)
def test_vmap_is_a_batch(kind):
    arguments = made(kind)
    batch = jitted(kind, *arguments)
    assert_close(
        jax.vmap(partial(jitted, kind), (None, 0, 0, 0))(*arguments), batch, 1e-6
    )


def test_huge_energies_neither_overflow_nor_vanish():
    energies = jnp.array([[1e4, 1e4 - 1, -1e4], [-3e4, -3e4, 3e4]])
    mask = jnp.array([[True, True, True], [True, True, False]])
    weights = attention.masked_softmax(energies, mask)
    near = 1 / (1 + np.exp(-1))
    assert_close(weights, np.array([[near, 1 - near, 0], [0.5, 0.5, 0]]), 1e-6)


def test_coverage_is_the_sum_of_all_weights_so_far():
    params, annotations, mask, query = made("general")
    score = attention.SCORES["general"]
    memory = score.memory(params, EncoderOutput(annotations, (), mask))
    state = attention.initial_state(memory, query)
    seen = []
    for factor in (1, -2, 3):
        state, _ = attention.attend(score, params, memory, factor * query, state)
        seen.append(state.weights)
    assert_close(state.coverage, sum(seen), 1e-6)


def test_a_location_blind_score_reads_no_state():
    params, annotations, mask, query = made("dot")
    memory = AttentionMemory(annotations, annotations, mask)
    score = attention.SCORES["dot"]
    blank = AttentionState(jnp.zeros((B, S)), jnp.zeros((B, S)))
    other = AttentionState(jnp.ones((B, S)), jnp.ones((B, S)))
    assert_close(
        attention.attend(score, params, memory, query, blank)[1],
        attention.attend(score, params, memory, query, other)[1],
    )
