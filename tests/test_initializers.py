"""First weights have the distributions that the papers tell, entry by entry."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from small import quick_jit

from seq2seq_jax.commands import recipes
from seq2seq_jax.nn import layers, model

ROWS, COLUMNS = 60, 240  # the spread of so many draws is known to 1 %


def is_normal(values, spread):
    """N(0, spread^2), its tails included."""
    np.testing.assert_allclose(np.std(values), spread, rtol=0.03)
    assert abs(np.mean(values)) < 0.05 * spread
    np.testing.assert_allclose(np.mean(np.abs(values) < spread), 0.683, atol=0.02)
    assert np.abs(values).max() > 3 * spread


def is_cut_normal(values, spread):
    """A normal distribution cut at two of its deviations, as wide as `spread`."""
    np.testing.assert_allclose(np.std(values), spread, rtol=0.03)
    assert abs(np.mean(values)) < 0.05 * spread
    # What is left of N(0, 1) between -2 and 2 has a deviation of 0.8796.
    np.testing.assert_allclose(np.abs(values).max(), 2 * spread / 0.8796, rtol=0.02)
    np.testing.assert_allclose(np.mean(np.abs(values) < spread), 0.652, atol=0.02)


def is_uniform(values, width):
    """U(-width, width)."""
    np.testing.assert_allclose(np.std(values), width / 3**0.5, rtol=0.03)
    np.testing.assert_allclose(np.mean(np.abs(values) < width / 2), 0.5, atol=0.02)
    assert 0.99 * width < np.abs(values).max() <= width * (1 + 1e-6)


def is_orthogonal(values, size):
    """Blocks `[size, size]` side by side, each orthogonal, of its own."""
    blocks = np.split(values, values.shape[1] // size, axis=1)
    for block in blocks:
        np.testing.assert_allclose(block @ block.T, np.eye(size), atol=1e-5)
    assert not np.allclose(blocks[0], blocks[-1])


def is_zero(values, _):
    assert not values.any()


def glorot(inputs, outputs):
    """The spread of Glorot & Bengio 2010, equation 12: variance 2 / (n_in + n_out)."""
    return (2 / (inputs + outputs)) ** 0.5


ENDS, VECTOR = (ROWS, COLUMNS), (ROWS * COLUMNS, 1)
PLAIN = glorot(*ENDS)
# A uniform distribution as wide as a spread s ends at s * sqrt(3).
GLOROT_UNIFORM = (is_uniform, PLAIN * 3**0.5)
GLOROT_VECTOR = glorot(*VECTOR)
PARTS = layers.Initializers._fields
LAWS = {
    "default": {
        "kernel": GLOROT_UNIFORM,
        "recurrent": (is_orthogonal, ROWS),
        "embedding": (is_normal, 1.0),
        "tied": (is_normal, COLUMNS**-0.5),
        "attention": GLOROT_UNIFORM,
        "vector": (is_uniform, GLOROT_VECTOR * 3**0.5),
        "output": (is_normal, ROWS**-0.5),
    },
    "unit_rows": {
        "kernel": GLOROT_UNIFORM,
        "recurrent": (is_orthogonal, ROWS),
        "embedding": (is_normal, COLUMNS**-0.5),
        "tied": (is_normal, COLUMNS**-0.5),
        "attention": GLOROT_UNIFORM,
        "vector": (is_uniform, GLOROT_VECTOR * 3**0.5),
        "output": (is_normal, ROWS**-0.5),
    },
    "uniform": dict.fromkeys(PARTS, (is_uniform, 0.1)),
    "gaussian": {
        "kernel": (is_normal, 0.01),
        "recurrent": (is_orthogonal, ROWS),
        "embedding": (is_normal, 0.01),
        "tied": (is_normal, 0.01),
        "attention": (is_normal, 0.001),
        "vector": (is_zero, 0.0),
        "output": (is_normal, 0.01),
    },
    "glorot_normal": dict.fromkeys(PARTS, (is_cut_normal, PLAIN))
    | {"vector": (is_cut_normal, GLOROT_VECTOR)},
    "glorot_uniform": dict.fromkeys(PARTS, GLOROT_UNIFORM)
    | {"vector": (is_uniform, GLOROT_VECTOR * 3**0.5)},
}


def drawn(kind, part, scale=None):
    """One matrix, or one vector, of so many numbers."""
    init = getattr(layers.initializers(kind, scale), part)
    shape = VECTOR if part == "vector" else ENDS
    return np.asarray(quick_jit(init, static_argnums=1)(jax.random.key(0), shape))


def test_every_entry_has_its_laws():
    assert set(LAWS) == set(layers.INITIALIZERS)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", LAWS)
def test_values_have_the_distribution_that_is_told(kind, part):
    law, number = LAWS[kind][part]
    law(drawn(kind, part), number)


@pytest.mark.parametrize("part", ["kernel", "embedding", "attention"])
def test_a_gaussians_scale_widens_it(part):
    law, spread = LAWS["gaussian"][part]
    law(drawn("gaussian", part, scale=0.05), 5 * spread)


def started(recipe, **values):
    """First parameters of a recipe's model, by path."""
    config = replace(recipes.load(recipe).model, **values)

    @quick_jit
    def make(key):
        return model.init_params(key, config, 90, 80)

    leaves = jax.tree_util.tree_leaves_with_path(make(jax.random.key(0)))
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def test_a_table_that_predicts_as_well_starts_with_rows_of_unit_length():
    for tied, spreads in (("none", (1, 1)), ("output", (1, 0.125))):
        params = started(
            "text", embedding_size=64, hidden_size=64, tied_embeddings=tied
        )
        for side, spread in zip(("source", "target"), spreads, strict=True):
            is_normal(params[f"['{side}']['table']"], spread)


def test_bahdanaus_model_starts_as_appendix_b_1_says():
    params = started(
        "bahdanau2014", hidden_size=64, embedding_size=48, attention_size=64
    )
    score = "['decoder']['attention']['score']"
    assert {f"{score}['{part}']" for part in ("kernel", "query", "v")} < set(params)
    for path, values in params.items():
        if "recurrent" in path:
            is_orthogonal(values, 64)
        elif path.endswith("['v']") or values.ndim == 1:
            is_zero(values, 0.0)
        else:
            is_normal(values, 0.001 if path.startswith(score) else 0.01)


def test_sutskevers_model_starts_uniform_but_for_the_biases():
    params = started("sutskever2014", hidden_size=64, embedding_size=64)
    for path, values in params.items():
        if values.ndim > 1:
            is_uniform(values, 0.08)
        else:
            assert set(np.unique(values)) <= {0.0, 1.0}, path  # of forget gates, 1
