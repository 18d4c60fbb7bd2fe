"""Weak scaling: a constant batch a device, on more and more of them.

    python benchmarks/scaling.py --plan-python OTHER/bin/python

First, a step of the recipe `text` on 1, 2, 4 and 8 host devices that XLA is told of.
All of them share this machine's cores, so no step can get faster. What can be seen is
what a device costs beside its own work: n devices on c cores ideally take n / min(n, c)
times as long as one. What is more than that is the overhead of a device: sums over
devices, waiting for the slowest, and cores that share memory and caches. XLA's own
threads are switched off, or one device would use all cores.

Then, what is predicted for accelerators: the step is compiled for them, ahead of time,
and the roofline of `seq2seq_jax/planning` tells how much of it is sending between
devices. Nothing is taken to overlap. It needs the packages that `seq2seq-jax plan`
needs; an interpreter that has them may be named.
"""

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import contest
import tyro


@dataclass(frozen=True)
class Options:
    """What is trained, and on what."""

    devices: tuple[int, ...] = (1, 2, 4, 8)
    """host devices, one contestant each"""
    topologies: tuple[str, ...] = ("v5e:2x4", "v5e:4x8", "h100:8")
    """devices that a step is compiled for; without any, nothing is predicted"""
    rows: int = 32
    """pairs of a batch on each device of the host"""
    length: int = 20
    """tokens of each side there"""
    far_rows: int = 64
    """pairs of a batch on each device of the topologies"""
    far_length: int = 50
    """tokens of each side there"""
    size: int = 128
    """units and embeddings there on the host; the topologies' have 512"""
    vocabulary: int = 8000
    """subwords of each side"""
    rounds: int = 7
    """rounds of each contestant"""
    steps: int = 4
    """steps of a round"""
    plan_python: str = sys.executable
    """an interpreter that has libtpu and the CUDA plugin"""
    output: Path | None = None
    """file for all numbers, as JSON"""
    worker: int | None = None
    """be the contestant with so many devices"""
    predict: str | None = None
    """print what is predicted for a topology, as JSON"""


def main() -> None:
    """Hold the contest and predict, or be a part of that."""
    options = tyro.cli(Options, description=__doc__)
    if options.worker:
        compete(options, options.worker)
        return
    if options.predict:
        print(json.dumps(predicted(options, options.predict)))
        return
    cores = len(os.sched_getaffinity(0))
    results = contest.hold(contestants(options), options.rounds)
    print(table(options, results, cores), end="\n\n")
    far = {name: ask(options, name) for name in options.topologies}
    print(far_table(far))
    if options.output:
        told = {k: str(v) for k, v in vars(options).items() if v is not None}
        facts = {"cores": cores, "predicted": far, "options": told}
        contest.keep(options.output, results, **facts)


def arguments(options: Options) -> list[str]:
    """The flags that a part of this needs."""
    names = "rows length far_rows far_length size vocabulary steps".split()
    return [f"--{n.replace('_', '-')}={getattr(options, n)}" for n in names]


def contestants(options: Options) -> list[contest.Contestant]:
    """One for each number of devices."""
    command = [sys.executable, __file__, *arguments(options)]
    return [
        contest.Contestant(str(count), [*command, f"--worker={count}"])
        for count in options.devices
    ]


def config_of(size: int, vocabulary: int, length: int, rows: int) -> Any:
    """The recipe `text` in a size."""
    from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig

    return Config(
        DataConfig(vocab_size=vocabulary, max_length=length, buckets=1),
        ModelConfig(
            hidden_size=size, decoder_hidden_size=2 * size, embedding_size=size
        ),
        TrainingConfig(batch_size=rows),
    )


def compete(options: Options, count: int) -> None:
    """Updates on so many devices, each with its share of a batch."""
    os.environ["XLA_FLAGS"] = (
        f"--xla_force_host_platform_device_count={count} "
        "--xla_cpu_multi_thread_eigen=false"
    )
    import jax

    from seq2seq_jax.planning import memory, programs
    from seq2seq_jax.training import optimizer, parallel

    rows, length = options.rows * count, options.length
    config = config_of(options.size, options.vocabulary, length, rows)
    shape, devices = programs.Shape(rows, length, length), parallel.local()
    step, given = programs.train_step(config, devices, shape)
    batch = jax.tree.map(memory.made_up, given[1:])
    tx = optimizer.make(config.training)
    state = programs.layout_of(config, devices, tx).first(jax.random.key(0))

    def one_round() -> Any:
        nonlocal state
        for _ in range(options.steps):
            state, metrics = step(state, *batch)
        return metrics

    contest.serve_jax(one_round)


def table(options: Options, results: dict[str, Any], cores: int) -> str:
    """A row a number of devices."""
    seconds = {
        int(name): statistics.median(told["seconds"]) / options.steps
        for name, told in results.items()
    }
    alone = seconds[min(seconds)] / min(seconds)
    rows = [
        f"{cores} cores, {options.rows} pairs a device",
        "| devices | step, ms | ideally, ms | overhead | spread of the rounds |",
        "|---|---|---|---|---|",
    ]
    for count, measured in seconds.items():
        ideal = alone * count / min(count, cores)
        each = results[str(count)]["seconds"]
        spread = (max(each) - min(each)) / statistics.median(each)
        cells = [f"{1e3 * measured:.1f}", f"{1e3 * ideal:.1f}"]
        cells += [f"{measured / ideal - 1:+.0%}", f"{spread:.0%}"]
        rows.append(f"| {count} | {' | '.join(cells)} |")
    return "\n".join(rows)


def ask(options: Options, topology: str) -> dict[str, Any]:
    """What another interpreter predicts for a topology."""
    command = [options.plan_python, __file__, *arguments(options)]
    done = subprocess.run(
        [*command, f"--predict={topology}"], stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        sys.exit(f"nothing is predicted for {topology}: what was said is above")
    return json.loads(done.stdout.splitlines()[-1])


def predicted(options: Options, name: str) -> dict[str, Any]:
    """Of a step with as many pairs on each device: seconds by what they go to."""
    from seq2seq_jax.planning import devices, report, targets

    topology = devices.parse(name)
    targets.prepare(topology)
    rows = options.far_rows * topology.number
    config = config_of(512, options.vocabulary, options.far_length, rows)
    plan = report.make(
        config,
        topology,
        targets.devices(topology),
        beam_size=1,
        search=False,
        largest=False,
    )
    step = plan.training
    return {
        "devices": topology.number,
        "seconds": step.seconds._asdict(),
        "all": step.seconds.all,
        "collectives": step.collectives,
        "sent": step.sent,
    }


def far_table(far: dict[str, dict[str, Any]]) -> str:
    """A row a topology."""
    heads = "| | step, ms | collectives | given to them, MB | sending, ms | its share |"
    rows = [heads, "|---|---|---|---|---|---|"]
    for name, told in far.items():
        links = told["seconds"]["links"]
        cells = [f"{1e3 * told['all']:.1f}", str(told["collectives"])]
        cells += [f"{told['sent'] / 1e6:.0f}", f"{1e3 * links:.2f}"]
        cells += [f"{links / told['all']:.1%}"]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
