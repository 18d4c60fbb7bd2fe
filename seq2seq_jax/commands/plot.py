"""`plot`: curves of one training or several in one picture."""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from seq2seq_jax import flags
from seq2seq_jax.commands import decoding
from seq2seq_jax.errors import InputError, nearest

if TYPE_CHECKING:
    from seq2seq_jax.plots.curves import Curve

DESCRIPTION = """Draw what trainings have measured over their updates.

A panel for each --value, a colour for each workdir; what was measured on the

training data is a thin line."""
METRICS = "metrics.jsonl"
SPLITS = ("train", "dev")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Draw curves of trainings."""

    workdir: tuple[Path, ...]
    """folders of training runs"""
    value: tuple[str, ...] = ("loss",)
    """what to draw, as metrics.jsonl names it: loss, perplexity, bleu, grad_norm ..."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """picture to write: .png, .svg or .pdf"""
    log: flags.Switch = False
    """show values by their logarithms"""


def main(args: Sequence[str], prog: str) -> None:
    """Draw as the arguments say.

    Raises:
        InputError: where the arguments or a workdir cannot be used.
    """
    options = flags.parse(Options, args, prog=prog, description=DESCRIPTION)
    for name in ("workdir", "value"):
        given = getattr(options, name)
        if not given:
            raise InputError(f"--{name} is empty, expected one or more")
        if len(set(given)) < len(given):
            raise InputError(f"--{name} names one twice: {' '.join(map(str, given))}")
    for workdir in options.workdir:
        decoding.run_config(workdir)
    lines = {workdir: read(workdir) for workdir in options.workdir}
    labels = dict(zip(lines, short(list(lines)), strict=True))
    for workdir, told in lines.items():
        known = sorted({name for line in told for name in line} - {"step", "split"})
        for name in options.value:
            if name not in known:
                raise InputError(
                    f"--value is {name!r}, but {workdir / METRICS} has none, expected "
                    f"one of {', '.join(known)}{nearest(name, known)}"
                )
    from seq2seq_jax.plots import curves, files  # matplotlib takes half a second

    files.kind_of(options.output)
    panels: dict[str, list[Curve]] = {name: [] for name in options.value}
    for name, panel in panels.items():
        for workdir, told in lines.items():
            for split in SPLITS:
                found = points(told, name, split)
                if found:
                    steps, values = zip(*found, strict=True)
                    panel.append(curves.Curve(labels[workdir], split, steps, values))
    try:
        print(curves.draw(panels, options.output, options.log))
    except OSError as error:
        raise InputError(
            f"{options.output} cannot be written: {error.strerror}"
        ) from None


def read(workdir: Path) -> list[dict[str, Any]]:
    """The lines of a training's metrics.

    Raises:
        InputError: there are none, or one cannot be read.
    """
    path = workdir / METRICS
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if not text.strip():
        raise InputError(f"{path} has no metrics yet: train for training.log_every")
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            told = json.loads(line)
            {told["step"] + 0, told["split"]}
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(
                f"{path}, line {number} is damaged, expected an object with step and "
                f"split"
            ) from None
        found.append(told)
    return found


def points(
    lines: list[dict[str, Any]], name: str, split: str
) -> list[tuple[int, float]]:
    """A value's curve, without what is no finite number."""
    return [
        (line["step"], line[name])
        for line in lines
        if line["split"] == split
        and isinstance(line.get(name), (int, float))
        and math.isfinite(line[name])
    ]


def short(paths: Sequence[Path]) -> list[str]:
    """Names for folders: without the folder that all lie in.

    >>> short([Path("runs/a"), Path("runs/b/c")]), short([Path("runs/a")])
    (['a', 'b/c'], ['a'])
    """
    full = [path.resolve() for path in paths]
    common = Path(os.path.commonpath([path.parent for path in full]))
    return [path.relative_to(common).as_posix() for path in full]
