"""`average`: one model whose parameters are the mean of several checkpoints'."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from seq2seq_jax import flags
from seq2seq_jax.commands import decoding
from seq2seq_jax.errors import InputError

DESCRIPTION = """Average the parameters of a training's checkpoints.

The mean of all that are kept, or of the --last N, or of the --best N, is written

to a new workdir, which every command but train can use."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Average the parameters of several checkpoints."""

    workdir: Path
    """folder of the training run"""
    last: int | None = None
    """take so many of the newest checkpoints"""
    best: int | None = None
    """take so many of the best ones, by training.metric"""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """folder to make: a workdir with the mean alone; must not be there yet"""
    raw: flags.Switch = False
    """of a training with training.ema: of the parameters, not of their averages"""


def main(args: Sequence[str], prog: str) -> None:
    """Average as the arguments say.

    Raises:
        InputError: where the arguments or the workdir cannot be used.
    """
    options = flags.parse(Options, args, prog=prog, description=DESCRIPTION)
    if options.last is not None and options.best is not None:
        raise InputError(
            f"--last is {options.last} and --best is {options.best}, expected one"
        )
    decoding.check_raw(options.workdir, options.raw)
    from seq2seq_jax.training.averaging import average  # Orbax is slow to load

    steps = average(
        options.workdir,
        options.output,
        last=options.last,
        best=options.best,
        raw=options.raw,
    )
    said = ", ".join(map(str, steps))
    many = "s" * (len(steps) > 1)
    print(f"{options.output}: mean of {len(steps)} checkpoint{many}, step{many} {said}")
