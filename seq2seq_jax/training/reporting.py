"""What a training tells: a progress bar or lines, files of curves, TensorBoard.

What the seed decides goes to `metrics.jsonl`, which is the same byte for byte however
often a run was interrupted; what the clock says goes to `timings.jsonl`. Nothing here
reads from a device: the loop hands over numbers that it has fetched.
"""

import contextlib
import json
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import jax
from rich import progress as rich_progress
from rich.console import Console
from rich.table import Table

from seq2seq_jax import durable

METRICS, TIMINGS, BOARD = "metrics.jsonl", "timings.jsonl", "tensorboard"
TIMING = ("seconds", "tokens_per_second")  # fields that differ from run to run


def trim(path: Path, step: int) -> None:
    """Cut away the lines of a file of curves after a step, and a half-written last one.

    What a killed run wrote after its last checkpoint is written again when it resumes.
    """
    if not path.exists():
        return
    kept = []
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                if line.endswith("\n") and json.loads(line)["step"] <= step:
                    kept.append(line)
    new = path.with_name(f".{path.name}.new")
    new.write_text("".join(kept), encoding="utf-8")
    durable.replace(new, path)


def as_json(values: dict[str, Any]) -> str:
    """One line of JSON; numbers that JSON does not have become null.

    >>> as_json({"step": 3, "loss": float("nan")})
    '{"step": 3, "loss": null}'
    """
    finite = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
    return json.dumps(finite)


def duration(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> duration(75), duration(3675)
    ('1:15', '1:01:15')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Reporter:
    """Writes for the first process; on the others it keeps silent.

    Args:
        workdir: where `metrics.jsonl`, `timings.jsonl` and `tensorboard/` go.
        steps: the last step; may be set later.
        log: takes lines in place of stderr.
    """

    def __init__(
        self, workdir: Path, steps: int, log: Callable[[str], None] | None = None
    ):
        self._workdir, self.steps, self._log = workdir, steps, log
        self._first = jax.process_index() == 0
        self._console = Console(stderr=True)
        self._bar: rich_progress.Progress | None = None
        self._task = rich_progress.TaskID(0)
        self._mark = time.perf_counter()
        self._files: list[IO[str]] = []  # of what the seed decides, of the clock's
        self._board: Any = None

    def log(self, text: str) -> None:
        """Tell a person something: on stderr, above the bar where there is one."""
        if self._log is not None:
            self._log(text)
        elif self._first and self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        elif self._first:
            print(text, file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def running(self, step: int) -> Iterator[None]:
        """Open the files, of which what comes after `step` is cut away, and the bar."""
        if not self._first:
            yield
            return
        from seq2seq_jax.training.board import Board  # half a second to import

        paths = [self._workdir / name for name in (METRICS, TIMINGS)]
        for path in paths:
            trim(path, step)
        with contextlib.ExitStack() as stack:
            self._files = [
                stack.enter_context(path.open("a", encoding="utf-8")) for path in paths
            ]
            self._board = Board(self._workdir / BOARD, step)
            durable.sync(self._workdir)  # the names of new files
            stack.callback(self._close)
            if self._log is None and self._console.is_terminal:
                self._start_bar(step)
            self.lap()
            yield

    def _start_bar(self, step: int) -> None:
        columns = rich_progress
        self._bar = rich_progress.Progress(
            columns.TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            columns.BarColumn(bar_width=12),
            columns.TextColumn("{task.fields[status]}"),
            columns.TextColumn("left"),
            columns.TimeRemainingColumn(compact=True),
            console=self._console,
        )
        self._bar.start()
        self._task = self._bar.add_task(
            "", total=self.steps, completed=step, status="compiling"
        )

    def _close(self) -> None:
        bar, board = self._bar, self._board
        self._bar = self._board = None
        self._files = []
        if bar is not None:
            bar.stop()
        with contextlib.suppress(OSError):  # every line has been written before
            board.close()

    def lap(self) -> float:
        """Seconds since the last lap."""
        last, self._mark = self._mark, time.perf_counter()
        return self._mark - last

    def advance(self, step: int) -> None:
        """Move the bar; costs next to nothing."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step)

    def record(self, step: int, split: str, values: dict[str, float]) -> None:
        """A line of `metrics.jsonl`, one of `timings.jsonl`, points for TensorBoard."""
        if not self._files:
            return
        parts: list[dict[str, Any]] = [{"step": step, "split": split} for _ in "12"]
        for name, value in values.items():
            parts[name in TIMING][name] = value
        for file, part in zip(self._files, parts, strict=True):
            file.write(as_json(part) + "\n")
            file.flush()
        finite = {f"{split}/{n}": x for n, x in values.items() if math.isfinite(x)}
        self._board.add(step, finite)

    def show(
        self,
        step: int,
        split: str,
        samples: list[dict[str, str]],
        pictures: dict[str, tuple[bytes, int, int]],
    ) -> None:
        """Samples and pictures for TensorBoard."""
        if self._board is not None:
            texts = {f"{split}/samples": as_markdown(samples)}
            named = {f"{split}/alignment/{n}": each for n, each in pictures.items()}
            self._board.show(step, texts, named)

    def sync(self) -> None:
        """Wait until all that was recorded is on the disk.

        A checkpoint says that the curves up to its step are there: it comes after this.

        Raises:
            OSError: the disk takes no more.
        """
        for file in self._files:
            os.fsync(file.fileno())
        if self._board is not None:
            self._board.sync()

    def train(self, step: int, values: dict[str, float], seconds_left: float) -> None:
        """Report a window of training steps."""
        self.record(step, "train", values)
        status = (
            f"loss {values['loss']:.4f}  {values['tokens_per_second']:,.0f} tokens/s  "
            f"padding {values['padding']:.0%}  lr {values['learning_rate']:.2e}"
        )
        if self._bar is not None:
            self._bar.update(self._task, status=status)
        else:
            left = duration(seconds_left)
            self.log(f"step {step:,}/{self.steps:,}  {status}  left {left}")

    def evaluation(self, step: int, values: dict[str, float], best: bool) -> None:
        """Report an evaluation on the development set."""
        shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        self.log(f"step {step:,}  dev  {shown}{'  best so far' if best else ''}")
        if nan := [name for name, value in values.items() if math.isnan(value)]:
            self.log(f"warning: not a number, so no best: {', '.join(nan)}")

    def samples(self, samples: list[dict[str, str]]) -> None:
        """Show sources, references and hypotheses."""
        for sample in samples:
            self.log(
                f"  source      {sample['source']}\n"
                f"  reference   {sample['reference']}\n"
                f"  hypothesis  {sample['hypothesis']}\n"
            )

    def results(
        self, rows: dict[str, dict[str, float]], titles: dict[str, str]
    ) -> None:
        """Print the final table, a column a split."""
        table = Table("", *rows)
        for name in titles:
            if any(name in row for row in rows.values()):
                cells = (
                    f"{row[name]:.4g}" if name in row else "" for row in rows.values()
                )
                table.add_row(titles[name], *cells)
        console = Console(width=None if sys.stderr.isatty() else 88, stderr=True)
        with console.capture() as captured:
            console.print(table)
        self.log(captured.get().rstrip())


def as_markdown(samples: list[dict[str, str]]) -> str:
    """A table of samples; what a text has that Markdown would read stands as it is.

    >>> print(as_markdown([{"source": "a|b", "hypothesis": "<i>"}]))
    | source | hypothesis |
    |---|---|
    | a\\|b | \\<i\\> |
    """
    names = list(samples[0]) if samples else []
    rows = [names, *[[plain(sample[name]) for name in names] for sample in samples]]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(names) + "|", *lines[1:]])


def plain(text: str) -> str:
    """A text in which Markdown finds no marks."""
    return re.sub(r"([\\`*_~{}\[\]<>|])", r"\\\1", " ".join(text.splitlines()))
