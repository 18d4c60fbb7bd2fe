"""Which part of the model a training step's time goes to, by `jax.profiler`.

    python benchmarks/parts.py --picture parts.png

A step of the recipe `text` with B pairs of T tokens and V words, on one thread of one
CPU device. Every operation belongs to the part whose `jax.named_scope` its name has:
encoder, decoder, loss or update; what has none is "other" (dropout of embeddings and
readouts, sums of gradients). An operation is within a loop where XLA calls it from the
body of a `while`.
"""

import collections
import gzip
import json
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

PARTS = ("encoder", "decoder", "loss", "update")
LOOPED = ("encoder", "decoder")  # told in two: within loops over time, and outside
NAME = re.compile(r'op_name="([^"]*)"')
Times = dict[tuple[str, str], float]


@dataclass(frozen=True)
class Options:
    """The step, and what is made of its times."""

    rows: int = 64
    """B"""
    length: int = 18
    """T"""
    vocabulary: int = 8000
    """V"""
    size: int = 256
    """of embeddings and of each direction; the decoder has twice that"""
    attention: str = "additive"
    """the score"""
    steps: int = 10
    """steps that are recorded"""
    picture: Path | None = None
    """file for a picture"""


def main() -> None:
    """Compile, record, tell."""
    options = tyro.cli(Options, description=__doc__)
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    times = measured(options)
    print(table(times))
    if options.picture:
        draw(times, options.picture)


def measured(options: Options) -> Times:
    """Milliseconds a step, by what `kinds` tells of its operations."""
    import jax

    from seq2seq_jax.allocation import keep_freed_memory
    from seq2seq_jax.planning import memory

    keep_freed_memory()
    step, arguments = step_of(options)
    built = step.lower(*arguments).compile()
    of = kinds(built.as_text())
    given = [
        jax.block_until_ready(jax.tree.map(memory.made_up, arguments))
        for _ in range(options.steps + 1)
    ]
    jax.block_until_ready(built(*given.pop()))
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for each in given:
                jax.block_until_ready(built(*each))
        times: Times = collections.defaultdict(float)
        for name, micros in operations(Path(folder)):
            times[of[name]] += 1e-3 * micros / options.steps
    return times


def step_of(options: Options) -> tuple[Any, Any]:
    """The training step and the shapes of its arguments."""
    from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig
    from seq2seq_jax.planning import programs
    from seq2seq_jax.training import parallel

    config = Config(
        DataConfig(vocab_size=options.vocabulary, max_length=options.length),
        ModelConfig(
            hidden_size=options.size,
            decoder_hidden_size=2 * options.size,
            embedding_size=options.size,
            attention=options.attention,
        ),
        TrainingConfig(batch_size=options.rows),
    )
    shape = programs.Shape(options.rows, options.length, options.length)
    return programs.train_step(config, parallel.local(), shape)


def kinds(text: str) -> dict[str, tuple[str, str]]:
    """Part and direction of each operation of a compiled program, by its name.

    XLA's own copies have no name in the model: they are taken for what most others of
    the same computation, the body of a loop, are.
    """
    from seq2seq_jax.planning import hlo

    found = {}
    module = hlo.parse(text)
    for name, computation in module.computations.items():
        told = {
            operation: kind(called.group(1))
            for operation, instruction in computation.instructions.items()
            if (called := NAME.search(instruction.attributes))
        }
        usual = collections.Counter(told.values()).most_common(1)
        looped = usual and name != module.entry and "in loops" in usual[0][0][0]
        rest = usual[0][0] if looped else ("other", "forward")
        found |= dict.fromkeys(computation.instructions, rest) | told
    return found


def kind(name: str) -> tuple[str, str]:
    """Part and direction, from an operation's name.

    >>> kind("jit(step)/transpose(jvp(decoder))/while/body/dot_general")
    ('decoder, in loops', 'back')
    """
    part = next((part for part in PARTS if re.search(rf"\b{part}\b", name)), "other")
    if part in LOOPED:
        part += ", in loops" if "/while/" in name else ", all steps at once"
    return part, "back" if "transpose(" in name else "forward"


def operations(folder: Path) -> Iterator[tuple[str, float]]:
    """Names and microseconds of what the profiler saw run."""
    (file,) = folder.rglob("*.trace.json.gz")
    with gzip.open(file) as stream:
        events = json.load(stream)["traceEvents"]
    for event in events:
        name = (event.get("args") or {}).get("hlo_op")
        if event.get("ph") == "X" and name:
            yield name, event["dur"]


def in_order(times: Times) -> list[tuple[str, float, float]]:
    """Part, milliseconds forward and back, the longest first."""
    parts = {part for part, _ in times}
    rows = [(p, times.get((p, "forward"), 0), times.get((p, "back"), 0)) for p in parts]
    return sorted(rows, key=lambda row: -row[1] - row[2])


def table(times: Times) -> str:
    """A row a part."""
    whole = sum(times.values())
    rows = ["| | forward, ms | back, ms | share |", "|---|---|---|---|"]
    rows += [
        f"| {part} | {forward:.1f} | {back:.1f} | {(forward + back) / whole:.0%} |"
        for part, forward, back in in_order(times)
    ]
    return "\n".join([*rows, f"| all | | {whole:.1f} | |"])


def draw(times: Times, path: Path) -> None:
    """Bars of the parts, forward and back."""
    from matplotlib.figure import Figure

    rows = in_order(times)[::-1]
    whole = sum(times.values())
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.subplots()
    names = [part for part, _, _ in rows]
    forward = [row[1] / whole * 100 for row in rows]
    back = [row[2] / whole * 100 for row in rows]
    axes.barh(names, forward, label="forward", color="#4c78a8")
    axes.barh(names, back, left=forward, label="back", color="#f58518")
    axes.set_xlabel("share of a training step, %")
    axes.legend(loc="lower right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
