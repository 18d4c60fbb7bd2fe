"""How all steps of a layer are computed, by name in `BACKENDS`, chosen by platform.

Every entry computes what `cells.run_cell` computes. The scan takes every cell and runs
everywhere; the others take what their refusals leave, on a platform of their own, and
leave the rest to the scan: what only the shapes of an array tell, they refuse there.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import cudnn, pallas_sizes, sizes
from seq2seq_jax.nn.cells import CELLS, run_cell
from seq2seq_jax.nn.pallas_gates import GATES
from seq2seq_jax.nn.recurrence import in_time_order, scan_of
from seq2seq_jax.types import Array, Carry, Params

# What `auto` takes, by `jax.default_backend()`; elsewhere it is the scan. Not cuDNN,
# which no test runs.
AUTO = {"tpu": "pallas"}

Run = tuple[Carry, jax.Array]


class Backend(NamedTuple):
    """One way to compute a layer.

    Attributes:
        refuse: `config -> reason`, why no layer of the model can be computed so; None:
            it can.
        from_inputs: `(params, config, carry, x, mask, drop, reverse) -> (carry,
            outputs)`, or None where it leaves these to `from_projected`.
        from_projected: the same from the cell's projected input; None: to the scan.
    """

    refuse: Callable[[ModelConfig], str | None]
    from_inputs: Callable[..., Run | None]
    from_projected: Callable[..., Run | None]


def run(
    params: Params,
    config: ModelConfig,
    carry: Carry,
    x: jax.Array,
    mask: Array | None = None,
    drop: Array | None = None,
    zones: Carry | None = None,
    *,
    reverse: bool = False,
) -> Run:
    """All steps of a layer from its input `x [..., T, D]`: `(last carry, outputs)`.

    Where there is a mask it is true up to a length in each row, without gaps.

    Args:
        params: of the cell.
        config: the model's; its cell, zoneout, scan and backend count here.
        carry: the first one.
        x: the input of all steps.
        mask: `[..., T]`.
        drop: see `cells`.
        zones: see `cells.zoned_step`.
        reverse: from the last real position to the first.
    """
    if config.zoneout == 0.0:
        backend = BACKENDS[chosen(config)]
        made = backend.from_inputs(params, config, carry, x, mask, drop, reverse)
        if made is not None:
            return made
    projected = in_time_order(partial(CELLS[config.cell].project, params), x)
    return run_projected(
        params, config, carry, projected, mask, drop, zones, reverse=reverse
    )


def run_projected(
    params: Params,
    config: ModelConfig,
    carry: Carry,
    projected: jax.Array,
    mask: Array | None = None,
    drop: Array | None = None,
    zones: Carry | None = None,
    *,
    reverse: bool = False,
) -> Run:
    """`run` where the cell has already projected the input: `[..., T, G*H]`."""
    if config.zoneout == 0.0:
        backend = BACKENDS[chosen(config)]
        made = backend.from_projected(
            params, config, carry, projected, mask, drop, reverse
        )
        if made is not None:
            return made
    return by_scan(params, config, carry, projected, mask, drop, zones, reverse)


def by_scan(
    params: Params,
    config: ModelConfig,
    carry: Carry,
    projected: jax.Array,
    mask: Array | None,
    drop: Array | None = None,
    zones: Carry | None = None,
    reverse: bool = False,
) -> Run:
    """`run_cell` as the config has it: what the others leave."""
    return run_cell(
        CELLS[config.cell],
        params,
        carry,
        projected,
        mask,
        drop,
        zones,
        config.zoneout,
        reverse=reverse,
        scan=scan_of(config),
    )


def chosen(config: ModelConfig, platform: str | None = None) -> str:
    """The backend's name, with `auto` resolved: for a platform, or for this process's.

    It does not go by `jax.lax.platform_dependent` alone: that traces every branch,
    which on a CPU would more than double the time to trace a layer. So what is compiled
    for a TPU on a host without one must name its backend.

    >>> chosen(ModelConfig(), "tpu"), chosen(ModelConfig(), "cpu")
    ('pallas', 'scan')
    """
    if config.backend != "auto":
        return config.backend
    return AUTO.get(platform or jax.default_backend(), "scan")


def nothing(*_: Any) -> None:
    """No reason, and nothing made."""


def pallas_refuses(config: ModelConfig) -> str | None:
    """A cell without a kernel, zoneout, or weights that are too large."""
    if config.cell not in GATES:
        return (
            f"has no kernel for model.cell {config.cell!r}: set model.cell to one of "
            f"{', '.join(GATES)}, or model.backend auto"
        )
    if config.zoneout:
        return "has no zoneout: set model.zoneout 0, or model.backend auto"
    bytes_each = jnp.dtype(config.dtype).itemsize
    for size in {config.hidden_size, sizes.decoder_size(config)}:
        if not pallas_sizes.tile_rows(config.cell, 1, size, bytes_each):
            return (
                f"keeps a layer's recurrent weights on the chip, but those of {size} "
                f"units in {config.dtype} do not fit: set model.backend auto"
            )
    return None


def pallas_run(
    params: Params,
    config: ModelConfig,
    carry: Carry,
    projected: jax.Array,
    mask: Array | None,
    drop: Array | None,
    reverse: bool,
) -> Run | None:
    """The kernel of `pallas_cells` on a TPU.

    Elsewhere it is the scan where `auto` chose it, and the kernel in Pallas's
    interpreter where the config names it. (The interpreter does not run under a
    `shard_map` with `check_vma`; compiled kernels do, and both do under `pmap`.)
    """
    rows = pallas_sizes.suitable_rows(config.cell, params, carry, projected)
    if not rows:
        return None
    # Imported late: it takes a while, and a run on a CPU never needs it.
    from seq2seq_jax.nn import pallas_cells

    plan = pallas_cells.Plan(config.cell, rows, reverse, interpret=False)

    def kernel(plan: Any) -> Callable[..., Run]:
        return lambda *given: pallas_cells.run(plan, *given)

    def scan(params: Params, carry: Carry, projected: Any, mask: Any, drop: Any) -> Run:
        return by_scan(params, config, carry, projected, mask, drop, reverse=reverse)

    interpreted = kernel(plan._replace(interpret=True))
    return jax.lax.platform_dependent(
        params,
        carry,
        projected,
        mask,
        drop,
        tpu=kernel(plan),
        default=scan if config.backend == "auto" else interpreted,
    )


def cudnn_refuses(config: ModelConfig) -> str | None:
    """All but plain LSTMs in float32 on a GPU."""
    for field, only in (
        ("cell", "lstm"),
        ("zoneout", 0.0),
        ("recurrent_dropout", 0.0),
        ("dtype", "float32"),
    ):
        if getattr(config, field) != only:
            return f"needs model.{field} {only}: set it, or model.backend auto"
    if jax.default_backend() != "gpu":
        return (
            f"needs a GPU, but JAX runs on {jax.default_backend()!r} here: set "
            f"model.backend auto"
        )
    return None


def cudnn_run(
    params: Params,
    config: ModelConfig,
    carry: Carry,
    x: jax.Array,
    mask: Array | None,
    drop: Array | None,
    reverse: bool,
) -> Run | None:
    """cuDNN on a GPU by NVIDIA; a model trained so runs elsewhere by the scan."""
    plain = drop is None and x.dtype == jnp.float32
    if not plain or jax.default_backend() != "gpu":
        return None

    def scan(params: Params, carry: Carry, x: jax.Array, mask: Any) -> Run:
        projected = CELLS[config.cell].project(params, x)
        return by_scan(params, config, carry, projected, mask, reverse=reverse)

    def whole(params: Params, carry: Carry, x: jax.Array, mask: Any) -> Run:
        return cudnn.run(params, carry, x, mask, reverse)

    return jax.lax.platform_dependent(params, carry, x, mask, cuda=whole, default=scan)


BACKENDS = {
    "scan": Backend(nothing, nothing, nothing),
    "pallas": Backend(pallas_refuses, nothing, pallas_run),
    "cudnn": Backend(cudnn_refuses, cudnn_run, nothing),
}
