"""Contestants in processes of their own, timed in turns.

Each gets ready (loads, compiles, warms up), then does one round of the same work at a
time, one contestant after the other, so that whatever else the machine does hits all of
them alike. What counts is the median of a contestant's rounds, and its ratio to the
others'. In every round it also says how fast it multiplies two large matrices just
then: that is the machine, not the contestant.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

PEAK = (2048, 1024, 2048)  # rows, inner and columns of the two matrices


class Contestant(NamedTuple):
    """A name, and the command of a process that calls `serve`."""

    name: str
    command: Sequence[str]


def serve(work: Callable[[], object], multiply: Callable[[], object]) -> None:
    """Be a contestant: do a round whenever the contest asks for one.

    Args:
        work: a round of work, to its end; it is done once to warm up.
        multiply: one product of matrices of the sizes `PEAK`.
    """
    answer = sys.stdout
    sys.stdout = sys.stderr  # what libraries print is no answer
    work()
    multiply()
    print("ready", file=answer, flush=True)
    for _ in sys.stdin:
        rows, inner, columns = PEAK
        seconds = timed(work)
        peak = 2e-9 * rows * inner * columns / min(timed(multiply) for _ in range(3))
        print(json.dumps({"seconds": seconds, "peak": peak}), file=answer, flush=True)


def timed(call: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def serve_jax(work: Callable[[], Any]) -> None:
    """`serve` of work that returns arrays of JAX."""
    import jax
    import jax.numpy as jnp

    rows, inner, columns = PEAK
    a, b = jnp.ones((rows, inner)), jnp.ones((inner, columns))
    product = jax.jit(jnp.matmul)
    serve(
        lambda: jax.block_until_ready(work()),
        lambda: jax.block_until_ready(product(a, b)),
    )


def serve_torch(work: Callable[[], Any]) -> None:
    """`serve` of work by PyTorch."""
    import torch

    rows, inner, columns = PEAK
    a, b = torch.ones(rows, inner), torch.ones(inner, columns)
    serve(work, lambda: a @ b)


def hold(contestants: Sequence[Contestant], rounds: int) -> dict[str, dict[str, Any]]:
    """All rounds: seconds of each, and the peaks, in GFLOP/s, by name."""
    results: dict[str, dict[str, Any]] = {}
    running = []
    for name, command in contestants:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        # One after the other: compiling beside a warm-up would slow both.
        if read(process, name) != "ready":
            sys.exit(f"{name} did not get ready")
        running.append((name, process))
        results[name] = {"seconds": [], "peak": []}
    for number in range(rounds):
        for name, process in running:
            process.stdin.write("go\n")
            process.stdin.flush()
            for key, value in json.loads(read(process, name)).items():
                results[name][key].append(value)
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    for _, process in running:
        process.communicate()
    return results


def read(process: subprocess.Popen, name: str) -> str:
    """The next line that a contestant says."""
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        sys.exit(f"{name} ended ({process.wait()}); what it said is above")
    return line.strip()


def table(
    results: dict[str, dict[str, Any]],
    work: float,
    unit: str,
    more: Mapping[str, Callable[[dict[str, Any]], str]] | None = None,
) -> str:
    """A row a contestant: units of work a second, its ratio to the first, the peak.

    Args:
        results: of `hold`.
        work: units of work in a round.
        unit: their name.
        more: further columns, each made of a contestant's results.
    """
    more = more or {}
    heads = [f"{unit}/s", "ratio", "spread of the rounds", "product, GFLOP/s", *more]
    rows = [f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    medians = {n: statistics.median(r["seconds"]) for n, r in results.items()}
    first = next(iter(medians.values()))
    for name, median in medians.items():
        seconds, peaks = results[name]["seconds"], results[name]["peak"]
        spread = (max(seconds) - min(seconds)) / median
        cells = [name, f"{work / median:.3g}", f"{first / median:.2f}"]
        cells += [f"{spread:.0%}", f"{statistics.median(peaks):.0f}"]
        cells += [cell(results[name]) for cell in more.values()]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def keep(path: Path, results: dict[str, Any], **facts: Any) -> None:
    """Write all numbers as JSON."""
    text = json.dumps(facts | {"results": results}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
