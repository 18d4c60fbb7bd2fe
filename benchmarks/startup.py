"""How long a program takes to start: to its first update, to its first translated line.

    python benchmarks/startup.py

Of `train.py` with the recipe `text` on a made-up corpus, seconds from the start of the
process to the line that it prints once the first update's loss is there; of
`seq2seq-jax translate` with one line of input, to the line that it answers. In turns:
with an empty folder for compiled programs; with what the first time left there, a
training in a new workdir; and the same training again, whose workdir has the tokenised
data too. A training that has told its first update is killed.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import loader
import tyro

ROOT = Path(__file__).resolve().parent.parent
UPDATE = "step 1/"  # how the line of the first update begins
STATE = " parameters, "  # the line between reading the data and the first batch
HEADS = ("first update or line, s", "shortest", "longest", "of it before the step, s")


@dataclass(frozen=True)
class Options:
    """What to start."""

    pairs: int = 5000
    """of the made-up corpus"""
    size: int = 256
    """of embeddings and of each direction; the decoder has twice that"""
    vocabulary: int = 8000
    """largest vocabulary of a side"""
    tokenizer: str = "word"
    """char, byte, word or sentencepiece"""
    max_length: int = 50
    """longest sequence in tokens"""
    buckets: int = 6
    """largest number of batch shapes; the first update needs one of them"""
    rounds: int = 5
    """times that everything is started"""
    output: Path | None = None
    """file for all numbers, as JSON"""


def main() -> None:
    """Train a model to translate with, then start everything in turns."""
    options = tyro.cli(Options, description=__doc__)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        loader.write(folder / "train.tsv", options.pairs)
        line = (folder / "dev.tsv").read_text("utf-8").partition("\t")[0]
        (folder / "in.txt").write_text(f"{line}\n", encoding="utf-8")
        prepare(options, folder)
        results: dict[str, list[dict[str, float]]] = {}
        for number in range(options.rounds):
            for name, moments in one_round(options, folder, str(number)):
                results.setdefault(name, []).append(moments)
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    print(table(results))
    if options.output:
        told = {k: str(v) for k, v in vars(options).items() if v is not None}
        text = json.dumps({"options": told, "results": results}, indent=1)
        options.output.write_text(text + "\n", encoding="utf-8")


def prepare(options: Options, folder: Path) -> None:
    """A model of one update in `model`; libraries are in the system's cache then."""
    flags = ["--training.steps=1", "--training.eval-examples=1"]
    done = subprocess.run(
        [*training(options, folder, "model"), *flags],
        env=environment(folder / "prepared"),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"train.py ended with {done.returncode}:\n{done.stderr}")


def training(options: Options, folder: Path, workdir: str) -> list[str]:
    """The command of a training that reports each update."""
    told = {
        "data.train_tsv": folder / "train.tsv",
        "data.dev_tsv": folder / "dev.tsv",
        "data.source_tokenizer": options.tokenizer,
        "data.target_tokenizer": options.tokenizer,
        "data.vocab_size": options.vocabulary,
        "data.max_length": options.max_length,
        "data.buckets": options.buckets,
        "model.hidden_size": options.size,
        "model.decoder_hidden_size": 2 * options.size,
        "model.embedding_size": options.size,
        "training.log_every": 1,
    }
    flags = [f"--{name}={value}" for name, value in told.items()]
    recipe = [str(ROOT / "configs" / "text.py"), f"--workdir={folder / workdir}"]
    return [sys.executable, str(ROOT / "train.py"), *recipe, *flags]


def environment(programs: Path) -> dict[str, str]:
    """That of a process which keeps its compiled programs in a folder."""
    ours = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    return os.environ | {"JAX_COMPILATION_CACHE_DIR": str(programs), "PYTHONPATH": ours}


def one_round(
    options: Options, folder: Path, number: str
) -> list[tuple[str, dict[str, float]]]:
    """Start everything once; names, and the moments of each start."""
    translate = [sys.executable, "-m", "seq2seq_jax.cli", "translate"]
    translate += [f"--workdir={folder / 'model'}", f"--input={folder / 'in.txt'}"]
    found = []
    for name, new in (("cache empty", "a"), ("cache full", "b"), ("again", "b")):
        command = training(options, folder, f"{number}{new}")
        programs = environment(folder / f"train{number}")
        found.append((f"train.py, {name}", begun(command, programs)))
    for name in ("cache empty", "cache full"):
        programs = environment(folder / f"translate{number}")
        found.append((f"translate, {name}", answered(translate, programs)))
    return found


def begun(command: Sequence[str], environment: dict[str, str]) -> dict[str, float]:
    """Seconds of a training until its state is made, and until its first update."""
    start = time.perf_counter()
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        try:
            return moments(process.stderr, start)
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # loaders too


def moments(lines: IO[str] | None, start: float) -> dict[str, float]:
    """When the lines of a training come that tell of its state and its first update."""
    said, found = "", {}
    for line in lines or ():
        said += line
        if STATE in line:
            found["state"] = time.perf_counter() - start
        elif line.startswith(UPDATE):
            return found | {"first": time.perf_counter() - start}
    sys.exit(f"train.py ended before its first update:\n{said}")


def answered(command: Sequence[str], environment: dict[str, str]) -> dict[str, float]:
    """Seconds of a translation until its first line."""
    start = time.perf_counter()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        answer = process.stdout.readline() if process.stdout else b""
        seconds = time.perf_counter() - start
    if not answer or process.returncode:
        sys.exit(f"translate ended with {process.returncode}; what it said is above")
    return {"first": seconds}


def table(results: dict[str, list[dict[str, float]]]) -> str:
    """A row a way of starting: medians over the rounds."""
    rows = [f"| | {' | '.join(HEADS)} |", "|---" * (len(HEADS) + 1) + "|"]
    for name, starts in results.items():
        first = [moments["first"] for moments in starts]
        before = [moments["state"] for moments in starts if "state" in moments]
        cells = [name, f"{statistics.median(first):.1f}"]
        cells += [f"{min(first):.1f}", f"{max(first):.1f}"]
        cells.append(f"{statistics.median(before):.1f}" if before else "")
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
