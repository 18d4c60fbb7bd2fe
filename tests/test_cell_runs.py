"""Laws of running a cell: all steps at once or one by one, and zoneout."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_cells import sigmoid
from small import assert_close, quick_jit, row_keys

from seq2seq_jax.nn import layers
from seq2seq_jax.nn.cells import CELLS, run_cell, zoned_step, zones_of
from seq2seq_jax.nn.parallel_cells import min_lstm_gates

D, H, T, ROWS = 3, 4, 7, 4
LENGTHS = np.array([T, 0, 5, 2])
MASK = np.arange(T) < LENGTHS[:, None]
MASK[0, 2] = False  # a gap

parallel = pytest.mark.parametrize(
    "kind", [kind for kind, cell in CELLS.items() if cell.whole]
)
both_ways = pytest.mark.parametrize("reverse", [False, True])


def made(kind, dtype=np.float32, lead=(ROWS,)):
    """`(params, carry, xs, zones)` of random numbers, the first carry's included."""
    cell, rng = CELLS[kind], np.random.default_rng(0)
    init = partial(cell.init, input_size=D, hidden_size=H, inits=layers.initializers())
    params, carry, xs = jax.tree.map(
        lambda leaf: rng.normal(0, 0.7, leaf.shape).astype(dtype),
        (
            jax.eval_shape(init, jax.random.key(0)),
            tuple(np.zeros((*lead, H)) for _ in range(cell.parts)),
            np.zeros((*lead, T, D)),
        ),
    )
    return params, carry, xs, tuple(rng.random((*lead, T, H)) < 0.4 for _ in carry)


@partial(quick_jit, static_argnums=(0, 1))
def run_and_slopes(cell, reverse, mask, params, carry, xs):
    """What `run_cell` gives, and the gradients of a function of all of it."""

    def total(params, carry, xs):
        projected = cell.project(params, xs)
        (last,), outputs = run_cell(
            cell, params, carry, projected, mask, reverse=reverse
        )
        phases = jnp.arange(outputs.size).reshape(outputs.shape)
        return jnp.sum(last**2) + jnp.sum(jnp.sin(outputs + phases)), (last, outputs)

    return jax.value_and_grad(total, (0, 1, 2), has_aux=True)(params, carry, xs)


@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@both_ways
@parallel
def test_all_steps_at_once_are_a_scan_over_the_step(kind, reverse, mask):
    cell = CELLS[kind]
    with jax.enable_x64(True):
        params, carry, xs, _ = made(kind, np.float64, (2, ROWS))
        found, expected = (
            run_and_slopes(way, reverse, mask, params, carry, xs)
            for way in (cell, cell._replace(whole=None))
        )
        assert_close(found, expected, 1e-12)
    (_, (last, outputs)), _ = found
    if mask is not None:
        assert not np.asarray(outputs)[:, ~mask].any()
        assert_close(last[:, 1], carry[0][:, 1])  # bit for bit: an empty row


@both_ways
@parallel
def test_what_stands_in_padding_changes_no_bit_of_a_parallel_scan(kind, reverse):
    params, carry, xs, _ = made(kind)
    other = np.where(MASK[..., None], xs, np.float32(1e4))
    plain, filled = (
        run_and_slopes(CELLS[kind], reverse, MASK, params, carry, x)
        for x in (xs, other)
    )
    assert_close(filled, plain)


@parallel
def test_a_parallel_scan_has_no_loop(kind):
    params, carry, xs, _ = made(kind)
    program = run_and_slopes.lower(CELLS[kind], False, MASK, params, carry, xs)
    assert "while" not in program.as_text()


@pytest.mark.parametrize(("i", "f"), [(-300, -300), (-300, -299), (0, 300), (300, -99)])
def test_min_lstms_gates_are_shares_even_where_both_are_shut(i, f):
    keep, new = min_lstm_gates(np.array([i, f, 1.0], np.float32))
    ratio = min(i, 0) - min(f, 0)  # log of i' / f', up to what open gates lack of 1
    lacking = np.log1p(np.exp(-abs(f))) - np.log1p(np.exp(-abs(i)))
    assert_close(new, [sigmoid(ratio + lacking)], 1e-6)
    assert_close(keep, [sigmoid(-ratio - lacking)], 1e-6)
    slopes = jax.jacobian(lambda p: min_lstm_gates(p)[0])(np.array([i, f, 1.0]))
    assert np.isfinite(slopes).all()


@pytest.mark.parametrize("kind", ["lstm", "gru", "min_gru"])
def test_a_zoned_unit_keeps_its_value_and_the_others_take_the_new_one(kind):
    params, carry, xs, zones = made(kind)
    now, here = CELLS[kind].project(params, xs[:, 0]), [zone[:, 0] for zone in zones]
    new, _ = CELLS[kind].step(params, carry, now)
    found, output = zoned_step(CELLS[kind], params, carry, now, None, tuple(here), 0.4)
    for zone, old, fresh, unit in zip(here, carry, new, found, strict=True):
        assert zone.any() and not zone.all()
        assert_close(unit, np.where(zone, old, fresh))
    assert_close(output, found[-1])


def test_without_zones_a_unit_takes_its_expectation():
    cell = CELLS["lstm"]
    params, carry, xs, _ = made("lstm")
    now = cell.project(params, xs[:, 0])
    new, plain = cell.step(params, carry, now)
    found, output = zoned_step(cell, params, carry, now, zoneout=0.4)
    expected = [0.4 * old + 0.6 * fresh for old, fresh in zip(carry, new, strict=True)]
    assert_close(list(found), expected, 1e-6)
    assert_close(output, found[-1])
    assert_close(zoned_step(cell, params, carry, now)[1], plain)


@both_ways
@pytest.mark.parametrize("zoned", [False, True])
@pytest.mark.parametrize("kind", ["lstm", "min_gru"])
def test_each_step_has_zones_of_its_own(kind, zoned, reverse):
    """And a cell that could make all steps at once makes them one by one."""
    params, carry, xs, zones = made(kind)
    projected = CELLS[kind].project(params, xs)

    @quick_jit
    def run(params, carry, projected, zones):
        return run_cell(
            CELLS[kind],
            params,
            carry,
            projected,
            MASK,
            zones=zones,
            zoneout=0.3,
            reverse=reverse,
        )

    @quick_jit
    def one(params, carry, now, here):
        return zoned_step(CELLS[kind], params, carry, now, None, here, 0.3)[0]

    last, outputs = run(params, carry, projected, zones if zoned else None)
    for t in range(T)[:: -1 if reverse else 1]:
        here = tuple(zone[:, t] for zone in zones) if zoned else None
        new, real = one(params, carry, projected[:, t], here), MASK[:, t, None]
        carry = tuple(np.where(real, n, o) for n, o in zip(new, carry, strict=True))
        assert_close(outputs[:, t], np.where(real, carry[-1], 0.0), 1e-6)
    assert_close(last, carry, 1e-6)


def test_zones_have_their_rate_in_each_part_and_row():
    cell, shape = CELLS["lstm"], (4, 50, 60)
    zones = zones_of(row_keys(), 0.3, cell, shape)
    assert len(zones) == cell.parts
    for zone in zones:
        assert zone.dtype == bool and zone.shape == shape
        assert np.all(np.abs(np.mean(zone, axis=(1, 2)) - 0.3) < 0.03)
    agree = np.mean(zones[0] == zones[1])
    assert abs(agree - (0.3**2 + 0.7**2)) < 0.02  # each part is drawn by itself
    assert zones_of(None, 0.3, cell, shape) is None
    assert zones_of(row_keys(), 0.0, cell, shape) is None
