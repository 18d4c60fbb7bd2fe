"""What devices tell each other in a step where each has but a part of the state.

Vocabularies that are cut (`nn.shards`) need no more than the norm: a device's gradient
of its rows is whole once it is added up over the batch's rows. Where the optimiser's
state is spread too, each device gets the sums of its part of the gradients alone
(reduce-scatter), updates that part of the parameters, and they hand each other what
they have updated (all-gather): ZeRO, stage 1 (Rajbhandari et al. 2020).

It is right for an optimiser that updates each number by itself; all of `OPTIMIZERS` do.
What they need of all numbers, the norm for clipping, stands in the exchange.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from seq2seq_jax.config import TrainingConfig
from seq2seq_jax.training.layout import cut_dimension
from seq2seq_jax.training.optimizer import is_parted
from seq2seq_jax.training.step import (
    AXIS,
    HOSTS,
    REPLICATED,
    ROWS,
    VOCABULARY,
    Exchange,
)
from seq2seq_jax.types import Array, Params


def of(config: TrainingConfig) -> Exchange:
    """The exchange of a config's step."""
    if not is_parted(config):
        return REPLICATED
    norm = partial(norm_of_parts, config.vocabulary_shards > 1, config.shard_optimizer)
    if not config.shard_optimizer:
        return REPLICATED._replace(rows=ROWS, total=summed, norm=norm)
    return Exchange(ROWS, scattered, norm, part, gathered)


def norm_of_parts(cut: bool, spread: bool, grads: Params) -> Array:
    """The global norm of gradients of which each device has a part.

    Args:
        cut: whether those of vocabularies are cut over `VOCABULARY`.
        spread: whether all are spread over `AXIS`.
        grads: this device's.
    """
    shares: dict[bool, list[Array]] = {False: [], True: []}
    single = jnp.zeros((), jnp.float32)
    for path, leaf in jax.tree_util.tree_flatten_with_path(grads)[0]:
        square = jnp.sum(jnp.square(leaf))
        if leaf.ndim:
            shares[cut and cut_dimension(path) is not None].append(square)
        else:
            single += square
    total = sum(shares[False], jnp.zeros((), jnp.float32))
    if shares[True]:
        total += lax.psum(sum(shares[True]), VOCABULARY)
    return jnp.sqrt((lax.psum(total, AXIS) if spread else total) + single)


def summed(local: tuple) -> tuple:
    """The sums of all rows."""
    return lax.psum(local, ROWS)


def scattered(local: tuple) -> tuple:
    """The sums of all rows, and of the gradients this device's part.

    A process's devices add theirs up first, so that the network between processes
    carries each number once.
    """
    sums, grads, counts, count = local
    sums, counts, count = summed((sums, counts, count))

    def own(leaf: Array) -> Array:
        if not leaf.ndim:
            return lax.psum(leaf, AXIS)
        return lax.psum_scatter(filled(leaf), AXIS, scatter_dimension=0, tiled=True)

    parts = jax.tree.map(own, grads)
    return sums, lax.psum(parts, HOSTS), counts, count


def part(params: Params) -> Params:
    """The rows of each parameter that this device updates; scalars all do."""

    def own(leaf: Array) -> Array:
        if not leaf.ndim:
            return leaf
        rows = -(-leaf.shape[0] // lax.axis_size(AXIS))
        start = lax.axis_index(AXIS) * rows
        return lax.dynamic_slice_in_dim(filled(leaf), start, rows)

    return jax.tree.map(own, params)


def gathered(parts: Params, params: Params) -> Params:
    """All parameters from the parts that were updated; `params` has their sizes."""

    def every(leaf: Array, like: Array) -> Array:
        if not leaf.ndim:
            return leaf
        rows = lax.all_gather(leaf, AXIS, tiled=True, to="invarying")
        return rows[: like.shape[0]]

    return jax.tree.map(every, parts, params)


def filled(leaf: Array) -> Array:
    """A leaf with so many rows of zeros behind it that all devices get as many."""
    missing = -leaf.shape[0] % lax.axis_size(AXIS)
    if not missing:
        return leaf
    return jnp.pad(leaf, [(0, missing), *[(0, 0)] * (leaf.ndim - 1)])
