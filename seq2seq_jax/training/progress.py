"""What a run remembers beside its arrays: pure records, saved as JSON."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from seq2seq_jax.config import TrainingConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.fields import from_dict
from seq2seq_jax.training.damage import DamagedError
from seq2seq_jax.training.window import Window

LATER = {"skipped", "skipped_in_row", "pending"}  # fields that older versions had not


@dataclass(frozen=True)
class Progress:
    """The bookkeeping of a checkpoint.

    Attributes:
        batch: number of the next batch of the plan: the data's position.
        best: the best score so far (more is better); None before the first evaluation.
        best_step: where it was reached.
        waited: evaluations since then.
        plateau_best: the best development loss that the plateau schedule has seen.
        plateau_waited: evaluations since then, or since the last decay.
        window: the sums of the line of metrics that is being gathered.
        skipped: updates that were left out.
        skipped_in_row: those since the last one that was made.
        pending: whether a signal ended this step's evaluation: nothing of the step has
            been told yet, and a resumed run begins with it.
    """

    batch: int = 0
    best: float | None = None
    best_step: int = 0
    waited: int = 0
    plateau_best: float | None = None
    plateau_waited: int = 0
    window: Window = field(default_factory=dict)
    skipped: int = 0
    skipped_in_row: int = 0
    pending: bool = False

    def to_json(self) -> dict[str, Any]:
        """As JSON values; `from_json` is the way back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Progress":
        """What `to_json` gave.

        >>> Progress.from_json(Progress(batch=7).to_json()).batch
        7

        Raises:
            DamagedError: a field is missing, unknown, or of another type; those that
                older versions had not may be missing.
        """
        names = {item.name for item in dataclasses.fields(cls)}
        missing = names - values.keys() - LATER
        if missing:
            raise DamagedError(f"bookkeeping has no {', '.join(sorted(missing))}")
        try:
            return from_dict(cls, values, "bookkeeping")
        except InputError as error:
            raise DamagedError(str(error)) from None


def evaluated(progress: Progress, step: int, score: float) -> Progress:
    """The progress after an evaluation; only a strictly better score counts.

    >>> after = evaluated(Progress(best=0.5, best_step=10), 20, 0.5)
    >>> after.best_step, after.waited
    (10, 1)
    """
    if math.isfinite(score) and (progress.best is None or score > progress.best):
        return dataclasses.replace(progress, best=score, best_step=step, waited=0)
    return dataclasses.replace(progress, waited=progress.waited + 1)


def decayed(
    progress: Progress, config: TrainingConfig, loss: float
) -> tuple[Progress, bool]:
    """The progress after a development loss, and whether the rate decays now.

    >>> config = TrainingConfig(schedule="plateau", plateau_patience=1)
    >>> decayed(Progress(plateau_best=2.0), config, 2.5)[1]
    True
    """
    if progress.plateau_best is None or loss < progress.plateau_best:
        return dataclasses.replace(progress, plateau_best=loss, plateau_waited=0), False
    waited = progress.plateau_waited + 1
    decays = config.schedule == "plateau" and waited >= config.plateau_patience
    return dataclasses.replace(progress, plateau_waited=0 if decays else waited), decays


def finished(progress: Progress, config: TrainingConfig, step: int) -> str | None:
    """Why the training is over at a step, in words; None where it is not."""
    if progress.pending:
        return None
    if step >= config.steps:
        return f"done at step {step} of {config.steps}"
    if config.patience is not None and progress.waited >= config.patience:
        return (
            f"stopped early at step {step}: no better {config.metric} for "
            f"{progress.waited} evaluations, the best was at step {progress.best_step}"
        )
    return None
