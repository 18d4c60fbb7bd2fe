"""Laws of the recurrent cells, the unroll and the initial values."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import reference_cells
from jax.test_util import check_grads
from small import assert_close

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import layers, recurrence
from seq2seq_jax.nn.cells import CELLS, run_cell, run_step

D, H = 3, 4
FORGETS = ("lstm", "clipped_lstm", "min_lstm")
LIMITS = {"clipped_lstm": 50, "rnmt_lstm_capped": 10}
PARALLEL = [kind for kind, cell in CELLS.items() if cell.whole]


def made(cell, seed=0, dtype=np.float64):
    """`(params, carry, x)` of random numbers, biases included."""
    rng = np.random.default_rng(seed)

    def first(key, x):
        params = cell.init(key, D, H, layers.initializers())
        return params, cell.initial_carry(x, H), x

    return jax.tree.map(
        lambda leaf: rng.normal(0, 0.7, leaf.shape).astype(dtype),
        jax.eval_shape(first, jax.random.key(seed), np.zeros(D, np.float32)),
    )


whole_step = jax.jit(lambda kind, *args: run_step(CELLS[kind], *args), static_argnums=0)


def test_every_cell_has_a_transcription():
    assert set(CELLS) == set(reference_cells.CELLS)


@pytest.mark.parametrize("kind", CELLS)
def test_a_step_is_the_papers_equations(kind):
    with jax.enable_x64(True):
        params, carry, x = made(CELLS[kind])
        new, output = whole_step(kind, params, carry, x)
        expected = reference_cells.CELLS[kind](params, carry, x)
        assert output.dtype == np.float64
        assert_close(new, expected, 1e-12)
        assert_close(output, expected[-1], 1e-12)


@pytest.mark.parametrize("kind", CELLS)
def test_gradients_are_finite_differences(kind):
    with jax.enable_x64(True):
        check_grads(
            partial(whole_step, kind), made(CELLS[kind]), order=1, modes=["rev"]
        )


@pytest.mark.parametrize(
    "kind", [kind for kind, cell in CELLS.items() if cell.recurrent_product]
)
def test_recurrent_dropout_acts_inside_the_recurrent_products_only(kind):
    cell = CELLS[kind]
    params, carry, x = made(cell, dtype=np.float32)
    drop = np.array([0.0, 2.0, 0.0, 2.0], np.float32)
    scaled = params | {"recurrent": drop[:, None] * params["recurrent"]}

    @jax.jit
    def both(params, scaled, carry, x):
        projected = cell.project(params, x)
        dropped = cell.step(params, carry, projected, drop)
        return dropped, cell.step(scaled, carry, projected)

    assert_close(*both(params, scaled, carry, x), 1e-6)


@pytest.mark.parametrize(
    ("kind", "reverse"),
    [(kind, False) for kind in CELLS] + [(kind, True) for kind in ("lstm", *PARALLEL)],
)
def test_scan_is_a_loop_over_the_real_positions(kind, reverse):
    cell = CELLS[kind]
    params, _, _ = made(cell, dtype=np.float32)
    xs = np.random.default_rng(1).normal(0, 1, (3, 5, D)).astype(np.float32)
    lengths = [5, 2, 0]
    mask = np.arange(5) < np.array(lengths)[:, None]

    @jax.jit
    def unrolled(params, xs, mask):
        first = cell.initial_carry(xs[:, 0], H)
        projected = cell.project(params, xs)
        return run_cell(cell, params, first, projected, mask, reverse=reverse)

    carry, outputs = unrolled(params, xs, mask)
    exact, config = reference.to_float64(params), ModelConfig(cell=kind, hidden_size=H)
    for row, length in enumerate(lengths):
        cut = xs[row, :length][:: -1 if reverse else 1]
        found, last = reference.run_direction(exact, config, cut)
        expected = np.zeros((5, H))
        expected[:length] = np.reshape(found[:: -1 if reverse else 1], (length, H))
        assert_close(outputs[row], expected, 1e-6)
        assert_close([part[row] for part in carry], list(last), 1e-6)


@pytest.mark.parametrize("kind", LIMITS)
def test_a_state_that_would_leave_its_limits_is_cut(kind):
    cell = CELLS[kind]
    params, (c, h), x = made(cell, dtype=np.float32)
    for sign in (-1.0, 1.0):
        (new, _), _ = whole_step(kind, params, (np.full_like(c, sign * 1e4), h), x)
        assert_close(new, np.full_like(c, sign * LIMITS[kind]))


@pytest.mark.parametrize("kind", ["lstm", "layer_norm_lstm", "rnmt_lstm"])
def test_the_input_product_stands_outside_the_loop(kind):
    cell = CELLS[kind]
    params, _, _ = made(cell, dtype=np.float32)

    def outputs(params, xs):
        def step(carry, x):
            return cell.step(params, carry, x)

        first = cell.initial_carry(xs[0], H)
        projected = cell.project(params, xs)
        return recurrence.unroll(step, first, projected, scan=jax.lax.scan)

    (loop,) = (
        equation
        for equation in jax.make_jaxpr(outputs)(params, jnp.ones((5, D))).eqns
        if equation.primitive.name == "scan"
    )
    inner = [e.primitive.name for e in loop.params["jaxpr"].jaxpr.eqns]
    assert inner.count("dot_general") == 1


@pytest.mark.parametrize("kind", CELLS)
def test_each_matrix_has_its_initializer_and_only_forget_gates_a_bias(kind):
    inits = layers.Initializers(
        lambda key, shape: jnp.full(shape, 1.0),
        lambda key, shape: jnp.full(shape, 2.0),
        *[None] * 5,
    )
    params = CELLS[kind].init(jax.random.key(0), D, H, inits)
    assert np.all(params.pop("input") == 1.0)
    assert ("recurrent" in params) == CELLS[kind].recurrent_product
    assert np.all(params.pop("recurrent", 2.0) == 2.0)
    for name, vector in params.items():
        expected = np.full_like(vector, 1.0 if "gain" in name else 0.0)
        if name == "bias" and kind in FORGETS:  # the second gate
            expected[H : 2 * H] = 1.0
        assert_close(vector, expected)


def test_each_gates_recurrent_matrix_starts_orthogonal():
    init = jax.jit(layers.initializers().recurrent, static_argnums=1)
    blocks = np.split(np.asarray(init(jax.random.key(0), (H, 3 * H))), 3, axis=1)
    for block in blocks:
        np.testing.assert_allclose(block @ block.T, np.eye(H), atol=1e-6)
    assert not np.allclose(blocks[0], blocks[1])


def test_orthogonal_matrices_are_factored_one_at_a_time():
    # Batched ones share the CPU's thread pool and can wait for each other for ever.
    init = jax.jit(layers.initializers().recurrent, static_argnums=1)
    program = init.lower(jax.random.key(0), (H, 3 * H)).as_text()
    calls = [line for line in program.splitlines() if "lapack" in line]
    assert calls
    assert not any(f"3x{H}x{H}" in line for line in calls)


@pytest.mark.parametrize("part", layers.Initializers._fields)
def test_init_scale_bounds_every_matrix(part):
    values = getattr(layers.initializers("uniform", 0.08), part)(
        jax.random.key(0), (50, 160)
    )
    assert 0.079 < np.abs(values).max() <= 0.08
    assert abs(np.mean(values)) < 0.005


def test_embeddings_that_predict_have_unit_length_on_average():
    table = layers.initializers().tied(jax.random.key(0), (200, 64))
    assert 0.95 < np.mean(np.sum(np.asarray(table) ** 2, axis=1)) < 1.05


def test_dropout_keeps_the_expectation_and_is_off_without_a_key():
    x = jnp.ones((100, 200))
    noisy = layers.dropout(jax.random.key(0), 0.3, x)
    assert set(np.unique(np.asarray(noisy)).tolist()) == {0.0, np.float32(1 / 0.7)}
    assert abs(float(noisy.mean()) - 1.0) < 0.02
    assert_close(layers.dropout(None, 0.3, x), x)


def test_a_rows_dropout_depends_on_its_key_alone():
    keys = jax.random.split(jax.random.key(0), 3)
    draw = jax.jit(layers.dropout_mask, static_argnums=(1, 2))
    mask = np.asarray(draw(keys, 0.5, (3, 6, 4)))
    order = np.array([2, 0, 1])
    assert_close(draw(keys[order], 0.5, (3, 6, 4)), mask[order])
    assert_close(draw(keys[1], 0.5, (6, 4)), mask[1])
    assert_close(np.asarray(draw(keys, 0.5, (3, 9, 4)))[:, :6], mask)
    assert not np.array_equal(mask[0], mask[1])


def test_a_product_of_bfloat16_kernels_is_summed_in_float32():
    x, kernel = np.full((1, 4096), 1.0, np.float32), np.full((4096, 1), 1.0)
    product = layers.matmul(x, jnp.asarray(kernel, jnp.bfloat16))
    assert product.dtype == jnp.float32
    assert product.item() == 4096.0
