"""Training pairs a second: this library against the same model in PyTorch, in one run.

    python benchmarks/training.py --data DIR --source en --target de \\
        --torch-python OTHER/bin/python

DIR holds `train.en` and `train.de`. Everyone gets the same batches: 64 pairs of about
equal length, 8,000 joint subwords. The model: embeddings of 256, a BiLSTM of 256 + 256,
an LSTM decoder of 512 with Luong's general attention, dropout 0.2, label smoothing,
clipping, Adam; `--size 512` for twice that. PyTorch is asked for in an environment of
its own, by its interpreter; without one, this library runs alone.
"""

import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import contest
import numpy as np
import tyro

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Options:
    """What to train on, and against what."""

    data: Path
    """folder of `train.X` for both sides"""
    source: str = "en"
    """ending of the source file"""
    target: str = "de"
    """ending of the target file"""
    size: int = 256
    """of embeddings and of each direction; the decoder has twice that"""
    rounds: int = 5
    """rounds of each contestant"""
    batches: int = 8
    """batches of a round"""
    rows: int = 64
    """pairs of a batch"""
    vocabulary: int = 8000
    """joint subwords"""
    torch_python: str | None = None
    """an interpreter that has torch"""
    feeding: bool = True
    """whether the last attentional vector is fed to the decoder"""
    compiled: bool = False
    """torch.compile as well"""
    output: Path | None = None
    """file for all numbers, as JSON"""
    worker: Path | None = None
    """be a contestant, on what this folder holds"""
    dtype: str = "float32"
    """of the contestant's products"""


def main() -> None:
    """Hold the contest, or be in it."""
    options = tyro.cli(Options, description=__doc__)
    if options.worker:
        compete(options, options.worker)
        return
    with tempfile.TemporaryDirectory() as folder:
        work = prepare(options, Path(folder))
        results = contest.hold(contestants(options, folder), options.rounds)
    pairs = sum(int(batch.target_mask.any(1).sum()) for batch in work)
    total = sum(flops(options, batch) for batch in work)
    columns = {"of that peak": lambda told: f"{share(told, total):.0%}"}
    print(contest.table(results, pairs, "pairs", columns))
    print(f"{1e-9 * total / pairs:.2f} GFLOP a pair, by the products of our step")
    if options.output:
        told = {k: str(v) for k, v in vars(options).items() if v is not None}
        contest.keep(options.output, results, pairs=pairs, options=told)


def contestants(options: Options, folder: str) -> list[contest.Contestant]:
    """Ours, then PyTorch's where there is one."""
    flags = [f"--data={options.data}", f"--worker={folder}", f"--size={options.size}"]
    flags += [f"--batches={options.batches}", f"--rows={options.rows}"]
    flags += [f"--vocabulary={options.vocabulary}"]
    flags += ["--feeding" if options.feeding else "--no-feeding"]
    ours = [sys.executable, __file__, *flags]
    found = [
        contest.Contestant("seq2seq_jax", ours),
        contest.Contestant("seq2seq_jax, bfloat16", [*ours, "--dtype=bfloat16"]),
    ]
    if options.torch_python:
        size = config_of(options).data.vocab_size
        theirs = [options.torch_python, str(HERE / "torch_model.py")]
        theirs += [f"{folder}/batches.npz", str(size), str(options.size)]
        theirs += ["feeding"] * options.feeding
        found.append(contest.Contestant("PyTorch", theirs))
        if options.compiled:
            command = [*theirs, "compiled"]
            found.append(contest.Contestant("PyTorch, compiled", command))
    return found


def config_of(options: Options):
    """The recipe `text` with the contest's sizes."""
    from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig

    files = {
        f"{split}_{side}": str(options.data / f"train.{getattr(options, side)}")
        for split in ("train", "dev")
        for side in ("source", "target")
    }
    return Config(
        DataConfig(vocab_size=options.vocabulary, shared_vocab=True, **files),
        ModelConfig(
            hidden_size=options.size,
            decoder_hidden_size=2 * options.size,
            embedding_size=options.size,
            attention="general",
            input_feeding=options.feeding,
            dropout=0.2,
            dtype=options.dtype,
        ),
        TrainingConfig(batch_size=options.rows),
    )


def prepare(options: Options, folder: Path) -> list:
    """Make the batches, and write them as arrays for whoever is not of this library."""
    from seq2seq_jax.data.pipeline import prepare as read
    from seq2seq_jax.data.plan import BatchPlan

    config = config_of(options)
    data = read(config, folder, lambda line: print(line, file=sys.stderr))
    plan = BatchPlan(data.train, config)
    made = [plan[number] for number in range(options.batches)]
    arrays = {}
    for number, batch in enumerate(made):
        fields = (
            ("source", batch.source),
            ("seen", batch.source_mask),
            ("said", batch.target_in),
            ("wanted", batch.target_out),
            ("mask", batch.target_mask),
        )
        arrays |= {f"{name}{number}": value for name, value in fields}
    np.savez(folder / "batches.npz", count=len(made), **arrays)
    return made


def flops(options: Options, batch: Any) -> float:
    """Of the products in our training step, for a batch of this shape."""
    import jax

    from seq2seq_jax.planning import costs, programs
    from seq2seq_jax.training import parallel

    shape = programs.Shape(*batch.source.shape, batch.target_in.shape[1])
    made = programs.train_step(config_of(options), parallel.local(), shape)
    step, arguments = made
    return costs.flops(jax.make_jaxpr(step)(*arguments).jaxpr)


def share(told: dict[str, Any], total: float) -> float:
    """Of the large product's speed that a contestant's rounds reached."""
    seconds = statistics.median(told["seconds"])
    return 1e-9 * total / seconds / statistics.median(told["peak"])


def compete(options: Options, folder: Path) -> None:
    """Update by update as `train.py` makes them, on one or more devices."""
    from seq2seq_jax.allocation import keep_freed_memory
    from seq2seq_jax.data.pipeline import prepare as read
    from seq2seq_jax.training.loop import Run
    from seq2seq_jax.training.reporting import Reporter

    keep_freed_memory()
    config = config_of(options)
    mine = folder / options.dtype
    mine.mkdir()
    data = read(config, folder, lambda line: None)
    run = Run(config, mine, data, Reporter(mine, 1, lambda line: None))
    state = run.initial_state()
    work = [run.cut(run.plan[number]) for number in range(options.batches)]

    def one_round() -> Any:
        nonlocal state
        for batch in work:
            state, metrics = run.step(state, *batch)
        return metrics

    contest.serve_jax(one_round)


if __name__ == "__main__":
    main()
