"""Unroll a step function over time under a mask, with one scan."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from seq2seq_jax.nn import deferred
from seq2seq_jax.types import Array, Carry

# How steps become a loop, by name: the gradients of the weights after it, or inside it.
SCANS: dict[str, Callable[..., tuple[Carry, Any]]] = {
    "deferred": deferred.scan,
    "plain": jax.lax.scan,
}


def to_time_major(xs: Any) -> Any:
    """`[..., T, D] -> [T, ..., D]` in every leaf."""
    return jax.tree.map(lambda x: jnp.moveaxis(x, -2, 0), xs)


def from_time_major(xs: Any) -> Any:
    """`[T, ..., D] -> [..., T, D]` in every leaf."""
    return jax.tree.map(lambda x: jnp.moveaxis(x, 0, -2), xs)


def in_time_order(f: Callable[..., Array], *xs: Any) -> jax.Array:
    """`f(*xs)` of leaves `[..., T, D]`, computed where time is the first axis.

    What a scan then reads lies as it reads it: the transpositions of the few `D` are
    made, those of the gates, here and in the gradient, cancel out.
    """
    return from_time_major(f(*to_time_major(xs)))


def unroll(
    step: Callable[[Carry, Any], tuple[Carry, Any]],
    carry: Carry,
    xs: Any,
    mask: Array | None = None,
    *,
    reverse: bool = False,
    scan: Callable[..., tuple[Carry, Any]] = deferred.scan,
) -> tuple[Carry, Any]:
    """`(last carry, outputs [..., T, H])` of `step` over the T of `xs [..., T, D]`.

    `scan` is an entry of `SCANS`.

    Where `mask [..., T]` is false the carry stands still and the output is 0: the last
    carry is that of the last real position, and, with `reverse`, the scan begins in
    effect at the last real position, however much padding stands behind it.

    >>> add = lambda carry, x: (carry + x, carry + x)
    >>> mask = jnp.array([True, True, False])
    >>> unroll(add, jnp.zeros(1), jnp.ones((3, 1)), mask)[1].ravel().tolist()
    [1.0, 2.0, 0.0]
    """

    def body(carry: Carry, inputs: Any) -> tuple[Carry, Any]:
        x, real = inputs
        new, output = step(carry, x)
        if real is None:
            return new, output
        new = jax.tree.map(lambda n, o: jnp.where(real, n, o), new, carry)
        return new, jax.tree.map(lambda o: jnp.where(real, o, 0), output)

    real = None if mask is None else to_time_major(mask[..., None])
    carry, outputs = scan(body, carry, (to_time_major(xs), real), reverse=reverse)
    return carry, from_time_major(outputs)
