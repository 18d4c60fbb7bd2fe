"""What the numbers of a model of series mean: `series.json` in the workdir."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from seq2seq_jax.errors import InputError
from seq2seq_jax.series.panels import Panel
from seq2seq_jax.series.scaling import Scale
from seq2seq_jax.series.times import Step
from seq2seq_jax.series.windows import Scales

NAME = "series.json"


@dataclass(frozen=True)
class Facts:
    """What a model's numbers mean.

    Attributes:
        step: between two times.
        dates: whether times are dates.
        season: steps of a season.
        scales: of each series by its name.
    """

    step: Step
    dates: bool
    season: int
    scales: dict[str, Scales]

    def of(self, panel: Panel, path: Path) -> list[Scales]:
        """The scale of each series of a panel.

        Raises:
            InputError: the training had no series of that name.
        """
        for series in panel.series:
            if series.name not in self.scales:
                known = ", ".join(list(self.scales)[:10])
                raise InputError(
                    f"{path} has a series {series.name!r}, which the training had not: "
                    f"it knows {known}"
                )
        return [self.scales[series.name] for series in panel.series]

    def to_json(self) -> str:
        """As JSON text."""
        scales = {
            name: {part: scale.to_json() for part, scale in both._asdict().items()}
            for name, both in self.scales.items()
        }
        values = {"step": self.step, "dates": self.dates, "season": self.season}
        return json.dumps(values | {"scales": scales}, indent=2) + "\n"


def load(workdir: Path) -> Facts | None:
    """A workdir's facts; None where it has none yet.

    Raises:
        InputError: they are damaged.
    """
    path = workdir / NAME
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        scales = {
            name: Scales(*(Scale.from_json(both[part]) for part in Scales._fields))
            for name, both in values["scales"].items()
        }
        step = Step(*values["step"])
        return Facts(step, bool(values["dates"]), int(values["season"]), scales)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged: {error}") from None


def stamp(workdir: Path) -> str:
    """A digest of a workdir's facts; equal for equal files.

    Raises:
        InputError: there are none.
    """
    path = workdir / NAME
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
