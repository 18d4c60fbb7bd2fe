"""One update and one evaluation, as pure functions of a device's share of a batch.

The same body runs under `jax.pmap` and under `jit(shard_map)`, on one device or many:
sums are added over the mesh axis `AXIS` and divided once, so the number of devices and
the way padding is spread over them change nothing but rounding. What devices tell each
other stands in an `Exchange`. No model is imported: a `LossFn` is all that a step needs
to know.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from seq2seq_jax.types import Array, Batch, Params, Sums, TrainState

AXIS = "data"  # the mesh axis over which a batch's rows are spread
VOCABULARY = "vocabulary"  # the one over which vocabularies are, where they are cut
# Where a state is cut, each process has all parts of it: of its batch's rows, the first
# of these says which process has them, the second which of its devices.
HOSTS = "hosts"
ROWS = (HOSTS, AXIS)

AFTER_ROWS = 2**31  # above the numbers of all rows, which are int32


class Update(NamedTuple):
    """What all rows of an update share, on whichever device they are.

    Attributes:
        step: number of updates made before it, int32.
        key: a typed key that no row has.
        baseline: the state's.
    """

    step: Array
    key: jax.Array
    baseline: Array | None = None


# (params, batch, key per row, update) -> sums; both None in evaluation: no noise.
LossFn = Callable[[Params, Batch, Any, Update | None], Sums]


def tokens(sums: Sums, batch: Batch) -> Array:
    """Real target tokens: every token weighs the same, in however long a sentence."""
    return sums.weight


def sentences(sums: Sums, batch: Batch) -> Array:
    """Pairs: the rows that are not there to fill up the batch.

    Sutskever et al. 2014, section 3.4: the gradient of a batch of 128 is divided by 128
    before it is clipped; tensorflow/nmt divides the masked cross-entropy by the batch
    size. A gradient is then as many times larger as targets are long on average: a rate
    and a `clip_norm` from these sources mean something else with `tokens`.
    """
    return jnp.sum(jnp.any(batch.target_mask, axis=-1), dtype=jnp.float32)


# What an update's summed loss is divided by: one device's share of it, by name.
NORMALIZERS: dict[str, Callable[[Sums, Batch], Array]] = {
    "tokens": tokens,
    "sentences": sentences,
}


class Exchange(NamedTuple):
    """What the devices of a step tell each other.

    Attributes:
        rows: the mesh axes over which a batch's rows are spread.
        total: `(sums, gradients, counts, count) -> ` all of them added up over all
            rows, of the gradients those of this device's part.
        norm: `(gradients) -> ` the global norm of those of all parts.
        part: `(params) -> ` those that this device updates.
        whole: `(updated part, params before) -> params`.
    """

    rows: str | tuple[str, ...]
    total: Callable[[tuple], tuple]
    norm: Callable[[Params], Array]
    part: Callable[[Params], Params]
    whole: Callable[[Params, Params], Params]


# Every device has all parameters and makes the whole update.
REPLICATED = Exchange(
    rows=AXIS,
    total=lambda local: lax.psum(local, AXIS),
    norm=optax.tree.norm,
    part=lambda params: params,
    whole=lambda updated, params: updated,
)


def init_state(
    key: Array, params: Params, tx: optax.GradientTransformation
) -> TrainState:
    """The state before the first update.

    >>> import jax
    >>> state = init_state(jax.random.key(0), {"w": jnp.ones(2)}, optax.sgd(0.1))
    >>> int(state.step)
    0
    """
    return TrainState(jnp.zeros((), jnp.int32), params, tx.init(params), key)


def row_keys(key: Array, step: Array, rows: Array) -> Array:
    """One key for each row of a batch, from the row's number in the whole batch.

    A row's noise then depends on the seed, the step and the row alone, not on which
    device or which piece of the batch works it off.

    Args:
        key: the training's typed key.
        step: number of updates made.
        rows: `[B]` int32, row numbers in the batch of all devices.

    Returns:
        `[B]` typed keys.
    """
    return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.fold_in(key, step), rows)


def shared_by_rows(state: TrainState) -> Update:
    """The update that a state is about to make."""
    key = jax.random.fold_in(state.key, state.step)
    return Update(state.step, jax.random.fold_in(key, AFTER_ROWS), state.baseline)


def _gradients(
    loss: Callable[[Params, Batch, Array], Sums],
    params: Params,
    batch: Batch,
    keys: Array,
) -> tuple[Sums, Params]:
    """The sums of some rows, and the gradient of their summed loss."""

    def summed(params: Params) -> tuple[Array, Sums]:
        sums = loss(params, batch, keys)
        return sums.loss, sums

    (_, sums), grads = jax.value_and_grad(summed, has_aux=True)(params)
    return sums, grads


def _accumulated(
    loss: Callable[[Params, Batch, Array], Sums],
    params: Params,
    batch: Batch,
    keys: Array,
    pieces: int,
) -> tuple[Sums, Params]:
    """`_gradients`, the rows worked off in `pieces` equal pieces one after another."""
    if pieces == 1:
        return _gradients(loss, params, batch, keys)
    cut = jax.tree.map(
        lambda leaf: leaf.reshape(pieces, -1, *leaf.shape[1:]), (batch, keys)
    )
    first = jax.tree.map(lambda leaf: leaf[0], cut)
    shapes = jax.eval_shape(lambda args: _gradients(loss, params, *args), first)
    # Zeros made from batch and parameters: under shard_map they must vary over devices
    # as what is added to them does.
    zeros = (
        jax.tree.map(
            lambda leaf: jnp.zeros_like(batch.target_mask, leaf.dtype, shape=()),
            shapes[0],
        ),
        jax.tree.map(
            lambda leaf, like: jnp.zeros_like(like, leaf.dtype), shapes[1], params
        ),
    )

    def add(total, piece):
        return jax.tree.map(jnp.add, total, _gradients(loss, params, *piece)), None

    return lax.scan(add, zeros, cut)[0]


def _counts(batch: Batch) -> dict[str, Array]:
    """Real and all positions of both sides, for the share of padding."""
    masks = (batch.source_mask, batch.target_mask)
    ones = tuple(jnp.ones_like(mask) for mask in masks)
    source, target = (jnp.sum(mask, dtype=jnp.float32) for mask in masks)
    all_source, all_target = (jnp.sum(one, dtype=jnp.float32) for one in ones)
    return {"real": source + target, "cells": all_source + all_target}


def train_step(
    loss: LossFn,
    tx: optax.GradientTransformation,
    state: TrainState,
    batch: Batch,
    rows: Array,
    *,
    accumulate: int = 1,
    normalize: str = "tokens",
    loss_limit: float | None = None,
    exchange: Exchange = REPLICATED,
) -> tuple[TrainState, dict[str, Array]]:
    """One update by a batch of which this device holds some rows.

    gradient = psum(d loss_sum / d params) / psum(count), the mean over tokens or
    sentences of all devices; optimiser and clipping come after it. Where loss or
    gradient is not finite, or the loss over a limit, no update is made (`finite`): the
    state's step, which names noise and checkpoints, goes on; the optimiser's does not.

    Args:
        loss: the model's `(params, batch, keys, update) -> Sums`.
        tx: the optimiser.
        state: the same on every device, but for what the exchange parts.
        batch: this device's `[B, ...]` rows; B a multiple of `accumulate`.
        rows: `[B]` int32, the rows' numbers in the batch of all devices.
        accumulate: pieces that the rows are worked off in.
        normalize: the entry of `NORMALIZERS` that counts.
        loss_limit: the largest loss a target token of an update; None: any.
        exchange: what the devices tell each other.

    Returns:
        The new state, and scalars, the same on every device: the sums `loss`, `nll`,
        `correct`, `weight`, `real` and `cells` (positions of both sides), `finite`, and
        `grad_norm` before clipping.
    """
    # Without the cast, shard_map would add up the gradients of replicated parameters by
    # itself and the exchange would do it again; under pmap it changes nothing.
    params = lax.pcast(state.params, exchange.rows, to="varying")
    keys = row_keys(state.key, state.step, rows)
    own_loss = partial(_own_loss, loss, shared_by_rows(state))
    sums, grads = _accumulated(own_loss, params, batch, keys, accumulate)
    local = sums, grads, _counts(batch), NORMALIZERS[normalize](sums, batch)
    sums, grads, counts, count = exchange.total(local)
    grads = jax.tree.map(lambda grad: grad / jnp.maximum(count, 1), grads)
    norm = exchange.norm(grads)
    finite = _is_fine(sums, norm, loss_limit)
    new = _updated(tx, state, grads, norm, finite, exchange)
    return new, _metrics(sums) | {"grad_norm": norm, "finite": finite, **counts}


def _own_loss(
    loss: LossFn, update: Update, params: Params, batch: Batch, keys: Any
) -> Sums:
    """The loss of some rows of a batch, with what all of them share."""
    return loss(params, batch, keys, update)


def _is_fine(sums: Sums, norm: Array, loss_limit: float | None) -> Array:
    """Whether an update is to be made."""
    finite = jnp.isfinite(sums.loss) & jnp.isfinite(norm)
    if loss_limit is not None:
        finite &= sums.loss <= loss_limit * sums.weight
    return finite


def _metrics(sums: Sums) -> dict[str, Array]:
    """What is told of a batch's sums."""
    names = ("loss", "nll", "correct", "weight")
    return {name: getattr(sums, name) for name in names}


def _updated(
    tx: optax.GradientTransformation,
    state: TrainState,
    grads: Params,
    norm: Array,
    finite: Array,
    exchange: Exchange,
) -> TrainState:
    """The state one batch on; each device updates its part of the parameters."""
    own = state.replace(params=exchange.part(state.params))  # type: ignore[attr-defined]
    new = lax.cond(
        finite, lambda: _update(tx, own, grads, norm), lambda: _left_out(own)
    )
    return new.replace(params=exchange.whole(new.params, state.params))


@jax.named_scope("update")
def _update(
    tx: optax.GradientTransformation, state: TrainState, grads: Params, norm: Array
) -> TrainState:
    """The state one optimiser step on; the norm is for who cannot compute it."""
    tx = optax.with_extra_args_support(tx)
    updates, opt_state = tx.update(grads, state.opt_state, state.params, norm=norm)
    params = optax.apply_updates(state.params, updates)
    return state.replace(step=state.step + 1, params=params, opt_state=opt_state)  # type: ignore[attr-defined]


def _left_out(state: TrainState) -> TrainState:
    """The state one batch on, without an update."""
    return state.replace(step=state.step + 1)  # type: ignore[attr-defined]


def eval_step(
    loss: LossFn,
    params: Params,
    batch: Batch,
    rows: str | tuple[str, ...] = AXIS,
) -> Sums:
    """The sums of a batch of which this device holds some rows, without noise."""
    return lax.psum(loss(params, batch, None, None), rows)
