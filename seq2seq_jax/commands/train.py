"""`train`: from a recipe, and flags that change it, to a trained model."""

import contextlib
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seq2seq_jax import flags
from seq2seq_jax.commands import processes, recipes
from seq2seq_jax.config import Config
from seq2seq_jax.errors import InputError
from seq2seq_jax.limits import validate
from seq2seq_jax.training.signals import stopping

DESCRIPTION = """Train a model by a recipe, a file or one of ours by name (cmudict).

Every field of the recipe can be changed by its flag.

The same command again goes on where training stopped, or says that it is done."""


@dataclass(frozen=True, kw_only=True)
class Options(Config):
    """Train a model by a recipe."""

    workdir: Path
    """folder of the run: checkpoints, vocabularies and reports; made if need be"""
    distributed: str | None = None
    """be one of several processes: HOST:PORT of the first, or auto on a cluster"""
    processes: int | None = None
    """with --distributed HOST:PORT: how many processes there are"""
    process_index: int | None = None
    """with --distributed HOST:PORT: the number of this one, from 0"""


def main(args: Sequence[str], prog: str) -> int:
    """Train as the arguments say: `CONFIG --workdir DIR [--section.field value ...]`.

    From here on a signal ends the process with code 75, and the same command goes on.

    Returns:
        The process's exit code.

    Raises:
        InputError: where the recipe, the flags or the data cannot be used.
    """
    with stopping(process=True):
        return train(args, prog)


def train(args: Sequence[str], prog: str) -> int:
    """As `main`, which takes signals."""
    options, _ = recipes.parse(
        Options,
        args,
        prog,
        DESCRIPTION,
        "configs/NAME.py --workdir DIR",
        workdir=flags.REQUIRED,
    )
    where = processes.place(
        options.distributed, options.processes, options.process_index
    )
    config = Config(**recipes.sections(options))
    validate(config)
    if options.workdir.exists() and not options.workdir.is_dir():
        raise InputError(f"--workdir {options.workdir} is a file, expected a folder")

    # Only now: it takes a second or two, which errors and help need not wait for.
    from seq2seq_jax.training import checks, distributed, loop

    together: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    if where is not None:
        # What can be refused is refused before the others wait for this process; what
        # asks for devices can only be afterwards.
        model = dataclasses.replace(config.model, backend="auto")
        checks.check(dataclasses.replace(config, model=model))
        together = distributed.joined(*where)
    with together:
        return loop.train(config, options.workdir).exit_code
