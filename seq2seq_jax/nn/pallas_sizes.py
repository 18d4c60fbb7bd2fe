"""What the kernels of `pallas_cells` take, and in how many pieces."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from seq2seq_jax.nn.pallas_gates import GATES
from seq2seq_jax.types import Carry, Params

LANES, SUBLANES = 128, 8  # a TPU's registers: sizes are filled up to whole ones
MOST_ROWS = 256  # of a tile: more would not make the product any faster
LEAST_ROWS = 64  # of one tile of several: fewer would cost more than reading U again
MIB = 2**20
OLD = (
    "TPU v2",
    "TPU v3",
    "TPU v4",
)  # which have 16 MiB of VMEM; newer ones, 64 or more
RESERVED = 2 * MIB  # of it, for what the compiler keeps there itself


def filled(size: int, unit: int) -> int:
    """The next multiple of the unit."""
    return -(-size // unit) * unit


def vmem() -> int:
    """Bytes of VMEM that a kernel may fill: of this TPU; without one, of a new one."""
    here = jax.devices()[0].device_kind if jax.default_backend() == "tpu" else ""
    old = here.startswith(OLD)
    return (16 if old else 48) * MIB


def tile_rows(
    kind: str, rows: int, hidden_size: int, bytes_each: int, memory: int | None = None
) -> int:
    """How many rows of the batch a kernel takes at once; 0: the scan is the better way.

    U is held once and everything that changes with time twice, in the backward kernel,
    which needs the most. What is left decides how many rows there are in a tile.

    Args:
        kind: the cell's name.
        rows: of the batch.
        hidden_size: H.
        bytes_each: of a weight.
        memory: see `vmem`.

    >>> tile_rows("lstm", 64, 1024, 4), tile_rows("lstm", 64, 2048, 4)
    (64, 0)
    """
    gates, size = GATES[kind], filled(hidden_size, LANES)
    # What changes with time: what was kept, the output's slope, the projected input's.
    streams = gates.saved + gates.parts + 1 + gates.fused
    still = 1 + 2 * gates.parts  # the dropout mask, the slopes of two carries
    values = 2 * gates.fused  # of a step, between reading and writing
    each = 4 * (size * (2 * streams + 2 * still + values) + 2 * LANES)
    left = (memory or vmem()) - RESERVED - gates.fused * size * size * bytes_each
    most = min(left // each // SUBLANES * SUBLANES, MOST_ROWS)
    if most <= 0 or most < min(rows, LEAST_ROWS):
        return 0
    tiles = -(-rows // most)
    return filled(-(-rows // tiles), SUBLANES)


def suitable_rows(kind: str, params: Params, carry: Carry, projected: Any) -> int:
    """`tile_rows` where a kernel can compute this at all, else 0.

    It takes cells of `GATES`, states in float32 with weights in that or in bfloat16,
    and sizes that are known numbers: `jax.export` has such as are not.
    """
    sizes = projected.shape
    if kind not in GATES or not all(isinstance(size, int) for size in sizes):
        return 0
    weights = params["recurrent"]
    floats = {projected.dtype, *(part.dtype for part in carry)}
    if floats != {jnp.dtype(jnp.float32)} or 0 in sizes:
        return 0
    if weights.dtype not in (jnp.float32, jnp.bfloat16):
        return 0
    rows = math.prod(sizes[:-2])
    return tile_rows(kind, rows, carry[-1].shape[-1], weights.dtype.itemsize)
