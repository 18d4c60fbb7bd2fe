"""Cells whose gates see the input alone (Feng et al. 2024, "Were RNNs all we needed?").

h_t = a_t * h_{t-1} + b_t, where a_t and b_t depend on x_t only. Two such steps in a row
are one of the same kind, so all T of them are a prefix sum: about 2 log2 T operations
one after the other in place of T. In a search `step` makes them one at a time, in
constant memory.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from seq2seq_jax.nn import layers
from seq2seq_jax.types import Array, Carry, Params

Gates = Callable[[Array], tuple[jax.Array, jax.Array]]


def make_init(gates: int, forget_bias: float = 0.0) -> Callable[..., Params]:
    """`init` of gates without a recurrent matrix: input `[D, G*H]` and bias.

    A forget gate, where there is one, is the second gate.
    """

    def init(
        key: jax.Array, input_size: int, hidden_size: int, inits: layers.Initializers
    ) -> Params:
        width = gates * hidden_size
        bias = jnp.zeros(width).at[hidden_size : 2 * hidden_size].add(forget_bias)
        return {"input": inits.kernel(key, (input_size, width)), "bias": bias}

    return init


def min_gru_gates(projected: Array) -> tuple[jax.Array, jax.Array]:
    """minGRU, Feng et al. 2024, section 3.1: a_t and b_t, `[..., H]` each.

    z = sigma(W_z x + b_z);  h~ = W x + b;  h_t = (1 - z) * h_{t-1} + z * h~.
    z updates, as in `gru_bahdanau`. This is the equation as it stands; the paper's form
    in logarithms, where h~ passes through a positive function, is another cell.

    >>> from seq2seq_jax.nn.cells import CELLS, run_step
    >>> cell = CELLS["min_gru"]
    >>> params = {"input": jnp.array([[0.0, 1.0]]), "bias": jnp.zeros(2)}  # z = 1/2
    >>> run_step(cell, params, (jnp.array([4.0]),), jnp.array([2.0]))[1].tolist()
    [3.0]
    """
    z, n = jnp.split(projected, 2, axis=-1)
    z = jax.nn.sigmoid(z)
    return 1.0 - z, z * n


def min_lstm_gates(projected: Array) -> tuple[jax.Array, jax.Array]:
    """minLSTM, Feng et al. 2024, section 3.2: a_t and b_t, `[..., H]` each.

    i = sigma(W_i x + b_i);  f = sigma(W_f x + b_f);  h~ = W x + b;
    f' = f / (f + i);  i' = i / (f + i);  h_t = f' * h_{t-1} + i' * h~.
    There is no output gate and no c. b_f starts at 1, as in `lstm`. f' is computed as
    sigma(log f - log i), which does not divide by 0 where both gates are shut. With
    weights of 0, f' = i' = 1/2:

    >>> from seq2seq_jax.nn.cells import CELLS, run_step
    >>> cell = CELLS["min_lstm"]
    >>> params = {"input": jnp.array([[0.0, 0.0, 1.0]]), "bias": jnp.zeros(3)}
    >>> run_step(cell, params, (jnp.array([4.0]),), jnp.array([2.0]))[1].tolist()
    [3.0]
    """
    i, f, n = jnp.split(projected, 3, axis=-1)
    keep = jax.nn.sigmoid(jax.nn.log_sigmoid(f) - jax.nn.log_sigmoid(i))
    return keep, (1.0 - keep) * n


def make_step(gates: Gates) -> Callable[..., tuple[Carry, jax.Array]]:
    """`step` of a cell; there is no recurrent product whose input `drop` could mask."""

    def step(
        params: Params, carry: Carry, projected: Array, drop: Array | None = None
    ) -> tuple[Carry, jax.Array]:
        keep, new = gates(projected)
        h = keep * carry[0] + new
        return (h,), h

    return step


def make_whole(gates: Gates) -> Callable[..., tuple[Carry, jax.Array]]:
    """`whole` of a cell: what a scan over its `step` gives, by a parallel scan."""

    def whole(
        params: Params,
        carry: Carry,
        projected: Array,
        mask: Array | None = None,
        reverse: bool = False,
    ) -> tuple[Carry, jax.Array]:
        last, outputs = linear_scan(*gates(projected), carry[0], mask, reverse)
        return (last,), outputs

    return whole


def linear_scan(
    keep: jax.Array,
    new: jax.Array,
    first: Array,
    mask: Array | None = None,
    reverse: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """`(last h [..., H], all h [..., T, H])` of h_t = keep_t * h_{t-1} + new_t.

    Where `mask [..., T]` is false h stands still (keep = 1, new = 0) and the output is
    0, as in `recurrence.unroll`; `first [..., H]` is h before the first step made.

    >>> half, one = jnp.full((3, 1), 0.5), jnp.ones((3, 1))
    >>> mask = jnp.array([True, True, False])
    >>> last, h = linear_scan(half, one, jnp.array([4.0]), mask)
    >>> last.tolist(), h.ravel().tolist()
    ([2.5], [3.0, 2.5, 0.0])
    """
    first = jnp.broadcast_to(first, (*keep.shape[:-2], keep.shape[-1]))
    real = None if mask is None else mask[..., None]
    if real is not None:
        keep, new = jnp.where(real, keep, 1.0), jnp.where(real, new, 0.0)
    h = recurrence(keep, new, first.astype(keep.dtype), reverse)
    last = h[..., 0 if reverse else -1, :]
    return last, h if real is None else jnp.where(real, h, 0.0)


def prefixes(
    keep: jax.Array, new: jax.Array, reverse: bool
) -> tuple[jax.Array, jax.Array]:
    """The first t steps in one, for each t: h_t = kept_t * h_0 + added_t."""

    def one_after_other(before: tuple, after: tuple) -> tuple:
        return after[0] * before[0], after[0] * before[1] + after[1]

    return jax.lax.associative_scan(
        one_after_other, (keep, new), reverse=reverse, axis=keep.ndim - 2
    )


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def recurrence(
    keep: jax.Array, new: jax.Array, first: jax.Array, reverse: bool
) -> jax.Array:
    """All h `[..., T, H]`.

    Its gradient is one more prefix sum, the other way round; autodiff would turn each
    of the log2 T levels round by itself, compile twice as long and keep them all.
    """
    kept, added = prefixes(keep, new, reverse)
    return kept * first[..., None, :] + added


def recurrence_forward(
    keep: jax.Array, new: jax.Array, first: jax.Array, reverse: bool
) -> tuple[jax.Array, tuple]:
    """`recurrence`, and what its gradient needs."""
    h = recurrence(keep, new, first, reverse)
    return h, (keep, first, h)


def recurrence_backward(reverse: bool, saved: tuple, slope: jax.Array) -> tuple:
    """g_t = dL/dh_t + keep_{t+1} * g_{t+1} is dL/dnew_t; g_t * h_{t-1}, dL/dkeep_t."""
    keep, first, h = saved
    first = first[..., None, :]
    if reverse:
        before = jnp.concatenate([h[..., 1:, :], first], axis=-2)
        next_keep = jnp.concatenate([keep[..., :1, :], keep[..., :-1, :]], axis=-2)
    else:
        before = jnp.concatenate([first, h[..., :-1, :]], axis=-2)
        next_keep = jnp.concatenate([keep[..., 1:, :], keep[..., -1:, :]], axis=-2)
    _, slope = prefixes(next_keep, slope, not reverse)
    start = -1 if reverse else 0
    return slope * before, slope, (keep * slope)[..., start, :]


recurrence.defvjp(recurrence_forward, recurrence_backward)
