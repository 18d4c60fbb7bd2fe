"""Products of 8 bits: their rounding, and models that make them in a search."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from predictors import TINY, close, params_of, predictor, texts
from small import as_read, quick_jit
from small import params_of as swept_params
from sweeps import SWEEP, name

from seq2seq_jax.exporting.programs import plain
from seq2seq_jax.inference import eight_bits, programs
from seq2seq_jax.inference.ensemble import Ensemble
from seq2seq_jax.nn import layers, model, quantised
from seq2seq_jax.types import BOS, EOS, Batch

LINES = texts(20)
TIED = dataclasses.replace(TINY, tied_embeddings="all")
SOURCES = [[3, 4, 4, 3, EOS], [4, 3, EOS], [EOS]]
TARGET = [4, 3, 4, EOS]
LENGTH = 7


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("rows", [(), (5,), (2, 3)])
def test_a_product_is_as_near_as_the_steps_between_whole_numbers(rows):
    x, w = drawn(*rows, 48), drawn(48, 7, seed=1)
    found = layers.matmul(x, quantised.quantise(w))
    assert found.dtype == jnp.float32 and found.shape == (*rows, 7)
    # Each factor is off by half a step at most.
    own, its = abs(x).max(-1, keepdims=True) / 254, abs(w).max(0) / 254
    most = abs(x) @ np.broadcast_to(its, w.shape) + own * (abs(w).sum(0) + 48 * its)
    assert (abs(found - x @ w) <= most * 1.001).all()


def test_whole_numbers_are_multiplied_exactly():
    """The largest of a row and of a column is 127: nothing is rounded."""
    x, w = np.rint(drawn(3, 600) * 20), np.rint(drawn(600, 4, seed=1) * 20)
    x[:, 0] = w[0] = 127
    x, w = (np.clip(y, -127, 127).astype(np.float32) for y in (x, w))
    found = layers.matmul(x * 0.25, quantised.quantise(w * 2))
    np.testing.assert_allclose(found, (x @ w) / 2, rtol=1e-6)


def test_zeros_stay_zeros():
    w = drawn(4, 3)
    w[:, 1] = 0
    found = np.asarray(layers.matmul(np.zeros((2, 4)), quantised.quantise(w)))
    assert (found == 0).all()
    assert (layers.matmul(drawn(2, 4), quantised.quantise(w))[:, 1] == 0).all()


def test_a_matrix_is_cut_and_put_beside_another_as_an_array_is():
    one, other = (quantised.quantise(drawn(6, n, seed=n)) for n in (5, 3))
    floats, beside = jnp.asarray(one), jnp.asarray(other)
    ids = np.array([4, 0, 0])
    cuts = (slice(2, 5), slice(-2, None), np.s_[:, :2], np.s_[:, 3:], np.s_[:, ids])
    for cut in cuts:
        part = one[cut]
        assert part.shape == floats[cut].shape
        np.testing.assert_array_equal(jnp.asarray(part), floats[cut])
    both = quantised.side_by_side(one, other)
    whole = quantised.side_by_side(floats, beside)
    np.testing.assert_array_equal(jnp.asarray(both), whole)


def test_a_cast_leaves_eight_bits_alone():
    tree = {"a": quantised.quantise(drawn(4, 3)), "b": drawn(4, 3), "c": drawn(3)}
    found = layers.cast_kernels(tree, "bfloat16")
    assert found["a"] is tree["a"] and found["c"] is tree["c"]
    assert found["b"].dtype == "bfloat16"


def in_steps(params, config, batch):
    """log P of each target token `[2, B, T]`, as a search of two beams says it."""
    batch = as_read(config, batch)
    step, shared, state = programs.one_started(
        params, config, batch.source, batch.source_mask, alive=2
    )
    state = jax.tree.map(lambda x: jnp.stack([x, x], 1), state)
    said = []
    for read, true in zip(batch.target_in.T, batch.target_out.T, strict=True):
        both = jnp.stack([read, read], 1)
        state, log_probs, _ = step(shared, state, both)
        said.append(jnp.take_along_axis(log_probs, true[:, None, None], -1)[..., 0])
    return jnp.stack(said, -1).transpose(1, 0, 2)


@pytest.mark.parametrize("config", SWEEP, ids=name)
def test_every_model_says_in_a_search_what_its_matrices_say_as_floats(
    config, monkeypatch
):
    """With products that round nothing the two are one model, cut up or not."""

    def product(x, matrix):
        seen.append(matrix.shape)
        return x @ jnp.asarray(matrix)

    seen = []
    monkeypatch.setattr(quantised, "product", product)
    target = np.array([TARGET] * len(SOURCES))
    ids = programs.pad(SOURCES, len(SOURCES), LENGTH)
    mask = np.arange(LENGTH) < np.array([len(ids) for ids in SOURCES])[:, None]
    shifted = np.pad(target, ((0, 0), (1, 0)), constant_values=BOS)[:, :-1]
    batch = Batch(ids, mask, shifted, target, target == target)
    params, own = eight_bits.quantised(
        model.prepared(swept_params(config, target_size=5), config), config
    )
    found = quick_jit(in_steps, static_argnums=1)(params, own, batch)
    assert len(seen) >= 2  # the layers', and the output's
    seen.clear()
    given = quick_jit(programs.token_log_probs, static_argnames="config")(
        params, as_read(own, batch), config=own
    )[0]
    assert not seen
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)
    np.testing.assert_allclose(found[0], given, rtol=1e-4, atol=1e-5)


def found(config=TINY, dtype="int8", lines=LINES, **options):
    return list(predictor(config, dtype=dtype, **options).translate(lines, n_best=3))


@pytest.mark.parametrize("config", [TINY, TIED], ids=["own", "tied"])
def test_searches_are_nearly_those_of_floats(config):
    small, exact = found(config), found(config, "float32")
    pairs = [
        (one.score, other.score)
        for ours, theirs in zip(small, exact, strict=True)
        for one, other in zip(ours, theirs, strict=True)
    ]
    off = np.abs(np.subtract(*zip(*pairs, strict=True)))
    assert 0 < np.median(off) < 0.05
    same = [a[0].tokens == b[0].tokens for a, b in zip(small, exact, strict=True)]
    assert np.mean(same) > 0.7


def test_products_of_a_search_are_of_eight_bits():
    params, config = eight_bits.prepared(params_of(TIED), TIED, "int8")
    source = jnp.ones((2, 4), jnp.int32)
    step, shared, state = programs.one_started(
        params, config, source, source > 0, alive=3
    )
    state = jax.tree.map(lambda x: jnp.stack([x] * 3, 1), state)
    tokens = jnp.ones((2, 3), jnp.int32)
    made = jax.make_jaxpr(step)(shared, state, tokens)
    kinds = [
        eqn.invars[0].aval.dtype.name
        for eqn in made.eqns
        if eqn.primitive.name == "dot_general"
    ]
    # feed, recurrent, W_c and the output; attention's energies and contexts
    assert sorted(kinds) == ["float32"] * 2 + ["int8"] * 4


def test_lines_are_translated_alike_alone_and_together():
    one = predictor(dtype="int8")
    together = list(one.translate(LINES, n_best=3))
    for line, expected in zip(LINES, together, strict=True):
        for mine, theirs in zip(
            *one.translate([line], n_best=3), expected, strict=True
        ):
            close(mine, theirs)


def test_targets_are_scored_by_the_same_matrices_as_floats():
    one = predictor(TIED, dtype="int8")
    params, config = eight_bits.prepared(params_of(TIED), TIED, "int8")
    floats = predictor(config)
    floats.params = eight_bits.floats(params)
    assert config.tied_embeddings == "input"
    for mine, theirs in zip(
        one.score(LINES, LINES), floats.score(LINES, LINES), strict=True
    ):
        np.testing.assert_allclose(mine.log_prob, theirs.log_prob, rtol=1e-5)


def test_vectors_of_texts_are_nearly_those_of_floats():
    small, exact = (
        np.stack(list(predictor(dtype=dtype).encode(LINES)))
        for dtype in ("int8", "float32")
    )
    assert 0 < abs(small - exact).max() < 0.05


def test_what_is_exported_of_eight_bits_is_the_model_with_its_matrices_as_floats():
    one = predictor(TIED, dtype="int8")
    found = plain(one.params)
    params = params_of(TIED)
    like, _ = model.narrowed(params, TIED, np.arange(len(params["head"]["bias"])))
    assert jax.tree.structure(found) == jax.tree.structure(like)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=0.06), found, like)


def test_an_ensemble_of_eight_bits_is_one_of_its_members():
    members = [predictor(dtype="int8", seed=seed) for seed in (0, 0)]
    together = list(Ensemble(members).translate(LINES))
    for (one,), (other,) in zip(together, members[0].translate(LINES), strict=True):
        close(one, other)


def test_parameters_of_a_training_in_bfloat16_become_eight_bits():
    config = dataclasses.replace(TINY, dtype="bfloat16")
    params, own = eight_bits.prepared(params_of(config), config, "int8")
    assert own.dtype == "bfloat16"
    assert isinstance(params["head"]["kernel"], quantised.Quantised)
    assert found(config)
