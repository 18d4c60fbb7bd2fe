"""`encode`: a vector for each line."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import tyro

from seq2seq_jax import flags
from seq2seq_jax.commands import decoding, streams
from seq2seq_jax.errors import InputError

DESCRIPTION = """Write what the encoder makes of each line, one vector a line, as .npy.

The file holds float32 [lines, C]: `numpy.load` reads it. An empty line has the

vector of the end marker alone."""


@dataclass(frozen=True, kw_only=True)
class Options(decoding.Model):
    """Encode lines as vectors."""

    input: Annotated[str | None, tyro.conf.arg(aliases=["-i"])] = None
    """file of sources, one sequence a line; None: standard input"""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """file to write (.npy), whole or not at all"""
    pool: Literal["mean", "max", "last"] = "mean"
    """mean or max: over the annotations; last: the top layer's last output, of each
    direction"""


def main(args: Sequence[str], prog: str) -> None:
    """Encode as the arguments say.

    Raises:
        InputError: where the arguments, the workdir or a line cannot be used.
    """
    options = flags.parse(Options, args, prog=prog, description=DESCRIPTION)
    decoding.check_source(options.workdir, "encode")
    if options.output.suffix != ".npy":
        raise InputError(f"--output is {options.output}, expected a file named .npy")
    streams.check_target(str(options.output), [options.input])
    lines = streams.lines(options.input)
    predictor = decoding.load(options)
    with unfinished(options.output) as file:
        count = width = 0
        for vector in predictor.encode(lines, options.pool):
            file.write(vector.tobytes())
            count, width = count + 1, len(vector)
        store(file, (count, width), options.output)


@contextmanager
def unfinished(path: Path) -> Iterator[BinaryIO]:
    """A file beside the one to make, for numbers that are not yet counted."""
    beside = path.with_name(f".{path.name}.numbers-{os.getpid()}")
    try:
        with beside.open("w+b") as file:
            yield file
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        beside.unlink(missing_ok=True)


def store(numbers: BinaryIO, shape: tuple[int, int], path: Path) -> None:
    """Make a .npy of float32 numbers; it is there whole, or not at all."""
    from numpy.lib import format as npy

    whole = path.with_name(f".{path.name}.unfinished-{os.getpid()}")
    head = {"descr": "<f4", "fortran_order": False, "shape": shape}
    try:
        with whole.open("wb") as file:
            npy.write_array_header_1_0(file, head)
            numbers.seek(0)
            shutil.copyfileobj(numbers, file)
        os.replace(whole, path)
    finally:
        whole.unlink(missing_ok=True)
