"""All steps of a recurrent cell in one kernel, whose weights stay on the chip (Pallas).

A loop in XLA is a program of its own for each step, that reads U again. Here the grid
of one kernel is (rows of the batch, time): what does not change with time is fetched
once, the carry stays in the memory of the core (VMEM), and while a step is computed the
next one's input is already on its way. Diamos et al. 2016, "Persistent RNNs".

The gradient is a second such kernel, back over time, with

    d L / d (U h_{t-1}) from what each step kept;  then U's gradient in one product,
    d L / d U  =  sum_t  h_{t-1}^T  d L / d (U h_{t-1})

as in `deferred`. What it takes: `pallas_sizes.suitable_rows`.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from seq2seq_jax.nn.pallas_gates import GATES
from seq2seq_jax.nn.pallas_sizes import LANES, filled, vmem
from seq2seq_jax.types import Array, Carry, Params


class Plan(NamedTuple):
    """What a kernel is made for; hashable.

    Attributes:
        kind: an entry of `GATES`.
        rows: of the batch that are computed at once.
        reverse: back over time.
        interpret: as ordinary operations, on any device; to test it.
    """

    kind: str
    rows: int
    reverse: bool
    interpret: bool


def run(
    plan: Plan,
    params: Params,
    carry: Carry,
    projected: jax.Array,
    mask: Array | None = None,
    drop: Array | None = None,
) -> tuple[Carry, jax.Array]:
    """What `cells.run_cell` gives for this cell, in float32; see there.

    No gradient flows into `drop`, which is noise. Units and rows that fill up a size to
    whole registers stay 0: their weights and inputs are 0.
    """
    gates, size = GATES[plan.kind], carry[-1].shape[-1]
    *lead, steps, _ = projected.shape
    units = (0, filled(size, LANES) - size)

    def by_gate(x: jax.Array) -> jax.Array:
        """`[..., G*H]` with each gate's H filled up."""
        each = x.reshape(*x.shape[:-1], gates.fused, size)
        each = jnp.pad(each, [(0, 0)] * (each.ndim - 1) + [units])
        return each.reshape(*x.shape[:-1], -1)

    def in_rows(x: Any, *shape: int) -> jax.Array:
        """`[B, *shape]` of any leading dimensions, filled up to whole tiles."""
        x = jnp.broadcast_to(x, (*lead, *shape)).reshape(-1, *shape)
        fill = filled(len(x), plan.rows) - len(x)
        return jnp.pad(x, [(0, fill)] + [(0, 0)] * len(shape))

    def state(x: Any) -> jax.Array:
        """`[B, H]`, both filled up."""
        return jnp.pad(in_rows(x, size), [(0, 0), units])

    like = projected
    ones = jnp.ones_like(like, shape=())
    real = ones if mask is None else jnp.asarray(mask)[..., None]
    last, outputs = sequence(
        plan,
        jnp.pad(by_gate(params["recurrent"]), [units, (0, 0)]),
        by_gate(gates.row(params)),
        tuple(state(part) for part in carry),
        jnp.swapaxes(by_gate(in_rows(projected, *projected.shape[-2:])), 0, 1),
        jnp.swapaxes(in_rows(real, steps, 1), 0, 1).astype(jnp.float32),
        state(ones if drop is None else jax.lax.stop_gradient(drop)),
    )
    count = math.prod(lead)
    last = tuple(part[:count, :size].reshape(*lead, size) for part in last)
    outputs = jnp.swapaxes(outputs, 0, 1)[:count, :, :size]
    return last, outputs.reshape(*lead, steps, size)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def sequence(
    plan: Plan,
    kernel: jax.Array,
    row: jax.Array,
    first: Carry,
    projected: jax.Array,
    real: jax.Array,
    drop: jax.Array,
) -> tuple[Carry, jax.Array]:
    """`(last carry, outputs [T, B, H])`; sizes are whole: H in lanes, B in tiles.

    Args:
        plan: the kernel's.
        kernel: U `[H, G*H]`.
        row: b' `[1, G*H]`.
        first: carry, `[B, H]` each.
        projected: `[T, B, G*H]`.
        real: `[T, B, 1]`, 1 where the step is made and 0 where the carry stands still.
        drop: `[B, H]`, times h_{t-1} before the product.
    """
    return forward(plan, False, kernel, row, first, projected, real, drop)[0]


def forward(
    plan: Plan,
    keep: bool,
    kernel: jax.Array,
    row: jax.Array,
    first: Carry,
    projected: jax.Array,
    real: jax.Array,
    drop: jax.Array,
) -> tuple[tuple[Carry, jax.Array], tuple]:
    """`sequence`, and with `keep` what its gradient needs of each step.

    That is `(gates [T, B, S*H], *carry before [T, B, H])`.
    """
    size = drop.shape[-1]
    widths = (GATES[plan.kind].saved * size, *[size] * len(first)) if keep else ()
    (outputs, *kept), last = call(
        plan,
        forward_step,
        plan.reverse,
        (kernel, row),
        (projected, real),
        (drop, *first),
        (size, *widths),
        [size] * len(first),
    )
    return (last, outputs), tuple(kept)


def forward_step(
    plan: Plan, whole: tuple, now: tuple, still: tuple, out: tuple, carry: tuple
) -> None:
    """One step of `forward`: the carry's place is that of the last one."""
    (kernel, row), (projected, real), (drop, *first) = whole, now, still
    outputs, *kept = out

    @pl.when(pl.program_id(1) == 0)
    def _() -> None:
        for part, given in zip(carry, first, strict=True):
            part[...] = given[...]

    before = tuple(part[...] for part in carry)
    seen = (before[-1] * drop[...]).astype(kernel.dtype)
    product = jnp.dot(seen, kernel[...], preferred_element_type=jnp.float32)
    new, saved = GATES[plan.kind].forward(projected[...], product + row[...], before)
    made = jnp.broadcast_to(real[...], before[-1].shape) > 0.0
    for part, fresh, old in zip(carry, new, before, strict=True):
        part[...] = jnp.where(made, fresh, old)
    outputs[...] = jnp.where(made, new[-1], 0.0)
    if kept:
        for place, value in zip(kept, (saved, *before), strict=True):
            place[...] = value


def remember(plan: Plan, *arguments: Any) -> tuple:
    """`sequence`, and what its gradient needs."""
    kernel, _, _, _, real, drop = arguments
    results, kept = forward(plan, True, *arguments)
    return results, (kernel, real, drop, kept)


def backward(plan: Plan, residuals: tuple, slopes: tuple) -> tuple:
    """The gradients: a kernel back over time, and the products after it."""
    kernel, real, drop, kept = residuals
    last, outputs = slopes
    size = drop.shape[-1]
    (projected,), first = call(
        plan,
        backward_step,
        not plan.reverse,
        (kernel,),
        (outputs, real, *kept),
        (drop, *last),
        (GATES[plan.kind].fused * size,),
        [size] * len(last),
    )
    product = GATES[plan.kind].through(kept[0], projected)
    seen = (kept[-1] * drop).astype(kernel.dtype)
    weights = jnp.einsum(
        "tbh,tbg->hg",
        seen,
        product.astype(kernel.dtype),
        preferred_element_type=jnp.float32,
    )
    bias = jnp.sum(product, axis=(0, 1))[None]
    return weights.astype(kernel.dtype), bias, first, projected, None, None


def backward_step(
    plan: Plan, whole: tuple, now: tuple, still: tuple, out: tuple, slopes: tuple
) -> None:
    """One step of `backward`: the slopes' place is that of the first carry's."""
    (kernel,), (outputs, real, saved, *before), (drop, *last) = whole, now, still
    gates = GATES[plan.kind]

    @pl.when(pl.program_id(1) == 0)
    def _() -> None:
        for part, given in zip(slopes, last, strict=True):
            part[...] = given[...]

    after = [part[...] for part in slopes]
    made = jnp.broadcast_to(real[...], after[-1].shape) > 0.0
    new = (*after[:-1], after[-1] + outputs[...])
    kept, carry = saved[...], tuple(part[...] for part in before)
    projected, earlier = gates.backward(kept, carry, new)
    product = gates.through(kept, projected).astype(kernel.dtype)
    seen = jax.lax.dot_general(
        product,
        kernel[...],
        (((1,), (1,)), ((), ())),
        preferred_element_type=jnp.float32,
    )
    earlier = (*earlier[:-1], earlier[-1] + seen * drop[...])
    for part, fresh, old in zip(slopes, earlier, after, strict=True):
        part[...] = jnp.where(made, fresh, old)
    real = jnp.broadcast_to(real[...], projected.shape) > 0.0
    out[0][...] = jnp.where(real, projected, 0.0)


sequence.defvjp(remember, backward)


def blocks(plan: Plan, steps: int, reverse: bool) -> tuple[Callable, Callable]:
    """Of what lies over time its step and its tile's rows; of the others those rows."""

    def at(x: Any) -> pl.BlockSpec:
        shape = (None, plan.rows, x.shape[-1])
        return pl.BlockSpec(shape, lambda b, t: (steps - 1 - t if reverse else t, b, 0))

    def tile(x: Any) -> pl.BlockSpec:
        return pl.BlockSpec((plan.rows, x.shape[-1]), lambda b, t: (b, 0))

    return at, tile


def fetched_once(x: Any) -> pl.BlockSpec:
    """All of a matrix, in one buffer."""
    return pl.BlockSpec(x.shape, lambda b, t: (0, 0), pipeline_mode=pl.Buffered(1))


def call(
    plan: Plan,
    step: Any,
    reverse: bool,
    whole: tuple,
    now: tuple,
    still: tuple,
    out_now: Any,
    out_still: Any,
) -> tuple[list, tuple]:
    """`(outputs [T, B, width], states [B, width])` of a kernel over (tiles, time).

    Args:
        plan: the kernel's.
        step: `(plan, whole, now, still, outputs, states)`, all of them references to
            what the step may see; the states stay from step to step.
        reverse: whether the grid goes back over time.
        whole: matrices that every step sees.
        now: `[T, B, width]`, of which a step sees its own and its tile's.
        still: `[B, width]`, of which it sees its tile's.
        out_now: widths.
        out_still: widths.
    """
    steps, rows, _ = now[0].shape
    at, tile = blocks(plan, steps, reverse)

    def made(*shape: int) -> Any:
        # From data: it varies over devices as the data does.
        return jax.eval_shape(lambda x: jnp.zeros_like(x, shape=shape), now[0])

    shapes = (
        tuple(made(steps, rows, width) for width in out_now),
        tuple(made(rows, width) for width in out_still),
    )
    return pl.pallas_call(
        partial(step, plan),
        shapes,
        grid=(rows // plan.rows, steps),
        in_specs=(
            tuple(map(fetched_once, whole)),
            tuple(map(at, now)),
            tuple(map(tile, still)),
        ),
        out_specs=(tuple(map(at, shapes[0])), tuple(map(tile, shapes[1]))),
        compiler_params=pltpu.CompilerParams(vmem_limit_bytes=vmem()),
        interpret=plan.interpret,
        name=f"{plan.kind}_{step.__name__}",
    )(whole, now, still)
