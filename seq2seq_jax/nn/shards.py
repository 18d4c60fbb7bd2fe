"""A vocabulary cut over a mesh axis: each device has consecutive rows of its arrays.

What stands here runs in the body of a `shard_map`. Where `shards` is None, nothing is
cut: each function gives back what it is given, or does what is done without it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from seq2seq_jax.nn import layers
from seq2seq_jax.types import Array


class Shards(NamedTuple):
    """How a vocabulary is cut.

    Attributes:
        axis: the mesh axis over which its rows are spread.
        rows: the mesh axes over which the batch's rows are spread.
        size: V, ids of the target vocabulary; the rows from there on are filling, so
            that all devices have as many.
    """

    axis: str
    rows: tuple[str, ...]
    size: int


def own_places(
    ids: Array, rows: int, shards: Shards | None
) -> tuple[Array, Array | None]:
    """Where `ids` stand among this device's `rows`, and whether they do; None: all do.

    An id of another device has some place that is there.
    """
    if shards is None:
        return ids, None
    places = ids - lax.axis_index(shards.axis) * rows
    return jnp.clip(places, 0, rows - 1), (places >= 0) & (places < rows)


def embed(table: Array, ids: Array, shards: Shards | None) -> jax.Array:
    """Rows `[..., E]` of a table of which this device has `[V / M, E]`.

    Each device gives the rows that it has, zeros for the others; their sum is all of
    them. Each gets the gradient of its own, without another word to the others.
    """
    places, own = own_places(ids, table.shape[0], shards)
    rows = layers.embed(table, places)
    if own is None:
        return rows
    return summed(jnp.where(own[..., None], rows, 0.0), shards)


def summed(values: Any, shards: Shards | None) -> Any:
    """Values, or a tree of them, added up over the devices that share a vocabulary."""
    return values if shards is None else lax.psum(values, shards.axis)


def largest(values: jax.Array, shards: Shards | None) -> jax.Array:
    """The largest over the devices that share a vocabulary."""
    return values if shards is None else lax.pmax(values, shards.axis)


def longest(count: jax.Array, shards: Shards | None) -> jax.Array:
    """The largest count of all devices: a loop in which they meet is as long in all.

    That takes no more time: they wait for each other at the end of a step anyway.
    """
    if shards is None:
        return count
    return lax.pmax(different(count, shards), (*shards.rows, shards.axis))


def different(values: Any, shards: Shards | None) -> Any:
    """The same values, or a tree of them, which each device may change for itself."""
    if shards is None:
        return values
    return lax.pcast(values, shards.axis, to="varying")


def is_filling(rows: int, shards: Shards | None) -> jax.Array | None:
    """Which of this device's `rows` are above the vocabulary; None: nowhere any."""
    if shards is None or rows * lax.axis_size(shards.axis) == shards.size:
        return None
    return jnp.arange(rows) + lax.axis_index(shards.axis) * rows >= shards.size
