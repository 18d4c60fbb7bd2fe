"""Kill a real training again and again, and compare its end with one left in peace.

    python tests/faults.py --kills 200

trains a small model by `train.py` in processes of its own, most of which are killed
(SIGKILL) at a random moment, half of them while a checkpoint is being written, replaced
or deleted; some are asked to stop (SIGTERM, SIGINT), some twice. Each time the same
command goes on. Where a run comes to its end, that must equal a run never interrupted:
the last checkpoint's parameters and optimiser state bit for bit, `metrics.jsonl` and
`results.json` byte for byte, and TensorBoard's curves point for point. The next run
begins in a new folder, until the kills are used up.
"""

import argparse
import collections
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tiny_runs

ROOT = Path(__file__).resolve().parent.parent
STEPS = 120
OPTIONS = {
    "data.source_tokenizer": "char",
    "data.target_tokenizer": "char",
    "data.max_length": 12,
    "data.buckets": 1,
    "model.cell": "gru",
    "model.hidden_size": 16,
    "model.embedding_size": 8,
    "model.bidirectional": False,
    "model.input_feeding": False,
    "model.attention": "dot",
    "model.bridge": "pass",
    "model.dropout": 0.2,
    "training.steps": STEPS,
    "training.batch_tokens": 300,
    "training.learning_rate": 0.01,
    "training.schedule": "plateau",
    "training.plateau_patience": 1,
    "training.warmup_steps": 5,
    "training.ema": 0.9,
    # No one a multiple of another: windows of metrics are cut by checkpoints.
    "training.log_every": 9,
    "training.eval_every": 15,
    "training.save_every": 4,
    "training.eval_examples": 8,
}
SAVING = (".orbax-checkpoint-tmp", ".deleting-", ".new")
KINDS = {"save": 10, "moment": 5, "end": 1, "signal": 2, "two signals": 1}
FINE = {0, 75}
PATIENCE = 300  # seconds that a process may take to its end


def write_corpus(folder):
    """Words and the same words backwards."""
    draw = random.Random(1)
    for name, count in (("train", 400), ("dev", 24), ("test", 16)):
        words = [
            "".join(draw.choices("abcdef", k=draw.randint(1, 9))) for _ in range(count)
        ]
        text = "".join(f"{word}\t{word[::-1]}\n" for word in words)
        (folder / f"{name}.tsv").write_text(text, encoding="utf-8")


def start(folder, workdir):
    """`train.py` as a process; what it says goes to a file beside the workdir."""
    options = {
        f"data.{split}_tsv": folder / f"{split}.tsv"
        for split in ("train", "dev", "test")
    }
    flags = [f"--{name}={value}" for name, value in (OPTIONS | options).items()]
    said = workdir.with_suffix(".txt")
    with said.open("wb") as file:
        return subprocess.Popen(
            [
                sys.executable,
                "train.py",
                "configs/text.py",
                f"--workdir={workdir}",
                *flags,
            ],
            cwd=ROOT,
            stdout=file,
            stderr=file,
            env=os.environ
            | {
                "PYTHONPATH": str(ROOT),
                "JAX_COMPILATION_CACHE_DIR": str(folder / "xla"),
            }
            | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},  # compiles in half the time
        )


def names(workdir):
    """What is in the folder of checkpoints."""
    try:
        return os.listdir(workdir / "checkpoints")
    except FileNotFoundError:
        return []


def half_made(workdir):
    """Folders of saves in progress, or killed; of a name, another time is another."""
    found = set()
    for name in names(workdir):
        if any(part in name for part in SAVING):
            with contextlib.suppress(FileNotFoundError):
                status = (workdir / "checkpoints" / name).stat()
                found.add((name, status.st_ino, status.st_ctime_ns))
    return found


def wait_until(process, true, seconds=PATIENCE):
    """Whether something came true, seen every millisecond, before the process ended."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        if true():
            return True
        time.sleep(0.001)
    return False


def strike(process, kind, workdir, draw, pace, before):
    """End a process at a moment of a kind, and tell its code and whether it listened.

    A process that ends by itself before that is left alone. `before` is what killed
    ones had left half-made. `pace` holds the seconds to
    a first save, which others on the machine change: it is measured again and again.
    """
    begun = time.monotonic()

    def saving():
        return half_made(workdir) - before

    if kind == "save":
        if wait_until(process, saving):
            pace["startup"] = max(time.monotonic() - begun, 1)
        wait_until(process, lambda: False, draw.uniform(0, 0.6))
        wait_until(process, saving)
        time.sleep(draw.uniform(0, 0.03))
    elif kind == "end":
        wait_until(process, lambda: str(STEPS) in names(workdir))
        time.sleep(draw.uniform(0, pace["startup"] / 2))
    else:
        wait_until(process, lambda: False, draw.uniform(0, 1.5 * pace["startup"]))
    if "signal" not in kind:
        process.kill()
        return process.wait(PATIENCE), False
    listens = is_listening(process.pid)
    process.send_signal(draw.choice([signal.SIGTERM, signal.SIGINT]))
    if kind == "two signals":
        time.sleep(draw.uniform(0, 0.2))
        process.send_signal(draw.choice([signal.SIGTERM, signal.SIGINT]))
    return process.wait(PATIENCE), listens


def is_listening(pid):
    """Whether a process no longer dies of SIGTERM; Python's start takes a while."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return False
    masks = dict(line.split(":\t", 1) for line in lines if line.startswith("Sig"))
    return bool(int(masks["SigCgt"], 16) >> (signal.SIGTERM - 1) & 1)


def check_end(kind, code, listens, workdir):
    """Refuse an end that no one should see."""
    said = workdir.with_suffix(".txt").read_text(encoding="utf-8", errors="replace")
    allowed = FINE | ({130} if kind == "two signals" else set())
    if kind and "signal" not in kind:
        allowed = {0, -signal.SIGKILL}
    elif kind and not listens:
        allowed = allowed | {-signal.SIGTERM, -signal.SIGINT, 130, 143}
    assert code in allowed, f"{kind}: exit code {code}\n{said}"
    assert code < 0 or "Traceback" not in said, f"{kind}: exit code {code}\n{said}"
    assert code != 75 or "run the same command to resume" in said, said


def compare(workdir, reference):
    """Refuse any difference between two ended runs."""
    tiny_runs.assert_same_end(workdir, reference, STEPS)
    for name in ("config.json", "lengths.json", "results.json"):
        assert (workdir / name).read_bytes() == (reference / name).read_bytes(), name


def undisturbed(folder):
    """A run left in peace, twice: the second time finds its programs compiled.

    Returns:
        Its workdir, and the seconds to its first save.
    """
    for name in ("compiles", "reference"):
        workdir, begun = folder / name, time.monotonic()
        process = start(folder, workdir)
        wait_until(process, lambda: half_made(workdir))  # noqa: B023, called here
        startup = time.monotonic() - begun
        check_end("", process.wait(PATIENCE), True, workdir)
    compare(folder / "compiles", workdir)
    return workdir, startup


def one_run(folder, number, kills_on, draw, pace, told):
    """Strike a run until it ends, while `kills_on()`; `told` counts what happened.

    Returns:
        Its workdir.
    """
    workdir, code = folder / f"run-{number}", None
    while code != 0:
        before = half_made(workdir)
        process = start(folder, workdir)
        kind = ""
        if kills_on():
            (kind,) = draw.choices(list(KINDS), list(KINDS.values()))
            code, listens = strike(process, kind, workdir, draw, pace, before)
        else:
            code, listens = process.wait(PATIENCE), True
        check_end(kind, code, listens, workdir)
        told[f"exit code {code}"] += 1
        told["starts"] += 1
        if code == -signal.SIGKILL:
            told["kills"] += 1
            told["saves"] += bool(half_made(workdir) - before)
    return workdir


def main():
    """Kill as often as the command line says; an assertion fails where runs differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e9, help="kill no more after")
    arguments = parser.parse_args()
    draw, begun = random.Random(arguments.seed), time.monotonic()
    deadline = begun + 60 * arguments.minutes
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    write_corpus(folder)
    reference, startup = undisturbed(folder)
    say(f"a run left in peace: {STEPS} steps, the first save after {startup:.1f} s")
    told, runs, pace = collections.Counter(), 0, {"startup": startup}

    def kills_on():
        return told["kills"] < arguments.kills and time.monotonic() < deadline

    while kills_on():
        runs += 1
        workdir = one_run(folder, runs, kills_on, draw, pace, told)
        compare(workdir, reference)
        shutil.rmtree(workdir)
        seconds = time.monotonic() - begun
        say(f"run {runs}: the same end; {told['kills']} kills in {seconds:,.0f} s")
    shutil.rmtree(folder)
    codes = sorted((x, count) for x, count in told.items() if "code" in x)
    say(f"{told['kills']} kills, {told['saves']} of them while a save was in progress")
    say(f"{told['starts']} starts:")
    for name, count in codes:
        say(f"  {count} ended with {name}")
    say(f"{runs} runs, each with the end of a run left in peace, bit for bit")


def say(line):
    """Print at once: the whole takes long."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
