"""One layer forward and backward: ours, by either scan, Flax's, PyTorch's, in one run.

    python benchmarks/cells.py --cell lstm --torch-python OTHER/bin/python

T steps of B rows and H units from inputs as wide, all of them real, in float32; the
gradient in the weights and in the inputs. Flax's are nn.RNN of nn.OptimizedLSTMCell or
nn.GRUCell. PyTorch's nn.LSTM or nn.GRU is asked for in an environment of its own, by
its interpreter.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import contest
import tyro

HERE = Path(__file__).resolve().parent
CONTESTANTS = {"seq2seq_jax": "deferred", "by lax.scan": "plain", "Flax": "flax"}


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
    """be a contestant: an entry of `recurrence.SCANS`, or flax"""


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
        for name, scan in CONTESTANTS.items()
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


def compete(options: Options, way: str) -> None:
    """A layer's gradient in its parameters and in its inputs."""
    import jax
    import jax.numpy as jnp

    from seq2seq_jax.allocation import keep_freed_memory

    keep_freed_memory()
    params, run = flax_layer(options) if way == "flax" else our_layer(options, way)
    inputs = jax.random.normal(
        jax.random.key(1), (options.rows, options.steps, options.size)
    )

    @jax.jit
    def slopes(params, inputs):
        return jax.grad(lambda *given: jnp.sum(run(*given)), (0, 1))(params, inputs)

    contest.serve_jax(lambda: slopes(params, inputs))


def our_layer(options: Options, scan: str) -> tuple[Any, Callable[..., Any]]:
    """Parameters, and `(params, inputs) -> outputs`, as the encoder runs it."""
    import jax

    from seq2seq_jax.config import ModelConfig
    from seq2seq_jax.nn import backends, layers
    from seq2seq_jax.nn.cells import CELLS

    config = ModelConfig(cell=options.cell, hidden_size=options.size, scan=scan)
    cell = CELLS[options.cell]
    inits = layers.initializers()
    params = cell.init(jax.random.key(0), options.size, options.size, inits)

    def run(params, inputs):
        carry = cell.initial_carry(inputs[:, 0], options.size)
        return backends.run(params, config, carry, inputs)[1]

    return params, run


def flax_layer(options: Options) -> tuple[Any, Callable[..., Any]]:
    """The same of Flax, as its documentation has it."""
    import flax.linen as nn
    import jax
    import jax.numpy as jnp

    cell = {"lstm": nn.OptimizedLSTMCell, "gru": nn.GRUCell}[options.cell]
    layer = nn.RNN(cell(options.size))
    like = jnp.ones((options.rows, options.steps, options.size))
    return layer.init(jax.random.key(0), like), layer.apply


if __name__ == "__main__":
    main()
