"""What a workdir holds, found by looking: nothing is changed and no lock is taken."""

import json
import math
from pathlib import Path
from typing import Any

from seq2seq_jax import config as configs
from seq2seq_jax.config import Config
from seq2seq_jax.errors import InputError
from seq2seq_jax.training import notes, origin, sessions, stored
from seq2seq_jax.training.checkpoints import Checkpoints
from seq2seq_jax.training.damage import DamagedError

WHOLE = "whole"


def inspect(workdir: Path) -> dict[str, Any]:
    """A workdir's facts, as JSON values.

    Returns:
        `config`: the fields that have not their defaults; `parameters`: how many
        numbers are learnt, None where no checkpoint tells; `checkpoints`: each with
        step, metrics and state, `whole` or what is wrong with it; `best` and `newest`:
        steps of whole ones; `set_aside`: damaged ones that a training moved away;
        `data`: fingerprints; `sessions`: the lines of `sessions.jsonl`; `problems`:
        what inference would be refused for.

    Raises:
        InputError: the config cannot be read.
    """
    config = configs.load(workdir / "config.json")
    problems, here = [], None
    try:
        here = origin.found_in(workdir, config)
    except InputError as error:
        problems.append(str(error))
    checkpoints = Checkpoints(workdir / "checkpoints", log=problems.append)
    found = [look(checkpoints.directory / str(n), here) for n in checkpoints.steps()]
    whole = [each["step"] for each in found if each["state"] == WHOLE]
    starts = sessions.read(workdir / sessions.NAME)
    known = origin.read_lengths(workdir).get("training_data")
    return {
        "workdir": str(workdir),
        "config": changed(config),
        "parameters": next(filter(None, (e["parameters"] for e in found)), None),
        "checkpoints": found,
        "newest": whole[-1] if whole else None,
        "best": next((n for n in checkpoints.candidates("best") if n in whole), None),
        "set_aside": set_aside(checkpoints.directory / "damaged"),
        "data": sessions.part(starts[-1], "data") if starts else {"train": known},
        "sessions": starts,
        "problems": problems,
    }


def changed(config: Config) -> dict[str, Any]:
    """The fields of a config that have not their defaults."""
    unset = dict(configs.flatten(Config()))
    return {name: x for name, x in configs.flatten(config) if x != unset[name]}


def look(path: Path, here: origin.Origin | None) -> dict[str, Any]:
    """A checkpoint, all of its arrays compared with their fingerprints."""
    found: dict[str, Any] = {"step": int(path.name), "metrics": None}
    found |= {"parameters": None, "averaged": None, "state": WHOLE}
    try:
        said = stored.read_metadata(path)[1]
        marks = said[notes.FINGERPRINTS]
        found["metrics"] = said[notes.METRICS]
        found["parameters"] = count(marks["params"])
        found["averaged"] = said[notes.BOOKKEEPING].get(notes.AVERAGED)
        stored.load(path, dict.fromkeys(marks), here)
    except DamagedError as error:
        found["state"] = f"{error.verdict.removeprefix('is ')} ({error})"
    return found


def count(marks: dict[str, str]) -> int:
    """Numbers in the arrays that fingerprints are of.

    >>> count({"a": "float32[2, 3] 0123", "b": "float32[] 4567"})
    7
    """
    shapes = (mark[mark.index("[") : mark.index("]") + 1] for mark in marks.values())
    return sum(math.prod(json.loads(shape)) for shape in shapes)


def set_aside(folder: Path) -> list[str]:
    """Names of the damaged checkpoints that a training has moved out of its way."""
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
