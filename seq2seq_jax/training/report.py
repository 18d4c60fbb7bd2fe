"""The report at the end of a training: the best checkpoint, measured and shown."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seq2seq_jax.training import notes, workdirs
from seq2seq_jax.training.evaluate import TITLES
from seq2seq_jax.types import Params

if TYPE_CHECKING:
    from seq2seq_jax.training.loop import Run

ALREADY = "already "
CONFIG = "config"
RESUME = 75  # sysexits.h EX_TEMPFAIL: "the user is invited to retry"
SAMPLES = 10


@dataclass(frozen=True)
class Report:
    """How a training ended.

    Attributes:
        status: `done`, `stopped early`, `already done`, `already stopped early` or
            `interrupted`.
        step: updates made.
        best_step: the step of the checkpoint that was measured.
        metrics: by split (`dev`, `test`), the values by name.
        samples: source, reference and hypothesis of a few test sequences.
        alignment: path of the picture, inside the workdir; None without one.
    """

    status: str
    step: int
    best_step: int
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    samples: list[dict[str, str]] = field(default_factory=list)
    alignment: str | None = None

    @property
    def exit_code(self) -> int:
        """The process's: 0, or 75 where the same command goes on."""
        return RESUME if self.status == "interrupted" else 0


def make_report(run: "Run", status: str, like: Params, step: int) -> Report:
    """Measure the best checkpoint on development and test set, and tell the results.

    They are kept in `results.json`, with the digest of the config that they are of: a
    finished run is measured once. What is interrupted is made when the command runs
    again, and the file is the same.

    Raises:
        Interrupted: a signal has come before the results were there.
    """
    path = run.workdir / "results.json"
    config = digest(run.workdir / "config.json")
    known = run.hosts.once(lambda: as_values(load_report(path, run.origin, config)))
    report = None if known is None else Report(**known)
    if report is None or report.step != step:
        report = measure_best(run, like, step)
        ended = {"status": status.removeprefix(ALREADY), CONFIG: config}
        values = dataclasses.asdict(report) | ended
        values = notes.seal(values | {notes.ORIGIN: notes.digest(run.origin)})
        if run.hosts.first:
            workdirs.write(path, json.dumps(values, indent=2) + "\n")
    report = dataclasses.replace(report, status=status)
    tell(run, report)
    return report


def digest(path: Path) -> str:
    """A name for what a file holds."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def load_report(path: Path, origin: dict[str, Any], config: str) -> Report | None:
    """What `results.json` holds; None where it is not there or not what was written.

    Nor is that of another config or run, or of other data. Older versions wrote no
    digests: what they wrote is taken as it is.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        names = notes.DIGEST, notes.ORIGIN, CONFIG
        sealed, of, own = (values.pop(name, None) for name in names)
        if (sealed, of, own) == (None, None, None):
            return Report(**values)
        whole = values | {notes.ORIGIN: of, CONFIG: own}
        known = of == notes.digest(origin) and own == config
        if not known or sealed != notes.digest(whole):
            return None
        return Report(**values)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def as_values(report: Report | None) -> dict[str, Any] | None:
    """A report as JSON values."""
    return None if report is None else dataclasses.asdict(report)


def measure_best(run: "Run", like: Params, step: int) -> Report:
    """Evaluate the best checkpoint on whole corpora, and draw where it looks."""
    best_step, params, *_ = run.checkpoints.load("best", run.layout.like(like))
    params = run.layout.place(params)
    corpora = {"dev": run.data.dev}
    if run.data.test is not None:
        corpora["test"] = run.data.test
    metrics = {}
    for split, corpus in corpora.items():
        decoded = run.evaluator.decode(params, corpus, alignments=True)
        metrics[split] = run.evaluator.loss(params, corpus) | decoded.metrics
        beside = decoded.beside.items()
        metrics |= {f"{split}, {name}": values for name, values in beside}
    shown = list(range(0, len(decoded.samples), -(-len(decoded.samples) // SAMPLES)))
    samples = [decoded.samples[i] for i in shown]
    run.stop.check()
    shown = [decoded.hypotheses[i] for i in shown]
    path = draw(run, shown)
    return Report("done", step, best_step, metrics, samples, path)


def draw(run: "Run", hypotheses: list[Any]) -> str | None:
    """A picture of one of some hypotheses; of several processes the first draws."""
    return run.kind.draw(hypotheses, run.workdir) if run.hosts.first else None


def tell(run: "Run", report: Report) -> None:
    """Log the table of results, the samples and the heat map's path."""
    run.reporter.results(report.metrics, TITLES)
    run.reporter.samples(report.samples)
    run.reporter.log(
        f"measured: checkpoint {report.best_step}, the best by "
        f"{run.config.training.metric}; results in "
        f"{run.workdir / 'results.json'}"
    )
    if report.alignment is not None:
        path = run.workdir / report.alignment
        run.reporter.log(f"{path.stem}: {path}")
