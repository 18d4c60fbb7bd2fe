"""What single scores and alignments promise beyond the laws that all of them obey."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from small import assert_close
from test_attention import CONFIGS, LENGTHS, B, C, S, made, name

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import attention, layers
from seq2seq_jax.nn.alignments import ALIGNMENTS
from seq2seq_jax.nn.memory import masked_softmax
from seq2seq_jax.nn.scores import SCORES
from seq2seq_jax.types import AttentionState, EncoderOutput

STEPS = 7  # more than the longest source has positions
MOVING = [
    config
    for config in CONFIGS
    if attention.is_recurrent(config) or config.alignment != "global"
]


def walk(config, params, annotations, mask, queries):
    """`(weights, contexts)` `[B, T, ...]` of looks one after the other."""
    read = attention.memory(params, config, EncoderOutput(annotations, (), mask))

    def body(state, query):
        state, context = attention.attend(params, config, read, query, state)
        return state, (state.weights, context)

    first = attention.initial_state(config, read, queries[:, 0])
    _, outputs = jax.lax.scan(body, first, jnp.moveaxis(queries, 1, 0))
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), outputs)


jitted_walk = jax.jit(walk, static_argnums=0)


def sentence(config, seed=0):
    """Arguments of `walk`: parameters, annotations, mask and `STEPS` queries."""
    params, annotations, mask, _, _ = made(config, seed=seed)
    rng = np.random.default_rng(seed + 1)
    return params, annotations, mask, rng.normal(0, 1, (B, STEPS, C)).astype(np.float32)


@pytest.mark.parametrize("config", MOVING, ids=name)
def test_a_sentence_from_its_first_step_is_the_papers_equations(config):
    params, annotations, _, queries = arguments = sentence(config)
    weights, contexts = jitted_walk(config, *arguments)
    exact = reference.to_float64(params)
    for row, length in enumerate(LENGTHS[:2]):
        state = reference.first_look(config, length)
        for t in range(STEPS):
            state, expected = reference.attend(
                exact,
                config,
                queries[row, t].astype(np.float64),
                annotations[row, :length].astype(np.float64),
                state,
            )
            assert_close(weights[row, t, :length], state["weights"], 1e-5)
            assert_close(contexts[row, t], expected, 1e-5)


def aligned(kind, energies, mask, time=0.0, before=None, **config):
    """Weights of an alignment, with its first parameters, for a query of zeros."""
    config = ModelConfig(alignment=kind, **config)
    entry = ALIGNMENTS[kind]
    params = entry.init(jax.random.key(0), config, 3, layers.initializers())
    query = jnp.zeros((*energies.shape[:-1], 3))
    nothing = jnp.zeros_like(energies)
    times = jnp.full(energies.shape[:-1], time)
    state = AttentionState(nothing if before is None else before, nothing, times)
    return entry.weights(params, config, energies, query, mask, state)


def random_energies(scale=1.0, rows=3, source=9):
    rng = np.random.default_rng(0)
    energies = jnp.asarray(rng.normal(0, scale, (rows, source)), jnp.float32)
    return energies, jnp.arange(source) < jnp.array([[source], [4], [1]])


@pytest.mark.parametrize("time", [0.0, 2.0, 30.0])
def test_local_m_sees_its_window_alone_and_never_an_empty_one(time):
    energies, mask = random_energies()
    weights = np.asarray(aligned("local_m", energies, mask, time, window=2))
    places = np.arange(9)
    for row, length in enumerate((9, 4, 1)):
        near = np.abs(places - min(time, length - 1)) <= 2
        assert ((weights[row] > 0) == (near & (places < length))).all()
    assert_close(weights.sum(-1), np.ones(3), 1e-6)


def test_local_m_of_the_paper_walks_off_the_end():
    energies, mask = random_energies()
    weights = np.asarray(aligned("local_m_paper", energies, mask, 5.0, window=2))
    assert_close(
        weights.sum(-1), np.array([1, 1, 0.0]), 1e-6
    )  # of 9, 4 and 1 positions
    assert weights[1, 3] == 1 and not weights[2].any()
    stopped = aligned("local_m", energies, mask, 2.0, window=2)
    assert_close(aligned("local_m_paper", energies, mask, 2.0, window=2)[0], stopped[0])


def test_a_window_over_everything_is_global_attention():
    energies, mask = random_energies()
    wide = aligned("local_m", energies, mask, 3.0, window=9)
    assert_close(wide, aligned("global", energies, mask), 1e-7)


def test_local_p_is_the_windows_softmax_times_a_gaussian_around_the_middle():
    """A query of zeros predicts the middle, here position 4 of 9, 1.5 of 4, 0 of 1."""
    energies, mask = random_energies()
    weights = np.asarray(aligned("local_p", energies, mask, window=2))
    for row, (length, at) in enumerate([(9, 4.0), (4, 1.5), (1, 0.0)]):
        first, last = max(int(at) - 2, 0), min(int(at) + 3, length)
        expected = np.zeros(9)
        inside = np.exp(np.asarray(energies[row, first:last], np.float64))
        gaussian = np.exp(-((np.arange(first, last) - at) ** 2) / 2)  # sigma = 2 / 2
        expected[first:last] = inside / inside.sum() * gaussian
        assert_close(weights[row], expected, 1e-6)


def test_local_ps_gradient_reaches_the_predicted_position():
    config = replace(CONFIGS[0], attention="general", alignment="local_p")
    arguments = made(config)

    def total(params, annotations, mask, query, state):
        read = attention.memory(params, config, EncoderOutput(annotations, (), mask))
        return attention.attend(params, config, read, query, state)[1].sum()

    grads = jax.jit(jax.grad(total))(*arguments)["alignment"]
    for leaf in jax.tree.leaves(grads):
        assert np.isfinite(leaf).all() and np.asarray(leaf).any()


def test_the_first_monotonic_step_starts_at_the_first_position():
    energies, mask = random_energies()
    p = np.asarray(jax.nn.sigmoid(energies - 1.0), np.float64)
    expected = p * np.cumprod(np.c_[np.ones(3), 1 - p[:, :-1]], axis=1)
    assert_close(aligned("monotonic", energies, mask), expected * mask, 1e-6)
    elsewhere = jnp.full_like(energies, 0.3)  # is not read at the first step
    other = aligned("monotonic", energies, mask, before=elsewhere)
    assert_close(other, expected * mask, 1e-6)


def test_monotonic_attention_never_goes_back():
    config = replace(CONFIGS[0], attention="general", alignment="monotonic")
    weights, _ = jitted_walk(config, *sentence(config))
    upto = np.cumsum(np.asarray(weights, np.float64), axis=-1)
    assert (np.diff(upto, axis=1) <= 1e-6).all()


@pytest.mark.parametrize("scale", [1e-3, 30.0, 1e4])
def test_monotonic_attention_is_finite_over_long_sources(scale):
    energies, _ = random_energies(scale, source=700)
    mask = jnp.arange(700) < jnp.array([[700], [350], [0]])
    before = jnp.full((3, 700), 1 / 700) * mask

    def total(energies, before):
        weights = aligned("monotonic", energies, mask, 5.0, before)
        return jnp.sum(jnp.sin(weights)), weights

    both = jax.jit(jax.value_and_grad(total, (0, 1), has_aux=True))
    (_, weights), grads = both(energies, before)
    for leaf in (weights, *grads):
        assert np.isfinite(leaf).all()
    assert (weights >= 0).all() and (weights.sum(-1) <= 1 + 1e-5).all()


def looked(kind, source=S, length=S, **values):
    """Weights and context of one look by a score with its first parameters."""
    init = values.pop("init", "default")
    config = ModelConfig(attention=kind, **values)
    inits = layers.initializers(init)
    params = attention.init(jax.random.key(0), config, C, C, inits)
    rng = np.random.default_rng(0)
    annotations = rng.normal(0, 1, (B, source, C)).astype(np.float32)
    mask = np.broadcast_to(np.arange(source) < length, (B, source))

    def attend(params, annotations, query):
        read = attention.memory(params, config, EncoderOutput(annotations, (), mask))
        state = attention.initial_state(config, read, query)
        state, context = attention.attend(params, config, read, query, state)
        return state.weights, context

    query = rng.normal(0, 1, (B, C)).astype(np.float32)
    return params["score"], annotations, attend(params, annotations, query)


def test_last_is_the_last_real_annotation_at_every_step():
    _, annotations, (weights, context) = looked("last", length=3)
    assert_close(weights, np.tile(np.eye(S)[2], (B, 1)))
    assert_close(context, annotations[:, 2], 1e-7)


def test_location_ignores_annotations_and_the_tail_of_long_sources():
    params, _, (weights, _) = looked("location", source=6, length=6, positions=4)
    assert params["kernel"].shape == (C, 4)
    assert not np.asarray(weights)[:, 4:].any()
    _, _, (short, _) = looked("location", source=2, length=2, positions=4)
    assert short.shape == (B, 2)
    assert_close(short.sum(-1), np.ones(B), 1e-6)


@pytest.mark.parametrize("alignment", ["local_m", "local_p"])
def test_a_window_beyond_the_positions_of_location_looks_nowhere(alignment):
    """Not everywhere alike, as a softmax over energies that are all the same."""
    config = replace(CONFIGS[0], attention="location", alignment=alignment, window=1)
    config = replace(config, positions=2)
    params, *rest = sentence(config)
    weights, contexts = jitted_walk(config, params, *rest)
    assert not np.asarray(weights)[..., 2:].any()
    assert np.asarray(weights)[:2, 0, :2].any(axis=-1).all()
    if alignment == "local_m":
        assert not np.asarray(contexts)[0, 3:].any()  # the window is at 3 and on

    def total(params):
        return walk(config, params, *rest)[1].sum()

    for leaf in jax.tree.leaves(jax.jit(jax.grad(total))(params)):
        assert np.isfinite(leaf).all()


def test_energies_that_are_no_numbers_stay_so():
    both = jnp.array([jnp.nan, 1.0])
    assert np.isnan(masked_softmax(both, jnp.ones(2, bool))).all()


def test_scaled_scores_start_where_their_papers_start():
    scaled, _, found = looked("scaled_general")
    assert scaled["scale"] == 1
    _, _, plain = looked("general")
    assert_close(found, plain, 1e-7)
    normed, _, _ = looked("normed_additive", attention_size=16)
    assert_close(normed["scale"], 0.25)
    assert not normed["bias"].any()


def test_normed_additive_is_the_same_for_a_longer_v():
    config = replace(CONFIGS[0], attention="normed_additive")
    params, *rest = sentence(config)
    score = params["score"]
    longer = params | {"score": score | {"v": score["v"] * 1000}}
    both = [jitted_walk(config, p, *rest) for p in (params, longer)]
    assert_close(both[0], both[1], 1e-5)


def test_normed_additive_has_a_direction_even_where_v_starts_at_zero():
    params, _, _ = looked("normed_additive", init="gaussian")
    plain, _, _ = looked("additive", init="gaussian")
    assert params["v"].all() and not plain["v"].any()


def test_energies_are_finite_everywhere():
    for config in CONFIGS:
        if config.attention_heads == 1 and config.alignment == "global":
            params, annotations, mask, query, state = made(config)
            entry = SCORES[config.attention]
            encoded = EncoderOutput(annotations, (), mask)
            read = entry.memory(params["score"], encoded)
            energies = entry.energies(params["score"], query, read, state)
            assert energies.shape == (B, S) and np.isfinite(energies).all()
