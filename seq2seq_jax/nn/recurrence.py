"""Unroll a step function over time under a mask, with one scan."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import deferred
from seq2seq_jax.types import Array, Carry

# How steps become a loop, by name: the gradients of the weights after it, or inside it.
SCANS: dict[str, Callable[..., tuple[Carry, Any]]] = {
    "deferred": deferred.scan,
    "plain": jax.lax.scan,
}
# Steps in a turn, by `jax.default_backend()`. A GPU takes about as long to start one of
# a step's kernels as to run it; what a turn keeps of all its steps is written by one
# kernel a value. On a CPU more than one step a turn is slower.
UNROLL = {"gpu": 12}


def scan_of(config: ModelConfig) -> Callable[..., tuple[Carry, Any]]:
    """The scan that a config asks for."""
    return partial(SCANS[config.scan], unroll=turn(config))


def turn(config: ModelConfig, platform: str | None = None) -> int:
    """Steps in one turn of a loop, on a platform or on this process's.

    >>> turn(ModelConfig(), "cpu"), turn(ModelConfig(unroll=2), "cpu")
    (1, 2)
    """
    return config.unroll or UNROLL.get(platform or jax.default_backend(), 1)


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

    `scan` is what `scan_of` gives, or an entry of `SCANS`.

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
