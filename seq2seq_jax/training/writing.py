"""Checkpoints written one at a time beside the training, and older ones deleted.

Nothing is deleted before its successor is whole, and nothing that cannot be read: what
is damaged is left to its owner.
"""

import contextlib
import math
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from orbax.checkpoint import v1 as ocp

from seq2seq_jax import durable
from seq2seq_jax.training.damage import past_closed_loops
from seq2seq_jax.training.notes import METRICS, STEP, Notes

Tree = Any
LEFT_OVER = ("*.orbax-checkpoint-tmp*", ".deleting-*")
NEW = ".new"  # ends the name of what is to take the place of a checkpoint of its step


class Writer:
    """Writes in the background and deletes what is neither new nor good.

    Args:
        directory: the folder of checkpoints; what a killed process left is cleared.
        keep_last: newest checkpoints kept.
        keep_best: checkpoints kept for their scores.
        scores: by step, of the checkpoints that are there and may be deleted.
        log: where one that cannot be deleted is named.
        owner: whether it deletes; one of several processes that write together does.
    """

    def __init__(
        self,
        directory: Path,
        keep_last: int,
        keep_best: int,
        scores: dict[int, float],
        log: Callable[[str], None],
        *,
        owner: bool = True,
    ):
        self._directory = directory
        self._keep = (keep_last, keep_best)
        self._scores = scores
        self._log = log
        self._thread = ThreadPoolExecutor(1, "checkpoints")
        self._saving: Future | None = None
        self._owner = owner
        # On a full disk, TensorStore's threads go on when Orbax's loop is closed.
        sys.unraisablehook = past_closed_loops(sys.unraisablehook)
        directory.mkdir(parents=True, exist_ok=True)
        durable.sync(directory.parent)
        for pattern in LEFT_OVER if owner else ():
            for path in directory.glob(pattern):
                shutil.rmtree(path, ignore_errors=True)

    def begin(self, items: dict[str, Tree], notes: Notes) -> None:
        """Copy arrays to the host and begin to write them; call `wait` before."""
        path = self._directory / str(notes[STEP])
        if path.exists():
            path = new_name(path)
        response = ocp.save_checkpointables_async(path, items, custom_metadata=notes)
        self._saving = self._thread.submit(self._finish, response, path, notes)

    def wait(self) -> None:
        """Wait for the end of what was begun last; raises what went wrong there."""
        if self._saving is not None:
            self._saving.result()

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

    def _finish(self, response: Any, path: Path, notes: Notes) -> None:
        response.result()
        if not self._owner:
            return
        durable.sync_tree(path)  # only now may older ones go
        if path.name.endswith(NEW):
            put_in_place(path)
        self._scores[notes[STEP]] = score(notes)
        for step in doomed(self._scores, *self._keep):
            try:
                delete(self._directory / str(step))
            except FileNotFoundError:  # its owner was faster
                pass
            except OSError as error:
                self._log(f"checkpoint {step} cannot be deleted: {error.strerror}")
                continue
            del self._scores[step]


def new_name(path: Path) -> Path:
    """The folder beside a checkpoint where another one of its step is made."""
    return path.with_name(path.name + NEW)


def put_in_place(new: Path) -> None:
    """Let a whole checkpoint take the place of the older one of its step."""
    path = new.with_name(new.name.removesuffix(NEW))
    going = going_name(path)
    with contextlib.suppress(FileNotFoundError):  # its owner was faster
        path.rename(going)
    # Whoever is killed here leaves no checkpoint of that name: see `settle`.
    new.rename(path)
    durable.sync(path.parent)
    shutil.rmtree(going, ignore_errors=True)


def settle(directory: Path) -> None:
    """End what a killed process had begun to put in place, before anything is read.

    A new checkpoint beside the older one may not be whole after a power cut; what it
    has more than that is made again.
    """
    for new in directory.glob(f"*{NEW}"):
        path = new.with_name(new.name.removesuffix(NEW))
        if path.exists():
            shutil.rmtree(new, ignore_errors=True)
        else:
            new.rename(path)


def score(notes: Notes) -> float:
    """A checkpoint's score, the higher the better; -inf where it has none."""
    metrics = notes[METRICS]
    return -math.inf if metrics is None else metrics["score"]


def doomed(scores: dict[int, float], keep_last: int, keep_best: int) -> list[int]:
    """Steps that are neither among the newest nor among the best; of equals, the older.

    >>> doomed({1: 0.9, 2: -math.inf, 3: 0.9, 4: 0.2, 5: -math.inf}, 1, 1)
    [1, 2, 4]
    """
    newest = sorted(scores, reverse=True)
    best = sorted(newest, key=lambda step: scores[step], reverse=True)
    best = [step for step in best if scores[step] > -math.inf]
    return sorted(scores.keys() - {*newest[:keep_last], *best[:keep_best]})


def going_name(path: Path) -> Path:
    """What a checkpoint is called while it is deleted."""
    return path.with_name(f".deleting-{path.name}")


def set_aside(path: Path) -> None:
    """Move a damaged checkpoint out of the way; deleting it is left to its owner."""
    target = path.parent / "damaged" / path.name
    while target.exists():
        target = target.with_name(target.name + "_")
    target.parent.mkdir(exist_ok=True)
    path.rename(target)


def delete(path: Path) -> None:
    """Delete a checkpoint; to who reads it is gone at once, not piece by piece."""
    going = going_name(path)
    path.rename(going)
    shutil.rmtree(going, ignore_errors=True)
