"""Damaged workdirs thrown at `translate` and `train`: the same output, or one line.

By itself, `python tests/fuzz_workdirs.py --cases 1000` trains two small workdirs; each
case copies the first, damages a file or two of it (seeded: `--seed`) and runs both
commands' functions in this process. Every end must be one of three:

    same      the output of the undamaged workdir, to the digit of a score; of a
              training, the last checkpoint's arrays and the results, bit for bit
    older     the output of another of its checkpoints, and a line that tells so
    refused   an `InputError`, which the command line prints as one line

Anything else (another output, a traceback, a hang) is a failure and is printed.
"""

import argparse
import contextlib
import gc
import io
import json
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from damages import damage, place

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 120  # that a command may take
OPTIONS = {
    "data.source_tokenizer": "char",
    "data.target_tokenizer": "char",
    "data.max_length": 9,
    "data.buckets": 1,
    "model.cell": "gru",
    "model.hidden_size": 8,
    "model.embedding_size": 6,
    "model.bidirectional": False,
    "model.input_feeding": False,
    "model.bridge": "pass",
    "model.attention": "dot",
    "training.steps": 6,
    "training.batch_tokens": 200,
    "training.learning_rate": 0.05,
    "training.warmup_steps": 2,
    "training.log_every": 2,
    "training.eval_every": 2,
    "training.eval_examples": 4,
    "training.keep_last": 3,
    "training.prefetch": 1,
}


class Stage(NamedTuple):
    """What the cases have in common.

    Attributes:
        folder: of everything.
        own: the workdir that is damaged, in copies.
        other: one of the same shapes, of another attention, seed and data.
        outputs: what `translate` says with each checkpoint of `own`.
        first: the checkpoint that `best` and `latest` stand for.
        arrays: fingerprints of the last checkpoint of `own`.
        metrics: what its `results.json` tells.
    """

    folder: Path
    own: Path
    other: Path
    outputs: dict[int, str]
    first: dict[str, int]
    arrays: dict
    metrics: dict


def write_data(folder: Path, seed: int, turn: Callable[[str], str]) -> None:
    """Short words of four letters, and what becomes of them."""
    draw = random.Random(seed)
    folder.mkdir()
    for name, count in (("train", 80), ("dev", 6), ("test", 4)):
        words = [
            "".join(draw.choices("abcd", k=draw.randint(1, 7))) for _ in range(count)
        ]
        text = "".join(f"{word}\t{turn(word)}\n" for word in words)
        (folder / f"{name}.tsv").write_text(text, encoding="utf-8")


def arguments(data: Path, workdir: Path, **more: object) -> list[str]:
    """Of `train.py`."""
    files = {
        f"data.{split}_tsv": data / f"{split}.tsv" for split in ("train", "dev", "test")
    }
    options = files | OPTIONS | {name.replace("__", "."): x for name, x in more.items()}
    flags = [str(text) for name, x in options.items() for text in (f"--{name}", x)]
    return [str(ROOT / "configs" / "text.py"), "--workdir", str(workdir), *flags]


def train(workdir: Path, folder: Path) -> str:
    """Run the command; returns what it said on stderr."""
    from seq2seq_jax.commands import train as command

    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = command.train(arguments(folder / "data", workdir), "train.py")
    assert code == 0, f"exit code {code}"
    return said.getvalue()


def translate(workdir: Path, folder: Path, checkpoint: str) -> tuple[str, str]:
    """Run the command; returns its output and what it said on stderr."""
    from seq2seq_jax import cli

    said, path = io.StringIO(), folder / "out.txt"
    path.unlink(missing_ok=True)
    args = ["translate", "--workdir", workdir, "-i", folder / "in.txt", "-o", path]
    args += ["--beam-size", 2, "--scores", "--checkpoint", checkpoint]
    with contextlib.redirect_stderr(said):
        cli.run_command([str(arg) for arg in args])
    return path.read_text(encoding="utf-8"), said.getvalue()


def newest(workdir: Path) -> tuple[dict, dict]:
    """Fingerprints of the last checkpoint, its arrays compared; and the results."""
    from seq2seq_jax.training import notes, stored
    from seq2seq_jax.training.checkpoints import Checkpoints

    checkpoints = Checkpoints(workdir / "checkpoints")
    path = checkpoints.directory / str(checkpoints.steps()[-1])
    _, said = stored.load(path, {"params": None})
    results = json.loads((workdir / "results.json").read_text(encoding="utf-8"))
    return said[notes.FINGERPRINTS], results["metrics"]


def make(folder: Path) -> Stage:
    """Two trained workdirs and what the first one says."""
    from seq2seq_jax.commands import train as command
    from seq2seq_jax.training.checkpoints import Checkpoints

    folder.mkdir(parents=True, exist_ok=True)
    write_data(folder / "data", 0, lambda word: word[::-1])
    write_data(folder / "others", 1, lambda word: "".join(sorted(word)))
    (folder / "in.txt").write_text("abc\nddbca\na\n", encoding="utf-8")
    own, other = folder / "own", folder / "other"
    with contextlib.redirect_stderr(io.StringIO()):
        more = {"model__attention": "scaled_dot", "training__seed": 2}
        first = arguments(folder / "data", own)
        second = arguments(folder / "others", other, **more)
        for args in (first, second):
            command.train(args, "train.py")
    checkpoints = Checkpoints(own / "checkpoints")
    outputs = {n: translate(own, folder, str(n))[0] for n in checkpoints.steps()}
    assert len(set(outputs.values())) == len(outputs) > 1, "alike outputs tell nothing"
    chosen = {which: checkpoints.candidates(which)[0] for which in ("best", "latest")}
    return Stage(folder, own, other, outputs, chosen, *newest(own))


@contextlib.contextmanager
def limited(seconds: int):
    """Turn a hang into an exception."""

    def late(number, frame):
        raise TimeoutError(f"still at work after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def judge(act: Callable[[], str]) -> str:
    """`same`, `older` or `refused`, or what went wrong in words."""
    from seq2seq_jax.errors import InputError

    try:
        with limited(SECONDS):
            return act()
    except InputError as error:
        return "refused" if "Traceback" not in str(error) else f"FAILED {error}"
    except (Exception, SystemExit):
        return f"FAILED {traceback.format_exc()}"


def judge_translate(stage: Stage, workdir: Path, which: str) -> str:
    """Whether the output is that of the right checkpoint, or of one that is told."""

    def act() -> str:
        output, said = translate(workdir, stage.folder, which)
        if "Traceback" in said:
            return f"FAILED {said}"
        if output == stage.outputs[stage.first[which]]:
            return "same"
        if output in stage.outputs.values() and "trying checkpoint" in said:
            return "older"
        return f"FAILED another output, silently: {output!r}, stderr {said!r}"

    return judge(act)


def judge_train(stage: Stage, workdir: Path) -> str:
    """Whether the end is that of a training in a workdir that was never damaged."""

    def act() -> str:
        said = train(workdir, stage.folder)
        if "Traceback" in said:
            return f"FAILED {said}"
        arrays, metrics = newest(workdir)
        if arrays != stage.arrays:
            return f"FAILED other arrays at the end: {said}"
        if metrics != stage.metrics:
            return f"FAILED other results: {metrics}, {stage.metrics}, {said}"
        return "same"

    return judge(act)


def one_case(stage: Stage, number: str) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Damage a copy and run both commands on it; the damages and the two ends."""
    draw = random.Random(number)
    workdir = stage.folder / "case"
    shutil.rmtree(workdir, ignore_errors=True)
    shutil.copytree(stage.own, workdir)
    done = damage(draw, stage.other, workdir)
    which = draw.choice(("best", "latest"))
    ends = {"translate": judge_translate(stage, workdir, which)}
    ends["train"] = judge_train(stage, workdir)
    return done, ends


def run(
    stage: Stage, cases: int, seed: int, minutes: float = math.inf
) -> tuple[Counter, list[str]]:
    """Counts by (command, damage, place, end), and a text for each failure.

    It ends early, with what there is, when the minutes are used up.
    """
    import jax

    counts: Counter = Counter()
    failures: list[str] = []
    end = time.monotonic() + 60 * minutes
    for number in range(cases):
        try_one(stage, f"{seed}-{number}", counts, failures)
        if number % 25 == 24:  # a process may map only so many programs into memory
            jax.clear_caches()
            gc.collect()
            print(f"{number + 1} cases, {len(failures)} failures", file=sys.stderr)
        if time.monotonic() > end:
            break
    return counts, failures


def try_one(stage: Stage, name: str, counts: Counter, failures: list[str]) -> None:
    """Add one case to the counts and the failures."""
    done, ends = one_case(stage, name)
    for command, end in ends.items():
        if end.startswith("FAILED"):
            failures.append(f"case {name}, {command}, {done}: {end}")
            print(failures[-1], file=sys.stderr, flush=True)
            end = "FAILED"
        kind, path = done[0]
        kind = kind if len(done) == 1 else "two at once"
        counts[command, kind, place(Path(path)), end] += 1


def table(counts: Counter, column: int) -> str:
    """Ends by command and one column of the counts, as Markdown."""
    ends = ("same", "older", "refused", "FAILED")
    lines = [f"| command | {('damage', 'where')[column - 1]} | {' | '.join(ends)} |"]
    lines.append("|---|---|" + "---:|" * len(ends))
    for command, name in sorted({(key[0], key[column]) for key in counts}):
        row = [
            sum(
                n
                for key, n in counts.items()
                if (key[0], key[column], key[3]) == (command, name, end)
            )
            for end in ends
        ]
        lines.append(f"| `{command}` | {name} | {' | '.join(map(str, row))} |")
    return "\n".join(lines)


def main() -> None:
    """Run the cases and print the summary; exit code 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--only", help="run one case again, by its name")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        cache = Path(name) / "xla"
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
        os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
        stage = make(Path(name) / "stage")
        if options.only:
            print(*one_case(stage, options.only), sep="\n")
            return
        counts, failures = run(stage, options.cases, options.seed, options.minutes)
    print(table(counts, 1), table(counts, 2), sep="\n\n")
    print(f"\n{counts.total() // 2} cases, {len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
