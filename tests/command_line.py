"""The programs run as processes, and the files that the tests give them."""

import os
import random
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LETTERS = "abcdé"
# Less optimised programs compile in half the time.
ENVIRONMENT = {"COLUMNS": "80", "TERM": "dumb", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
LINES = ["abc", "", "éd", "badcab", "xyz", "a"]  # an empty line, unknown letters


def run(*args, stdin=""):
    """`seq2seq-jax ARGS`, or `train.py ARGS` for a recipe."""
    program = ["-m", "seq2seq_jax.cli"] if args[0] != "train.py" else []
    return subprocess.run(
        [sys.executable, *program, *map(str, args)],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        cwd=ROOT,
        timeout=300,
        env=os.environ | ENVIRONMENT,
    )


def script(name, *args, devices=1, flags=()):
    """Stdout of a file of the tests, run by itself with so many host devices.

    The number of devices goes by its environment: what `--doctest-modules` imports must
    leave this process's alone.
    """
    flags = [f"--xla_force_host_platform_device_count={devices}", *flags]
    flags.insert(0, os.environ.get("XLA_FLAGS", ""))
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / name), *map(str, args)],
        env=os.environ
        | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
        | {"XLA_FLAGS": " ".join(flags)},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def succeed(*args, stdin=""):
    """Stdout of a command that must end well."""
    done = run(*args, stdin=stdin)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def refusal(*args, stdin=""):
    """The one line that a command must refuse its arguments with."""
    done = run(*args, stdin=stdin)
    said = done.stderr.decode()
    assert done.returncode == 2, said
    assert "Traceback" not in said
    assert done.stdout == b""
    (line,) = said.splitlines()
    assert line.startswith("error: ")
    return line


def write_capitals(folder):
    """Pairs of words and their letters in capitals, as TSV and as parallel files."""
    draw = random.Random(0)
    for name, count in (("train", 300), ("dev", 20)):
        words = [
            "".join(draw.choices(LETTERS, k=draw.randint(3, 6))) for _ in range(count)
        ]
        targets = [" ".join(word.upper()) for word in words]
        columns = {"tsv": [f"{w}\t{t}" for w, t in zip(words, targets, strict=True)]}
        columns |= {"source": words, "target": targets}
        for kind, lines in columns.items():
            text = "".join(f"{line}\n" for line in lines)
            (folder / f"{name}.{kind}").write_text(text, encoding="utf-8")
    (folder / "in.txt").write_text("".join(f"{line}\n" for line in LINES), "utf-8")


def training_arguments(folder):
    """Arguments of `train.py` for a model that learns the capitals in seconds."""
    options = {
        "data.train_tsv": folder / "train.tsv",
        "data.dev_tsv": folder / "dev.tsv",
        "data.source_tokenizer": "char",
        "data.target_tokenizer": "word",
        "data.max_length": 10,
        "data.buckets": 1,
        "model.cell": "gru",
        "model.hidden_size": 24,
        "model.embedding_size": 12,
        "model.dropout": 0,
        "training.steps": 60,
        "training.eval_every": 60,
        "training.batch_tokens": 500,
        "training.learning_rate": 0.02,
        "training.warmup_steps": 5,
        "training.label_smoothing": 0,
    }
    flags = [text for name, value in options.items() for text in (f"--{name}", value)]
    return ["train.py", "configs/text.py", "--workdir", folder / "run", *flags]
