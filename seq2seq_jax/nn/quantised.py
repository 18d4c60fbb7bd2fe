"""Matrices of whole numbers of 8 bits, and products with them: for inference alone.

Symmetric, without a zero point. A matrix has a scale for each column, and what it
multiplies one for each row, found anew in each product:

    W_dg ~ s_g Q_dg,    s_g = max_d |W_dg| / 127,    Q = round(W / s) in -127 ... 127
    x W ~ r (q Q) s,    r = max_d |x_d| / 127,       q = round(x / r)

q Q is exact in 32 bits up to D = 133,000. As of Jacob et al. 2018 (section 2), with
scales by column and row in place of one a matrix.
"""

from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
from flax import struct

from seq2seq_jax.types import Array

LARGEST = 127  # -128 would have no counterpart


@struct.dataclass
class Quantised:
    """A matrix `[D, G]`, which `layers.matmul` takes as it takes an array.

    It can be cut like one. For all else `jnp.asarray` makes floats of it.

    Attributes:
        turned: `[G, D]` int8, Q^T: what makes one output lies together.
        scale: `[G]` s.
    """

    turned: jax.Array
    scale: jax.Array

    @property
    def shape(self) -> tuple[int, ...]:
        """`(D, G)`."""
        return self.turned.shape[::-1]

    def __getitem__(self, part: Any) -> "Quantised":
        """`[rows]` or `[rows, columns]`, slices, or ids of columns."""
        rows, columns = part if isinstance(part, tuple) else (part, slice(None))
        return Quantised(self.turned[columns, rows], self.scale[columns])

    def __jax_array__(self) -> jax.Array:
        return self.turned.T.astype(jnp.float32) * self.scale


def is_quantised(x: Any) -> TypeGuard[Quantised]:
    """Whether a part of a tree is such a matrix: a leaf, where one is asked for."""
    return isinstance(x, Quantised)


def quantise(matrix: Array) -> Quantised:
    """The matrix `[D, G]` in 8 bits.

    >>> small = quantise(jnp.array([[1.0, 0.0], [-2.0, 0.0]]))
    >>> small.turned.tolist(), small.scale.tolist()
    ([[64, -127], [0, 0]], [0.015748031437397003, 1.0])
    """
    turned, scale = whole_numbers(jnp.asarray(matrix, jnp.float32).T)
    return Quantised(turned, scale[:, 0])


def side_by_side(*matrices: Any) -> Any:
    """Matrices `[D, G], [D, H], ...` as one, all arrays or all in 8 bits."""
    if not is_quantised(matrices[0]):
        return jnp.concatenate(matrices, axis=-1)
    turned = jnp.concatenate([matrix.turned for matrix in matrices])
    return Quantised(turned, jnp.concatenate([matrix.scale for matrix in matrices]))


def whole_numbers(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """q `[..., D]` and r `[..., 1]` of rows, any of them; zeros have the scale 1."""
    largest = jnp.abs(x).max(axis=-1, keepdims=True, initial=0.0)
    scale = jnp.where(largest > 0, largest / LARGEST, 1.0)
    whole = jnp.clip(jnp.rint(x / scale), -LARGEST, LARGEST)
    return whole.astype(jnp.int8), scale


def product(x: Array, matrix: Quantised) -> jax.Array:
    """x W for x `[..., D]`, in float32.

    >>> x, w = jnp.array([[0.5, -1.0]]), jnp.array([[1.0, 0.0], [-2.0, 0.0]])
    >>> [f"{y:.3f}" for y in product(x, quantise(w))[0]]  # 2.5 and 0
    ['2.508', '0.000']
    """
    values, scale = whole_numbers(jnp.asarray(x, jnp.float32))
    dots = jax.lax.dot_general(
        values,
        matrix.turned,
        (((values.ndim - 1,), (1,)), ((), ())),
        preferred_element_type=jnp.int32,
    )
    return dots.astype(jnp.float32) * scale * matrix.scale
