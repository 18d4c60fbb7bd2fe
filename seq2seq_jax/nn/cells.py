"""Recurrent cells: a few pure functions each, listed by name in `CELLS`.

A carry is a tuple whose last element is h, which is also the cell's output. `project`
holds the part of the gates that needs no carry, so that a whole sequence's input
product is one matrix product outside the scan; `step` does the rest. `drop [..., H]` is
a dropout mask on h_{t-1} inside the recurrent products (Gal & Ghahramani 2016, the same
at every step of a sequence). sigma is the logistic function and `*` is elementwise.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax.nn import deferred, layers
from seq2seq_jax.nn import gru_cells as grus
from seq2seq_jax.nn import normed_cells as normed
from seq2seq_jax.nn import parallel_cells as parallel
from seq2seq_jax.nn.gates import (
    make_init,
    one_part,
    project,
    project_without_bias,
    two_parts,
)
from seq2seq_jax.nn.recurrence import unroll
from seq2seq_jax.types import Array, Carry, Key, Params


class Cell(NamedTuple):
    """One kind of recurrent cell.

    Attributes:
        init: `(key, input_size, hidden_size, initializers) -> params`.
        initial_carry: `(like [..., D], hidden_size) -> carry` of zeros `[..., H]`.
        project: `(params, x [..., D]) -> [..., G*H]`, the input's share of the gates.
        step: `(params, carry, projected, drop=None) -> (carry, output [..., H])`.
        parts: arrays in a carry.
        whole: `(params, carry, projected [..., T, G*H], mask, reverse) -> (carry,
            outputs)` of all steps at once; None: a scan over `step` is the only way.
        recurrent_product: whether a step multiplies h_{t-1} by a matrix.
    """

    init: Callable[..., Params]
    initial_carry: Callable[..., Carry]
    project: Callable[..., jax.Array]
    step: Callable[..., tuple[Carry, jax.Array]]
    parts: int
    whole: Callable[..., tuple[Carry, jax.Array]] | None = None
    recurrent_product: bool = True


def run_step(cell: Cell, params: Params, carry: Carry, x: Array) -> tuple:
    """One whole step from the raw input x: `(carry, output)`."""
    return cell.step(params, carry, cell.project(params, x))


def zoned_step(
    cell: Cell,
    params: Params,
    carry: Carry,
    projected: Array,
    drop: Array | None = None,
    zones: Carry | None = None,
    zoneout: float = 0.0,
) -> tuple[Carry, jax.Array]:
    """A step of which some units keep their state: Krueger et al. 2017, section 3.

    `zones` is a carry of booleans, true where a unit keeps its last value. Without it
    each unit takes the expectation: zoneout * old + (1 - zoneout) * new.
    """
    new, output = cell.step(params, carry, projected, drop)
    if zoneout == 0.0:
        return new, output
    if zones is None:
        new = jax.tree.map(
            lambda old, new: zoneout * old + (1.0 - zoneout) * new, carry, new
        )
    else:
        new = jax.tree.map(jnp.where, zones, carry, new)
    return new, new[-1]


def run_cell(
    cell: Cell,
    params: Params,
    carry: Carry,
    projected: jax.Array,
    mask: Array | None = None,
    drop: Array | None = None,
    zones: Carry | None = None,
    zoneout: float = 0.0,
    *,
    reverse: bool = False,
    scan: Callable[..., tuple[Carry, Any]] = deferred.scan,
) -> tuple[Carry, jax.Array]:
    """All steps of `projected [..., T, G*H]`: `(last carry, outputs [..., T, H])`.

    Args:
        cell: an entry of `CELLS`, with its `params`.
        carry: the first one.
        projected: what `cell.project` made.
        mask: `[..., T]`; where false the carry stands still and the output is 0.
        drop: `[..., H]`, see the module's text.
        zones: a carry of `[..., T, H]` booleans, see `zoned_step`.
        zoneout: the share of units that keep their state.
        reverse: from the last real position to the first.
        scan: what `recurrence.scan_of` gives, or an entry of `SCANS`.
    """
    if cell.whole is not None and zoneout == 0.0:
        return cell.whole(params, carry, projected, mask, reverse)

    def step(carry: Carry, xs: tuple) -> tuple[Carry, jax.Array]:
        return zoned_step(cell, params, carry, xs[0], drop, xs[1], zoneout)

    return unroll(step, carry, (projected, zones), mask, reverse=reverse, scan=scan)


def zones_of(key: Key, rate: float, cell: Cell, shape: tuple[int, ...]) -> Carry | None:
    """Booleans for each part of a carry, true with probability `rate`; None: none."""
    if key is None or rate == 0.0:
        return None
    keys = layers.split_key(key, cell.parts)
    masks = (layers.dropout_mask(k, rate, shape) for k in keys)
    return tuple(mask == 0.0 for mask in masks if mask is not None)


def rnn_step(
    params: Params, carry: Carry, projected: Array, drop: Array | None = None
) -> tuple[Carry, jax.Array]:
    """Elman 1990, figure 2: h_t = tanh(W x_t + U h_{t-1} + b).

    >>> params = {"input": jnp.eye(1), "recurrent": jnp.eye(1), "bias": jnp.zeros(1)}
    >>> carry, h = rnn_step(params, (jnp.zeros(1),), project(params, jnp.ones(1)))
    >>> print(f"{h[0]:.4f}")
    0.7616
    """
    (h,) = carry
    h = jnp.tanh(
        projected + layers.matmul(layers.apply_mask(h, drop), params["recurrent"])
    )
    return (h,), h


def lstm_step(
    params: Params, carry: Carry, projected: Array, drop: Array | None = None
) -> tuple[Carry, jax.Array]:
    """Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000.

    i, f, g, o = W x_t + U h_{t-1} + b, cut in four;
    c_t = sigma(f) * c_{t-1} + sigma(i) * tanh(g);  h_t = sigma(o) * tanh(c_t).
    These are Graves 2013, eqs. 7 to 11, without the peepholes W_c: the formulation that
    Sutskever et al. 2014 name. The forget gate's bias starts at 1 (Jozefowicz et al.
    2015, section 5).

    >>> cell = CELLS["lstm"]
    >>> params = cell.init(jax.random.key(0), 3, 2, layers.initializers())
    >>> carry = cell.initial_carry(jnp.ones((5, 3)), 2)
    >>> [part.shape for part in run_step(cell, params, carry, jnp.ones((5, 3)))[0]]
    [(5, 2), (5, 2)]
    """
    c, h = carry
    gates = projected + layers.matmul(layers.apply_mask(h, drop), params["recurrent"])
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (c, h), h


STATE_CUT, GRADIENT_CUT = 50.0, 1000.0  # of the code of Luong et al. 2015


@jax.custom_vjp
def cut(x: jax.Array) -> jax.Array:
    """x within +-50; the gradient passes as if uncut, itself within +-1000.

    >>> cut(jnp.array([3.0, 60.0])).tolist()
    [3.0, 50.0]
    >>> jax.grad(lambda x: 2000.0 * cut(x) + cut(-x))(60.0).item()
    999.0
    """
    return jnp.clip(x, -STATE_CUT, STATE_CUT)


cut.defvjp(
    lambda x: (cut(x), None),
    lambda _, gradient: (jnp.clip(gradient, -GRADIENT_CUT, GRADIENT_CUT),),
)


def clipped_lstm_step(
    params: Params, carry: Carry, projected: Array, drop: Array | None = None
) -> tuple[Carry, jax.Array]:
    """As `lstm_step`, with c_t and h_t cut: what the code of Luong et al. 2015 does.

    The paper has no word of it. The code cuts both at +-50, and at +-1000 the gradients
    that come back through time; here that of the layer's output is cut with them. The
    gradient of a value that is cut passes as if it was not, there and here.

    >>> params = {"recurrent": jnp.zeros((1, 4))}
    >>> gates = jnp.array([9.0, 99.0, 9.0, 0.0])  # c_t is about c_{t-1} + 1
    >>> (c, _), _ = clipped_lstm_step(params, (jnp.full(1, 49.5), jnp.ones(1)), gates)
    >>> c.tolist()
    [50.0]
    """
    (c, h), _ = lstm_step(params, carry, projected, drop)
    h = cut(h)
    return (cut(c), h), h


def nas_init(
    key: jax.Array, input_size: int, hidden_size: int, inits: layers.Initializers
) -> Params:
    """Kernels of eight parts, without bias as tensorflow/nmt has them."""
    params = make_init(8)(key, input_size, hidden_size, inits)
    return {name: params[name] for name in ("input", "recurrent")}


def nas_step(
    params: Params, carry: Carry, projected: Array, drop: Array | None = None
) -> tuple[Carry, jax.Array]:
    """Zoph & Le 2017, the cell found by search that tensorflow/nmt calls `nas`.

    As TensorFlow's NASCell builds the paper's drawing, figure 8 (it has no equations):
    a, ..., h = W x_t and a', ..., h' = U h_{t-1}, each cut in eight;

    l = tanh(sigma(a + a') * relu(b + b'));  m = tanh(sigma(c + c') + relu(d * d'));
    n = tanh(tanh(e + e') * sigma(f + f'));  p = sigma(tanh(g + g') + sigma(h + h'));
    c_t = tanh(l + c_{t-1}) * m;  h_t = tanh(c_t * tanh(n + p)).

    >>> zeros = {"input": jnp.zeros((1, 8)), "recurrent": jnp.zeros((1, 8))}
    >>> x = jnp.ones(1)
    >>> (c, _), _ = nas_step(zeros, (x, x), jnp.zeros(8))
    >>> print(f"{c[0]:.4f}")  # tanh(1) tanh(1/2)
    0.3519
    """
    c, h = carry
    product = layers.matmul(layers.apply_mask(h, drop), params["recurrent"])
    parts = jnp.split(projected + product, 8, axis=-1)
    size = h.shape[-1]
    fourth = slice(3 * size, 4 * size)
    times = projected[..., fourth] * product[..., fourth]
    sigma, tanh = jax.nn.sigmoid, jnp.tanh
    new = tanh(sigma(parts[0]) * jax.nn.relu(parts[1]))
    scale = tanh(sigma(parts[2]) + jax.nn.relu(times))
    out = tanh(tanh(parts[4]) * sigma(parts[5]))
    out += sigma(tanh(parts[6]) + sigma(parts[7]))
    c = tanh(new + c) * scale
    h = tanh(c * tanh(out))
    return (c, h), h


CELLS = {
    "rnn": Cell(make_init(1), one_part, project, rnn_step, 1),
    "lstm": Cell(make_init(4, forget_bias=1.0), two_parts, project, lstm_step, 2),
    "clipped_lstm": Cell(
        make_init(4, forget_bias=1.0), two_parts, project, clipped_lstm_step, 2
    ),
    "gru": Cell(grus.gru_init, one_part, project, grus.gru_step, 1),
    "gru_reset_before": Cell(
        make_init(3), one_part, project, grus.gru_reset_before_step, 1
    ),
    "gru_bahdanau": Cell(make_init(3), one_part, project, grus.gru_bahdanau_step, 1),
    "layer_norm_lstm": Cell(
        normed.layer_norm_lstm_init,
        two_parts,
        project_without_bias,
        normed.layer_norm_lstm_step,
        2,
    ),
    "rnmt_lstm": Cell(
        normed.rnmt_lstm_init,
        two_parts,
        project_without_bias,
        normed.rnmt_lstm_step,
        2,
    ),
    "rnmt_lstm_capped": Cell(
        normed.rnmt_lstm_init,
        two_parts,
        project_without_bias,
        partial(normed.rnmt_lstm_step, cap=10.0),
        2,
    ),
    "nas": Cell(nas_init, two_parts, project_without_bias, nas_step, 2),
    "min_gru": Cell(
        parallel.make_init(2),
        one_part,
        project,
        parallel.make_step(parallel.min_gru_gates),
        1,
        whole=parallel.make_whole(parallel.min_gru_gates),
        recurrent_product=False,
    ),
    "min_lstm": Cell(
        parallel.make_init(3, forget_bias=1.0),
        one_part,
        project,
        parallel.make_step(parallel.min_lstm_gates),
        1,
        whole=parallel.make_whole(parallel.min_lstm_gates),
        recurrent_product=False,
    ),
}
