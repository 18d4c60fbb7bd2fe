"""Facts about the CPU that this process runs on, measured in about a second."""

import os
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from seq2seq_jax.planning import hlo, work
from seq2seq_jax.planning.devices import DEVICES, Device

SIDE = 512  # of the product's square matrices
SIZES = (2**18, 2**22, 2**26)  # bytes of the arrays that are copied
STEPS = 500  # of a loop with nothing to do
REPEATS = 5


def cpu(dtype: str) -> Device:
    """The CPU, with its FLOP/s in products of that type."""
    square = jnp.ones((SIDE, SIDE), dtype)
    flops = 2 * SIDE**3 / seconds(lambda x: x @ x, square)
    rates = [(size, copy_rate(size)) for size in SIZES]
    return DEVICES["cpu"]._replace(
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        flops={dtype: flops},
        rates=((0, rates[0][1]), *rates[1:]),
        link=rates[-1][1],
        launch=launch(),
    )


def copy_rate(size: int) -> float:
    """Bytes/s, reading and writing, of `x + 1` for an array of that many bytes."""
    numbers = jnp.zeros(size // 4, jnp.float32)
    return 2 * size / seconds(lambda x: x + 1, numbers)


def launch() -> float:
    """Seconds that one operation of a loop costs if it has next to nothing to do."""
    small = jnp.ones((2, 2))

    def loop(x: jax.Array) -> jax.Array:
        step = lambda h, _: (jnp.tanh(h @ x), None)  # noqa: E731
        return jax.lax.scan(step, x, None, length=STEPS)[0]

    compiled = jax.jit(loop).lower(small).compile()
    items = work.items(hlo.parse(compiled.as_text() or ""), unknown=1)
    kernels = sum(item.times for item in items if item.kernel)
    return best(compiled, small) / max(kernels, 1)


def seconds(function: Callable, *args: Any) -> float:
    """The shortest time of a call."""
    return best(jax.jit(function).lower(*args).compile(), *args)


def best(compiled: Callable, *args: Any) -> float:
    """The shortest of several calls."""
    times = []
    jax.block_until_ready(compiled(*args))
    for _ in range(REPEATS):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*args))
        times.append(time.perf_counter() - start)
    return min(times)
