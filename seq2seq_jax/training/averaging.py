"""The mean of several checkpoints' parameters, in a workdir of its own.

Late in a training the parameters wander about a good place; their mean is often nearer
to it than any one of them, for the price of one model. (`avg_ckpts` of tensorflow/nmt;
Polyak & Juditsky 1992 tell why.)
"""

import math
import os
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax import config as configs
from seq2seq_jax.errors import InputError
from seq2seq_jax.training import origin
from seq2seq_jax.training.checkpoints import Checkpoints
from seq2seq_jax.types import Params

# What inference reads beside the checkpoint, and whether it may be missing.
FILES = {
    "config.json": False,
    "lengths.json": True,
    "series.json": True,
    "shortlist.npz": True,
}
FOLDERS = ("tokenizers",)
TRIES = 9  # to read checkpoints before a training deletes them


def average(
    workdir: Path,
    output: Path,
    *,
    last: int | None = None,
    best: int | None = None,
    raw: bool = False,
) -> list[int]:
    """Make the workdir `output`, whose checkpoint is a mean of those in `workdir`.

    It is there whole or not at all, and has what inference needs.

    Args:
        workdir: of a training.
        output: must not be there yet.
        last: take so many of the newest checkpoints.
        best: take so many of the best; without either: all that are there.
        raw: of the parameters, where `training.ema` has averaged them; else it is the
            mean of what inference uses.

    Returns:
        The steps of the checkpoints that were taken, oldest first.

    Raises:
        InputError: `output` is there, or the checkpoints are not, or one is damaged.
    """
    check_output(output)
    unfinished = output.with_name(f".{output.name}.unfinished-{os.getpid()}")
    try:  # first: what is read takes its time
        unfinished.mkdir()
    except OSError as error:
        raise InputError(f"{output} cannot be made: {error.strerror}") from None
    try:
        return made(workdir, output, unfinished, last, best, raw)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def made(
    workdir: Path,
    output: Path,
    unfinished: Path,
    last: int | None,
    best: int | None,
    raw: bool,
) -> list[int]:
    """As `average`; `unfinished` is an empty folder, which becomes `output`."""
    config = configs.load(workdir / "config.json")
    folders = FOLDERS if not config.series.given else ()
    for name in folders:
        if not (workdir / name).is_dir():
            raise InputError(f"{workdir} has no {name}, expected a training's workdir")
    here = origin.found_in(workdir, config)
    checkpoints = Checkpoints(workdir / "checkpoints", origin=here)
    steps, params, saved = taken(checkpoints, last, best, raw)
    for name, optional in FILES.items():
        if not optional or (workdir / name).is_file():
            shutil.copyfile(workdir / name, unfinished / name)
    for name in folders:
        shutil.copytree(workdir / name, unfinished / name)
    written = Checkpoints(unfinished / "checkpoints", origin=saved)
    written.save_average(steps[-1], params, steps)
    written.close()
    check_output(output)  # it may have been made meanwhile
    unfinished.rename(output)
    return steps


def taken(
    checkpoints: Checkpoints, last: int | None, best: int | None, raw: bool
) -> tuple[list[int], Params, origin.Origin | None]:
    """Steps, and what `mean` makes of them; others where they were deleted meanwhile.

    A training that goes on beside it deletes old checkpoints when new ones are whole.

    Raises:
        InputError: as `chosen`, or one that is there is damaged.
    """
    for left in reversed(range(TRIES)):
        steps = chosen(checkpoints, last, best)
        try:
            return steps, *mean(checkpoints, steps, raw)
        except InputError:
            if not left or set(steps) <= set(checkpoints.steps()):
                raise
    raise AssertionError("unreachable")


def check_output(output: Path) -> None:
    """Refuse a place for a new workdir that is taken, or in no folder."""
    if output.exists() or output.is_symlink():
        raise InputError(f"{output} is already there, expected a new folder's name")
    if not output.absolute().parent.is_dir():
        raise InputError(f"{output} cannot be made: its parent folder does not exist")


def chosen(checkpoints: Checkpoints, last: int | None, best: int | None) -> list[int]:
    """Steps of the checkpoints to average, oldest first.

    Raises:
        InputError: there are none, or fewer than are asked for.
    """
    there, what = checkpoints.steps(), "checkpoints"
    if not there:
        raise InputError(f"no checkpoint in {checkpoints.directory}: train first")
    if best is not None:
        ranked = checkpoints.candidates("best")
        there = [step for step in ranked if checkpoints.score(step) > -math.inf]
        what = "evaluated checkpoints"
    asked = last if best is None else best
    if asked is None:
        return there
    if not 1 <= asked <= len(there):
        flag = "--last" if best is None else "--best"
        raise InputError(
            f"{flag} is {asked}, expected 1 to {len(there)}: {checkpoints.directory} "
            f"has {len(there)} {what}, steps {', '.join(map(str, sorted(there)))}; a "
            f"training keeps more with training.keep_last and training.keep_best"
        )
    return there[-asked:] if best is None else sorted(there[:asked])


def mean(
    checkpoints: Checkpoints, steps: list[int], raw: bool = False
) -> tuple[Params, origin.Origin | None]:
    """The mean of the steps' weights, and the origin of the last of them.

    It is summed in float64, one step held at a time.
    """
    total = None
    for step in steps:
        found = checkpoints.load(step, raw=raw)
        wide = jax.tree.map(lambda x: np.asarray(x, np.float64), found.params)
        total = wide if total is None else jax.tree.map(np.add, total, wide)
    made = jax.tree.map(
        lambda x, like: jnp.asarray((x / len(steps)).astype(like.dtype)),
        total,
        found.params,
    )
    return made, found.origin
