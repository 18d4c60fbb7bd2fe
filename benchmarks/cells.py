"""One layer forward and backward: ours, by either scan, and PyTorch's, in one run.

    python benchmarks/cells.py --cell lstm --torch-python OTHER/bin/python

T steps of B rows and H units from inputs as wide, all of them real, in float32; the
gradient in the weights and in the inputs. PyTorch's nn.LSTM or nn.GRU is asked for in
an environment of its own, by its interpreter.
"""

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import contest
import tyro

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Options:
    """What to compute."""

    cell: Literal["lstm", "gru"] = "lstm"
    """the cell"""
    steps: int = 50
    """T"""
    rows: int = 64
    """B"""
    size: int = 512
    """H"""
    rounds: int = 12
    """rounds of each contestant"""
    torch_python: str | None = None
    """an interpreter that has torch"""
    output: Path | None = None
    """file for all numbers, as JSON"""
    worker: str | None = None
    """be a contestant: an entry of `recurrence.SCANS`"""


def main() -> None:
    """Hold the contest, or be in it."""
    options = tyro.cli(Options, description=__doc__)
    if options.worker:
        compete(options, options.worker)
        return
    sizes = [str(getattr(options, name)) for name in ("cell", "steps", "rows", "size")]
    mine = [f"--{name}={value}" for name, value in zip(names(), sizes, strict=True)]
    entries = [
        contest.Contestant(name, [sys.executable, __file__, *mine, f"--worker={scan}"])
        for name, scan in (("seq2seq_jax", "deferred"), ("by lax.scan", "plain"))
    ]
    if options.torch_python:
        theirs = [options.torch_python, str(HERE / "torch_cells.py"), *sizes]
        entries.append(contest.Contestant("PyTorch", theirs))
    results = contest.hold(entries, options.rounds)
    print(contest.table(results, 1, "layers"))
    if options.output:
        contest.keep(options.output, results, sizes=sizes)


def names() -> list[str]:
    """Of the four fields that every contestant is told."""
    return [field.name for field in fields(Options)][:4]


def compete(options: Options, scan: str) -> None:
    """A layer as the encoder runs it."""
    import jax
    import jax.numpy as jnp

    from seq2seq_jax.allocation import keep_freed_memory
    from seq2seq_jax.config import ModelConfig
    from seq2seq_jax.nn import backends, layers
    from seq2seq_jax.nn.cells import CELLS

    keep_freed_memory()
    config = ModelConfig(cell=options.cell, hidden_size=options.size, scan=scan)
    cell = CELLS[options.cell]
    params = cell.init(
        jax.random.key(0), options.size, options.size, layers.initializers()
    )
    inputs = jax.random.normal(
        jax.random.key(1), (options.rows, options.steps, options.size)
    )

    @jax.jit
    def slopes(params, inputs):
        def total(params, inputs):
            carry = cell.initial_carry(inputs[:, 0], options.size)
            return jnp.sum(backends.run(params, config, carry, inputs)[1])

        return jax.grad(total, (0, 1))(params, inputs)

    contest.serve_jax(lambda: slopes(params, inputs))


if __name__ == "__main__":
    main()
