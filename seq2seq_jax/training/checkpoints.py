"""Save and restore; what is asked of Orbax stands in `stored` and `writing`.

A checkpoint is a folder named by its step. Orbax writes it under another name, beside
the training, and renames it when it is whole; only then are older ones deleted. The
parameters are an item of their own, so inference reads them without the optimiser.
Notes are JSON in the same folder: bookkeeping (data position, best score, counters),
fingerprints of all arrays, and of which run they are, under a digest. What does not
agree with them when it is read is damaged, or of another run.
"""

import contextlib
import logging
import math
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

from seq2seq_jax.errors import InputError
from seq2seq_jax.training import fingerprints, notes, stored, writing
from seq2seq_jax.training.damage import DamagedError, reason
from seq2seq_jax.training.hosts import ALONE, Hosts
from seq2seq_jax.training.origin import Origin, remarks
from seq2seq_jax.types import Params, TrainState

Tree = Any
FULL = re.compile("no space|quota|too large", re.IGNORECASE)  # as systems say it

# Orbax logs the traceback of every failure before it raises it; what is raised is
# worded for the user below.
logging.getLogger("absl").addFilter(lambda record: "orbax" not in record.pathname)
# Of Orbax's own, after a load that failed; a program's others stay as they are.
NEVER_AWAITED = r"coroutine 'PyTreeHandler\..*' was never awaited"
warnings.filterwarnings("ignore", NEVER_AWAITED, RuntimeWarning)


def warn(line: str) -> None:
    """Print a line to stderr."""
    print(line, file=sys.stderr, flush=True)


class Checkpoints:
    """The checkpoints of one workdir. Reading creates and changes no file.

    Args:
        directory: the folder of checkpoints; made at the first save.
        keep_last: newest checkpoints kept.
        keep_best: checkpoints kept for their `metrics["score"]`, the higher the better.
        log: where a damaged checkpoint is named.
        origin: of which run they are; None: nothing is known of it, nor asked.
        hosts: the processes that save and restore together, all at the same time.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        keep_last: int = 2,
        keep_best: int = 1,
        log: Callable[[str], None] = warn,
        origin: Origin | None = None,
        hosts: Hosts = ALONE,
    ):
        self.directory = Path(directory).absolute()
        self._keep = (keep_last, keep_best)
        self._log = log
        self._origin = origin
        self._told: set[str] = set()
        self._hosts = hosts
        self._writer: writing.Writer | None = None
        self._pending: int | None = None

    def settle(self) -> None:
        """End what a killed training had begun; for the next one, before it reads."""
        if jax.process_index() == 0:
            writing.settle(self.directory)

    def steps(self) -> list[int]:
        """Steps of the checkpoints that are there, oldest first."""
        if not self.directory.is_dir():
            return []
        names = (path.name for path in self.directory.iterdir() if path.is_dir())
        # A name such as 007 is none of ours: there is no folder 7.
        return sorted(int(x) for x in names if x.isdecimal() and str(int(x)) == x)

    def save(
        self,
        step: int,
        state: TrainState,
        bookkeeping: dict[str, Any],
        metrics: dict[str, float] | None = None,
    ) -> None:
        """Copy the state to the host and write it while the training goes on.

        A checkpoint that is there of the same step stays until this one is whole.

        Args:
            step: the checkpoint's name.
            state: the state; it may be donated as soon as this returns.
            bookkeeping: anything JSON can hold.
            metrics: with `score` (higher is better) where this state was evaluated.

        Raises:
            InputError: this save or the one before it could not be written, or not all
                processes have the same state.
            ValueError: the state is not of this step.
        """
        if int(state.step) != step:
            raise ValueError(f"step is {step}, but the state's is {int(state.step)}")
        self._write(step, stored.items_of(state), bookkeeping, metrics)

    def save_average(self, step: int, params: Params, steps: list[int]) -> None:
        """Write the mean of some steps' parameters, whole at return; for inference.

        Raises:
            InputError: it could not be written.
        """
        items = {stored.PARAMS: params}
        self._write(step, items, {notes.AVERAGED: steps}, None)
        self.wait()

    def _write(
        self,
        step: int,
        items: dict[str, Tree],
        bookkeeping: dict[str, Any],
        metrics: dict[str, float] | None,
    ) -> None:
        self.wait()
        if metrics is not None:
            worst = {"score": -sys.float_info.max}
            finite = {name: x for name, x in metrics.items() if math.isfinite(x)}
            metrics = worst | finite
        marks = {name: fingerprints.of(tree) for name, tree in items.items()}
        self._check_same(step, marks)
        if self._hosts.count > 1:
            from seq2seq_jax.training import parallel  # with optax: slow to load

            items = parallel.spanning(items)
        values = {
            notes.STEP: step,
            notes.BOOKKEEPING: bookkeeping,
            notes.METRICS: metrics,
            notes.FINGERPRINTS: marks,
        }
        if self._origin is not None:
            values[notes.ORIGIN] = self._origin
        self._pending = step
        with self._wording_write_errors():
            if self._writer is None:
                scores = {each: self.score(each) for each in self.steps()}
                scores = {each: x for each, x in scores.items() if x < math.inf}
                self._writer = writing.Writer(
                    self.directory,
                    *self._keep,
                    scores,
                    self._log,
                    owner=self._hosts.first,
                )
            self._writer.begin(items, notes.seal(values))

    def _check_same(self, step: int, marks: dict[str, dict[str, str]]) -> None:
        """Refuse to save where a process trains another model than the others.

        Raises:
            InputError: in all processes.
        """
        flat = {
            f"{item}.{x}": mark for item in marks for x, mark in marks[item].items()
        }
        self._hosts.same(
            flat,
            f"state at step {step}",
            "one of them computes wrongly, and this state was not saved; find the "
            "hardware that does, then run the same command again",
        )

    def wait(self) -> None:
        """Wait until the last save is whole.

        Raises:
            InputError: it could not be written; the ones before it are untouched.
        """
        if self._writer is not None and self._pending is not None:
            with self._wording_write_errors():
                self._writer.wait()
        self._pending = None

    def close(self) -> None:
        """Wait for the last save and end its thread."""
        try:
            self.wait()
        finally:
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.close()

    def restore(
        self, like: TrainState, read: Callable[[dict[str, Any]], Any] = dict
    ) -> tuple[TrainState, Any]:
        """The newest whole checkpoint, placed like `like`, and its bookkeeping.

        Newer ones that cannot be read are named and moved to `damaged/`, so that the
        training can write these steps again.

        Args:
            like: a state of the same model.
            read: what to make of the bookkeeping; raises `DamagedError` where it cannot
                be, and the checkpoint counts as damaged.

        Raises:
            InputError: there is none, all are damaged, or it holds another model.
        """
        steps = self._hosts.once(lambda: self.steps()[::-1])
        loaded, bookkeeping, damaged = self._first_whole(
            steps,
            stored.items_of(like),
            lambda values: read(values[notes.BOOKKEEPING]),
        )
        for step in damaged if jax.process_index() == 0 else ():
            writing.set_aside(self.directory / str(step))
        return stored.state_of(loaded), bookkeeping

    def restore_params(
        self, which: str | int = "best", like: Params | None = None
    ) -> Params:
        """The weights that `load` gives."""
        return self.load(which, like).params

    def load(
        self,
        which: str | int = "best",
        like: Params | None = None,
        *,
        raw: bool = False,
    ) -> stored.Loaded:
        """The weights of a checkpoint alone; on this process's first device.

        They are the moving average of the parameters where the checkpoint has one.

        Args:
            which: `best`, `latest`, or a step. Where the best or latest one is damaged,
                it is named and the next best or the one before is taken.
            like: arrays or shapes to check against, and to place it like; None takes
                what is there, tuples as lists.
            raw: the parameters, whether there is an average or not.

        Raises:
            InputError: there is none, the step asked for is missing or damaged, or it
                holds another model.
        """
        name = stored.PARAMS if raw else stored.WEIGHTS
        steps = self._hosts.once(lambda: self.candidates(which))
        loaded, values, damaged = self._first_whole(steps, {name: like}, dict)
        averaged = stored.item_of(name, values) == stored.AVERAGE
        step, origin = steps[len(damaged)], values.get(notes.ORIGIN)
        return stored.Loaded(step, loaded[name], averaged, origin)

    def candidates(self, which: str | int) -> list[int]:
        """Steps to try for `which` (`best`, `latest` or a step), first one first."""
        steps = self.steps()
        if which == "latest":
            return steps[::-1]
        if which == "best":
            return sorted(steps, key=lambda step: (self.score(step), step))[::-1]
        if not str(which).isdecimal():
            raise InputError(f"checkpoint {which!r}: expected best, latest or a step")
        if int(which) not in steps:
            raise InputError(
                f"no checkpoint {which} in {self.directory}: there are "
                f"{', '.join(map(str, steps)) or 'none'}"
            )
        return [int(which)]

    def score(self, step: int) -> float:
        """A checkpoint's score, the higher the better; -inf where it has none.

        inf where it cannot be read: whoever wants the best tries it first, and tells.
        """
        try:
            return writing.score(stored.read_metadata(self.directory / str(step))[1])
        except DamagedError:
            return math.inf

    def _first_whole(
        self, steps: list[int], likes: dict[str, Tree], read: Callable[[dict], Any]
    ) -> tuple[dict[str, Tree], Any, list[int]]:
        """Items, and what `read` makes of the notes, of the first that is whole.

        The steps of those before it, which are damaged, come last.
        """
        if not steps:
            raise InputError(
                f"no checkpoint in {self.directory}: train first, or name the workdir "
                f"that `train.py --workdir` wrote"
            )
        for index, step in enumerate(steps):
            path, name, wrong = self.directory / str(step), f"checkpoint {step}", None
            try:
                loaded, values = stored.load(path, likes, self._origin)
                made = read(values)
            except DamagedError as error:
                wrong = f"{error.verdict} ({error})"
                if not path.exists():  # a training that goes on has newer ones
                    wrong = "was deleted meanwhile"
            # What one process cannot read is damaged for all.
            wrong = next(filter(None, self._hosts.gathered(wrong)), None)
            if wrong is None:
                self._remark(step, remarks(values.get(notes.ORIGIN), self._origin))
                return loaded, made, steps[:index]
            line = f"{name} in {self.directory} {wrong}"
            if index + 1 < len(steps):
                self._log(f"{line}; trying checkpoint {steps[index + 1]}")
        raise InputError(
            f"no whole checkpoint in {self.directory}: "
            f"{', '.join(map(str, steps))} damaged, or of another run; {line}"
        )

    def _remark(self, step: int, lines: list[str]) -> None:
        """Tell once what there is to tell of checkpoints that are used."""
        for line in set(lines) - self._told:
            self._log(f"checkpoint {step} in {self.directory}: {line}")
        self._told.update(lines)

    @contextlib.contextmanager
    def _wording_write_errors(self) -> Iterator[None]:
        """Turn whatever a failing disk raises into one line."""
        try:
            yield
        except Exception as error:
            pending, self._pending = self._pending, None
            whole = [step for step in self.steps() if step != pending]
            kept = f"checkpoint {whole[-1]} is whole" if whole else "there is no other"
            gone = "" if self.directory.is_dir() else "the folder is gone; "
            why = reason(error)
            remedy = "make room" if FULL.search(why) else "mend this"
            raise InputError(
                f"checkpoint {pending} could not be written to {self.directory}: "
                f"{gone}{why}; {kept}: {remedy}, then run the same command again"
            ) from error
