"""Compile a lowered program, tell its memory, and time it where it can run."""

import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

REPEATS = 3
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "": 1}
# "Used 20.5G of 15.75G hbm", or "required for HLO temporaries (20.5G) exceeds".
OVER = re.compile(r"(?:Used |required for [\w ]+\()([\d.]+)([KMGT]?)")


class Memory(NamedTuple):
    """Bytes that a program needs of one device.

    Attributes:
        arguments: what it is given: the state and the batch.
        results: what it leaves that takes no argument's place.
        temporary: activations and other values in between.
        code: the program.
        peak: all of them.
    """

    arguments: int
    results: int
    temporary: int
    code: int
    peak: int


class Built(NamedTuple):
    """A compiled program: its memory, its text, and itself.

    The compiler refuses what exceeds a TPU's memory; then there is no text.
    """

    memory: Memory
    text: str
    run: Callable[..., Any] | None


def compiled(lowered: Any) -> Built:
    """Compile; a program that the compiler finds too large has its peak alone."""
    try:
        run = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        peak = asked_for(str(error))
        if peak is None:
            raise
        return Built(Memory(0, 0, peak, 0, peak), "", None)
    told = run.memory_analysis()
    arguments, temporary = told.argument_size_in_bytes, told.temp_size_in_bytes
    results = max(told.output_size_in_bytes - told.alias_size_in_bytes, 0)
    code = told.generated_code_size_in_bytes
    peak = arguments + results + temporary + code
    return Built(Memory(arguments, results, temporary, code, peak), run.as_text(), run)


def asked_for(refusal: str) -> int | None:
    """Bytes that the compiler says are too many; None where it refuses something else.

    >>> asked_for("RESOURCE_EXHAUSTED: required for HLO temporaries (1.5K) exceeds")
    1536
    """
    over = OVER.search(refusal) if "RESOURCE_EXHAUSTED" in refusal else None
    return int(float(over.group(1)) * UNITS[over.group(2)]) if over else None


def timed(run: Callable[..., Any], arguments: Any) -> float:
    """The shortest of several calls with made-up arguments, of real length throughout.

    What a call uses up is made anew for the next one.
    """
    times = []
    for _ in range(REPEATS + 1):
        given = jax.block_until_ready(jax.tree.map(made_up, arguments))
        start = time.perf_counter()
        jax.block_until_ready(run(*given))
        times.append(time.perf_counter() - start)
    return min(times[1:])


def made_up(leaf: Any) -> Any:
    """An array of a shape: true, ones, small numbers, or a key."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.key(0)
    if leaf.dtype == jnp.bool:
        return jnp.ones(leaf.shape, bool)
    if jnp.issubdtype(leaf.dtype, jnp.integer):
        return jnp.full(leaf.shape, 4, leaf.dtype)
    draw = np.random.default_rng(0)
    return jnp.asarray(draw.normal(0, 0.02, leaf.shape), leaf.dtype)
