"""Weights as they are stored in an exported folder, and as its programs read them.

Matrices may be stored in fewer bits; a program makes float32 of them again before it
computes. With int8, symmetric and without a zero point,

    w ~ s * q,    q = round(w / s) in -127 ... 127,    s = max |w| / 127

where the maximum is that of an output's column, and of a word's row in a table of
embeddings. Vectors (biases, norms) stay float32: they are few.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax.nn.quantised import whole_numbers
from seq2seq_jax.types import Array, Params

SCALE = ".scale"  # behind the name of what it scales


class Form(NamedTuple):
    """One way to store matrices.

    Attributes:
        pack: `(name, matrix) -> {name: stored}`.
        unpack: `(name, stored) -> matrix`, inside a program.
    """

    pack: Callable[[str, np.ndarray], dict[str, np.ndarray]]
    unpack: Callable[[str, dict[str, Any]], Array]


def pack_bfloat16(name: str, matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Rounded to nearest; .npz knows no bfloat16, so its bits are stored."""
    return {name: np.asarray(matrix.astype(jnp.bfloat16)).view(np.uint16)}


def unpack_bfloat16(name: str, stored: dict[str, Any]) -> jax.Array:
    """Those bits as numbers."""
    bits = jax.lax.bitcast_convert_type(stored[name], jnp.bfloat16)
    return bits.astype(jnp.float32)


def pack_int8(name: str, matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Whole numbers, and a scale for each column, or row of a table.

    >>> packed = pack_int8("w", np.array([[1.0, 0.0], [-2.0, 0.0]], np.float32))
    >>> packed["w"].tolist(), packed["w.scale"].tolist()
    ([[64, 0], [-127, 0]], [[0.015748031437397003, 1.0]])
    """
    columns = not name.endswith("table")
    rows = matrix.swapaxes(-1, -2) if columns else matrix
    both = map(np.asarray, whole_numbers(jnp.asarray(rows)))
    whole, scale = (x.swapaxes(-1, -2) if columns else x for x in both)
    return {name: whole, name + SCALE: scale}


def unpack_int8(name: str, stored: dict[str, Any]) -> jax.Array:
    """`s * q`."""
    return stored[name].astype(jnp.float32) * stored[name + SCALE]


FORMS = {
    "float32": Form(lambda name, x: {name: x}, lambda name, stored: stored[name]),
    "bfloat16": Form(pack_bfloat16, unpack_bfloat16),
    "int8": Form(pack_int8, unpack_int8),
}


def pack(params: Params, form: str) -> dict[str, np.ndarray]:
    """Parameters by their names, matrices in that form."""
    stored: dict[str, np.ndarray] = {}
    for name, x in named(params).items():
        value = np.asarray(x, np.float32)
        stored |= FORMS[form].pack(name, value) if value.ndim >= 2 else {name: value}
    return stored


def unpack(stored: dict[str, Any], like: Params, form: str) -> Params:
    """The parameters in the structure of `like`; for use inside a program."""
    leaves = [
        FORMS[form].unpack(name, stored) if x.ndim >= 2 else stored[name]
        for name, x in named(like).items()
    ]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def named(params: Params) -> dict[str, Any]:
    """Leaves by their paths, such as `encoder/layers/0/kernel`."""
    paths, _ = jax.tree_util.tree_flatten_with_path(params)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): x for path, x in paths
    }
