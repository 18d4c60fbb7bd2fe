"""Lines in and lines out: files, stdin and stdout; whole files or none."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from seq2seq_jax.data.sources import decode_lines, read_lines
from seq2seq_jax.errors import InputError

STREAM = (None, "-")  # stands for stdin or stdout


def lines(path: str | None) -> Iterator[str]:
    """The lines of a file, or of stdin, as they come.

    A file is read once before, so that a line that is not UTF-8 is told before
    anything is written.

    Raises:
        InputError: where the file is missing or empty, or a line is not UTF-8.
    """
    if path not in STREAM:
        count([path])
        return read_lines(path)
    if is_terminal(path):
        print("reading lines from the terminal, ended by Ctrl-D", file=sys.stderr)
    return decode_lines(sys.stdin.buffer, "standard input")


def is_terminal(path: str | None) -> bool:
    """Whether somebody types the lines, and waits for the answer to each."""
    return path in STREAM and sys.stdin.isatty()


def count(paths: Sequence[str | None]) -> int:
    """The number of lines of files that must have as many.

    Raises:
        InputError: where the numbers differ, or a file cannot be read.
    """
    if any(path in STREAM[1:] for path in paths):
        raise InputError(
            "- stands for standard input, which cannot be read twice: expected a file"
        )
    counts = [sum(1 for _ in read_lines(path)) for path in paths if path is not None]
    for path, number in zip(paths, counts, strict=True):
        if number != counts[0]:
            raise InputError(
                f"{paths[0]} has {counts[0]:,} lines and {path} has {number:,}, "
                "expected as many"
            )
    return counts[0]


@contextmanager
def writer(path: str | None, inputs: Sequence[str | None]) -> Iterator[Callable]:
    """Yields `write(line)`; a file is there at the end, whole, or not at all.

    Raises:
        InputError: where the file is one of the inputs or its folder is missing.
    """
    if path in STREAM:
        yield _to_stdout
        return
    target = check_target(path, inputs)
    if target.exists() and not target.is_file():  # a pipe or /dev/null: keep it
        with target.open("w", encoding="utf-8", newline="\n") as file:
            yield lambda line: file.write(line + "\n")
        return
    unfinished = target.with_name(f".{target.name}.unfinished-{os.getpid()}")
    try:
        with _opened(unfinished, path) as file:
            yield lambda line: file.write(line + "\n")
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)


def _opened(unfinished: Path, path: str) -> TextIO:
    try:
        return unfinished.open("w", encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error


def _to_stdout(line: str) -> None:
    sys.stdout.buffer.write(f"{line}\n".encode())
    sys.stdout.buffer.flush()


def check_target(path: str, inputs: Sequence[str | None]) -> Path:
    """Where a file that is to be written lies.

    Raises:
        InputError: it is one of the inputs, or a folder, or its folder is missing.
    """
    target = Path(path).resolve()
    if target.is_dir():
        raise InputError(f"{path} is a folder, expected a file to write")
    if not target.parent.is_dir():
        raise InputError(f"{path} cannot be written: its folder does not exist")
    for source in inputs:
        if source not in STREAM and Path(source).resolve() == target:
            raise InputError(f"{path} is also the input, expected another output file")
    return target
