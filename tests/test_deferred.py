"""Laws of the scan with deferred gradients: autodiff of `lax.scan`, in other words."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import assert_close, everything, make_batch, params_of, quick_jit, row_keys
from sweeps import NOISY, SWEEP, name

from seq2seq_jax.nn import deferred, layers
from seq2seq_jax.nn.cells import CELLS, run_cell
from seq2seq_jax.nn.joined import join
from seq2seq_jax.nn.recurrence import SCANS
from seq2seq_jax.planning.costs import jaxprs
from seq2seq_jax.traced import trace

D, H, T, ROWS = 3, 4, 6, 3
MASK = np.arange(T) < np.array([T, 0, 4])[:, None]


@partial(quick_jit, static_argnums=(0, 1, 2))
def slopes(kind, scan, reverse, mask, params, carry, xs, drop):
    """What a cell gives over all steps, and the gradients in all that it reads."""
    cell = CELLS[kind]

    def total(params, carry, xs):
        projected = cell.project(params, xs)
        last, outputs = run_cell(
            cell._replace(whole=None),
            params,
            carry,
            projected,
            mask,
            drop,
            reverse=reverse,
            scan=SCANS[scan],
        )
        phases = jnp.arange(outputs.size).reshape(outputs.shape)
        return sum(jnp.sum(c**2) for c in last) + jnp.sum(jnp.sin(outputs + phases)), (
            last,
            outputs,
        )

    return jax.value_and_grad(total, (0, 1, 2), has_aux=True)(params, carry, xs)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@pytest.mark.parametrize("kind", CELLS)
def test_values_and_gradients_of_every_cell_are_autodiffs(kind, mask, reverse):
    cell, rng = CELLS[kind], np.random.default_rng(0)
    with jax.enable_x64(True):
        params = cell.init(jax.random.key(0), D, H, layers.initializers())
        params, carry, xs = jax.tree.map(
            lambda leaf: rng.normal(0, 0.7, leaf.shape),
            (params, (np.zeros((ROWS, H)),) * cell.parts, np.zeros((ROWS, T, D))),
        )
        drop = rng.integers(0, 2, (ROWS, H)) * 2.0 if cell.recurrent_product else None
        found, expected = (
            slopes(kind, scan, reverse, mask, params, carry, xs, drop)
            for scan in ("deferred", "plain")
        )
        assert_close(found, expected, 1e-12)


@pytest.mark.parametrize("config", SWEEP, ids=name)
def test_values_and_gradients_of_every_model_are_autodiffs(config):
    config = replace(config, **NOISY | {"recurrent_dropout": 0.0})
    params, batch, keys = params_of(config), make_batch(), row_keys()
    found, expected = (
        everything(params, replace(config, scan=scan), batch, keys)
        for scan in ("deferred", "plain")
    )
    assert_close(found, expected, 2e-5)


def products_in_loops(scan, step, weights, carry, xs):
    """Shapes of what the loops of a gradient add up over the steps."""

    def total(weights):
        last, ys = scan(partial(step, weights), carry, xs)
        return jnp.sum(last) + jnp.sum(ys)

    jaxpr = jax.make_jaxpr(jax.grad(total))(weights)
    return [
        whole.aval.shape
        for eqn in jaxpr.eqns
        if eqn.primitive.name == "scan"
        for whole, step in zip(
            eqn.outvars, eqn.params["jaxpr"].jaxpr.outvars, strict=True
        )
        if whole.aval.shape == step.aval.shape  # a carry: outputs have T of a step's
    ]


def recurrent(weights, h, x):
    h = jnp.tanh(x + layers.matmul(h, weights))
    return h, h


def test_no_loop_adds_up_a_weights_gradient():
    weights, carry, xs = jnp.ones((H, H)), jnp.ones((ROWS, H)), jnp.ones((T, ROWS, H))
    args = recurrent, weights, carry, xs
    assert (H, H) in products_in_loops(jax.lax.scan, *args)
    assert (H, H) not in products_in_loops(deferred.scan, *args)


def test_a_loop_back_multiplies_by_matrices_as_they_lie():
    weights, carry, xs = jnp.ones((H, H)), jnp.ones((ROWS, H)), jnp.ones((T, ROWS, H))

    def sides(scan):
        def total(weights):
            return jnp.sum(scan(partial(recurrent, weights), carry, xs)[1])

        jaxpr = jax.make_jaxpr(jax.grad(total))(weights).jaxpr
        return [eqn.params["dimension_numbers"][0][1] for eqn in products(jaxpr)]

    assert sides(SCANS["deferred"]) == [(0,), (0,)]  # forward, back
    assert (1,) in sides(SCANS["plain"])  # W^T, laid out anew in each step


def products(jaxpr, in_loop=False):
    """The `dot_general`s in a jaxpr's loops."""
    for eqn in jaxpr.eqns:
        if in_loop and eqn.primitive.name == "dot_general":
            yield eqn
        for inner in jaxprs(eqn.params):
            yield from products(inner, in_loop or eqn.primitive.name == "scan")


def test_a_weight_that_is_read_in_two_ways_gets_both_gradients():
    def step(weights, h, x):
        h = jnp.tanh(x + layers.matmul(h, weights)) + weights[0] * h @ weights.T
        return h, h * weights.sum()

    def loss(scan, weights):
        carry, xs = jnp.full((ROWS, H), 0.3), jnp.linspace(0, 1, T * ROWS * H)
        last, ys = scan(partial(step, weights), carry, xs.reshape(T, ROWS, H))
        return jnp.sum(last**2) + jnp.sum(jnp.sin(ys))

    weights = jax.random.normal(jax.random.key(0), (H, H)) * 0.5
    found, expected = (
        jax.value_and_grad(partial(loss, scan))(weights)
        for scan in (deferred.scan, jax.lax.scan)
    )
    assert_close(found, expected, 1e-5)


def test_it_may_be_mapped_and_nested():
    def total(scan, weights, xs):
        def outer(carry, x):
            inner, _ = scan(partial(recurrent, weights), carry, x)
            return inner, inner

        first = jnp.zeros_like(xs[0, 0])
        return jnp.sum(scan(outer, first, xs)[1] ** 2)

    weights = jax.random.normal(jax.random.key(0), (H, H)) * 0.5
    xs = jax.random.normal(jax.random.key(1), (2, 3, T, ROWS, H))
    found, expected = (
        jax.vmap(jax.value_and_grad(partial(total, scan)), (None, 0))(weights, xs)
        for scan in (deferred.scan, jax.lax.scan)
    )
    assert_close(found, expected, 1e-5)


def test_a_step_may_have_effects(capfd):
    def step(weights, h, x):
        jax.debug.print("{}", x[0, 0], ordered=False)
        return recurrent(weights, h, x)

    args = jnp.ones((ROWS, H)), jnp.ones((T, ROWS, H))
    last, _ = jax.jit(lambda w: deferred.scan(partial(step, w), *args))(jnp.eye(H))
    jax.block_until_ready(last)
    jax.effects_barrier()
    assert capfd.readouterr().out.count("1.0") == T


def test_without_products_to_put_off_it_is_the_plain_scan():
    def step(carry, x):
        return carry + x, None

    assert float(deferred.scan(step, jnp.zeros(()), jnp.ones(3))[0]) == 3.0


def plainly(w, h, x):
    h = jnp.tanh(x + h @ w)
    return h, h


def other_way_round(w, h, x):
    h = jnp.tanh(h @ w + x)
    return h, h


def with_more_terms(w, h, x):
    h = jnp.tanh(x + h @ w + 0.5 * h + w[0])
    return h, h


def sum_read_twice(w, h, x):
    gates = x + h @ w
    h = jnp.tanh(gates)
    return h, gates * h


def product_read_twice(w, h, x):
    product = h @ w
    h = jnp.tanh(x + product)
    return h, product * h


def input_read_twice(w, h, x):
    h = jnp.tanh(x + h @ w)
    return h, h * x


def product_put_out(w, h, x):
    product = h @ w
    return jnp.tanh(x + product), product


def input_put_out(w, h, x):
    return jnp.tanh(x + h @ w), x


def subtracted(w, h, x):
    h = jnp.tanh(x - h @ w)
    return h, h


def multiplied(w, h, x):
    h = jnp.tanh(x * (h @ w))
    return h, h


def scaled_first(w, h, x):
    h = jnp.tanh(x + 2.0 * (h @ w))
    return h, h


def input_scaled_first(w, h, x):
    h = jnp.tanh(2.0 * x + h @ w)
    return h, h


def added_to_what_is_carried(w, h, x):
    h = jnp.tanh(h + h @ w) * x
    return h, h


def added_to_itself(w, h, x):
    product = h @ w
    h = jnp.tanh(product + product) * x
    return h, h


def spread_over_rows(w, h, x):
    h = jnp.tanh(x[:1] + h @ w)
    return h, h


ADDED_ONLY = [plainly, other_way_round, with_more_terms, sum_read_twice]
NOT_ADDED_ONLY = [
    product_read_twice,
    input_read_twice,
    product_put_out,
    input_put_out,
    subtracted,
    multiplied,
    scaled_first,
    input_scaled_first,
    added_to_what_is_carried,
    added_to_itself,
    spread_over_rows,
]


@pytest.mark.parametrize("step", [*ADDED_ONLY, *NOT_ADDED_ONLY])
def test_a_product_shares_an_inputs_cotangent_where_it_is_only_added_to_it(step):
    """Elsewhere it has one of its own; either way the gradients are autodiff's."""
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        w, carry = rng.normal(0, 0.5, (H, H)), rng.normal(0, 0.5, (ROWS, H))
        xs = rng.normal(0, 0.5, (T, ROWS, H))
        loop = join(trace(partial(step, w), carry, xs[0]))
        assert len(loop.products) == 1
        found = deferred.added_inputs(loop, 1)
        assert [added.input for added in found.values()] == [0] * (step in ADDED_ONLY)
        assert set(found) <= set(loop.products)

        def total(scan, w, carry, xs):
            last, ys = scan(partial(step, w), carry, xs)
            return jnp.sum(last**2) + jnp.sum(jnp.sin(ys))

        slopes = [
            jax.value_and_grad(partial(total, scan), (0, 1, 2))(w, carry, xs)
            for scan in (deferred.scan, jax.lax.scan)
        ]
        assert_close(*slopes, 1e-12)


def test_two_products_are_added_to_one_input_as_one():
    """A decoder's gates: W x_t + F f_t + U h_{t-1}; joined, they are one product."""
    w, u = jax.random.normal(jax.random.key(0), (2, H, H))

    def step(h, x):
        h = jnp.tanh(x + h @ w + jnp.sin(h) @ u)
        return h, h

    carry, xs = jnp.ones((ROWS, H)), jnp.ones((T, ROWS, H))
    apart = trace(step, carry, xs[0])
    assert len(apart.products) == 2 and len(deferred.added_inputs(apart, 1)) == 1
    loop = join(apart)
    (added,) = deferred.added_inputs(loop, 1).values()
    assert len(loop.products) == 1 and added.input == 0
