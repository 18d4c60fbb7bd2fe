"""The chunked loss against whole logits, ours and PyTorch's, in one run.

    python benchmarks/loss.py --torch-python OTHER/bin/python

B rows of up to T tokens, so uneven in length that the given share of positions is
padding; readouts of R numbers; the sum of cross-entropies over the real tokens and its
gradient in readouts, matrix and bias, in float32. `nn/losses.py` works in chunks and
has its gradient written by hand; "whole logits" is optax's cross-entropy of all logits
`[B, T, V]` and autodiff; PyTorch has `F.cross_entropy` of the real tokens alone, in an
environment of its own, by its interpreter. Of the programs of JAX, XLA tells how much
memory they need for temporary values.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import contest
import numpy as np
import tyro

HERE = Path(__file__).resolve().parent
WAYS = {"chunks": "seq2seq_jax", "whole": "whole logits"}


@dataclass(frozen=True)
class Options:
    """What to compute."""

    vocabulary: tuple[int, ...] = (8000, 50_000)
    """V, one contest each"""
    rows: int = 64
    """B"""
    steps: int = 50
    """T"""
    size: int = 512
    """R"""
    padding: float = 0.3
    """share of positions that are padding, below a half"""
    rounds: int = 7
    """rounds of each contestant"""
    torch_python: str | None = None
    """an interpreter that has torch"""
    output: Path | None = None
    """file for all numbers, as JSON"""
    worker: str | None = None
    """be a contestant, chunks or whole, for the one vocabulary that is given"""


def main() -> None:
    """Hold a contest for each vocabulary, or be in one."""
    options = tyro.cli(Options, description=__doc__)
    if not 0 <= options.padding < 0.5:
        sys.exit(f"--padding is {options.padding}, expected 0 to below 0.5")
    if options.worker:
        compete(options, options.worker)
        return
    real = int(lengths(options).sum())
    found, columns = {}, {"temporary memory": memory}
    for size in options.vocabulary:
        results = contest.hold(contestants(options, size), options.rounds)
        for way, name in WAYS.items():
            results[name]["temporary"] = temporary(options, way, size)
        found[size] = results
        print(f"V = {size:,}, {real:,} real tokens of {options.rows * options.steps:,}")
        print(contest.table(results, real / 1000, "1,000 tokens", columns))
        print()
    if options.output:
        told = {k: str(v) for k, v in vars(options).items() if v is not None}
        contest.keep(options.output, found, tokens=real, options=told)


def memory(result: dict[str, Any]) -> str:
    """The cell of a contestant's temporary memory; empty where nobody tells it."""
    size = result.get("temporary")
    return "" if size is None else f"{size / 2**20:,.0f} MiB"


def lengths(options: Options) -> np.ndarray:
    """Tokens of each row, evenly spread, the longest T."""
    shortest = (1 - 2 * options.padding) * options.steps
    spread = np.linspace(options.steps, shortest, options.rows)
    return np.maximum(spread.round().astype(int), 1)


def contestants(options: Options, vocabulary: int) -> list[contest.Contestant]:
    """Ours, the plain way, and PyTorch where there is one."""
    told = [f"--vocabulary={vocabulary}"]
    for name in ("rows", "steps", "size", "padding"):
        told.append(f"--{name}={getattr(options, name)}")
    found = [
        contest.Contestant(name, [sys.executable, __file__, *told, f"--worker={way}"])
        for way, name in WAYS.items()
    ]
    if options.torch_python:
        sizes = [vocabulary, options.steps, options.size, *lengths(options)]
        theirs = [options.torch_python, str(HERE / "torch_loss.py")]
        theirs += [str(size) for size in sizes]
        found.append(contest.Contestant("PyTorch", theirs))
    return found


def slopes_of(way: str) -> Any:
    """A jitted `(readout, kernel, bias, targets, mask) -> loss and its gradient`."""
    import jax
    import jax.numpy as jnp
    import optax

    from seq2seq_jax.nn.losses import linear_cross_entropy

    def whole(readout, kernel, bias, targets, mask):
        logits = readout @ kernel + bias
        each = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
        return jnp.sum(jnp.where(mask, each, 0.0))

    def chunks(readout, kernel, bias, targets, mask):
        return linear_cross_entropy(readout, kernel, bias, targets, mask).loss

    loss = {"whole": whole, "chunks": chunks}[way]
    return jax.jit(jax.value_and_grad(loss, (0, 1, 2)))


def shapes(options: Options, vocabulary: int) -> list[Any]:
    """The shapes of what `slopes_of` takes."""
    import jax
    import jax.numpy as jnp

    places = options.rows, options.steps
    numbers = (*places, options.size), (options.size, vocabulary), (vocabulary,)
    found = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in numbers]
    dtypes = jnp.int32, jnp.bool
    return found + [jax.ShapeDtypeStruct(places, dtype) for dtype in dtypes]


def temporary(options: Options, way: str, vocabulary: int) -> int:
    """Bytes that XLA says a program needs beside its arguments and results."""
    from seq2seq_jax.planning import memory

    lowered = slopes_of(way).lower(*shapes(options, vocabulary))
    return memory.compiled(lowered).memory.temporary


def compete(options: Options, way: str) -> None:
    """The loss and its gradient, of random numbers."""
    import jax.numpy as jnp

    from seq2seq_jax.allocation import keep_freed_memory

    keep_freed_memory()
    (vocabulary,) = options.vocabulary
    draw = np.random.default_rng(0)
    *numbers, ids, _ = shapes(options, vocabulary)
    given = [jnp.asarray(draw.normal(0, 0.05, x.shape), x.dtype) for x in numbers]
    given.append(jnp.asarray(draw.integers(0, vocabulary, ids.shape), ids.dtype))
    given.append(jnp.arange(options.steps) < lengths(options)[:, None])
    slopes = slopes_of(way)
    contest.serve_jax(lambda: slopes(*given))


if __name__ == "__main__":
    main()
