"""Forecasts in units: to be drawn, and as rows of a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seq2seq_jax.config import SeriesConfig
from seq2seq_jax.series import times
from seq2seq_jax.series.facts import Facts
from seq2seq_jax.series.metrics import Forecasts
from seq2seq_jax.series.panels import Panel
from seq2seq_jax.series.windows import Windows

SERIES, STEP, VALUE = "series", "step", "value"  # columns that a table has no name for


@dataclass(frozen=True)
class Shown:
    """A forecast in units, to be drawn.

    Attributes:
        title: series, column and the time before the first step.
        past: `[L]` what the model read.
        truth: `[N]` what came, NaN where that is not known.
        point, low, high: `[N]`; None: no band.
        weights: `[N, L]`; None: it looked nowhere.
    """

    title: str
    past: np.ndarray
    truth: np.ndarray
    point: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None
    weights: np.ndarray | None


def deviations_of(facts: Facts, windows: Windows, numbers: np.ndarray) -> np.ndarray:
    """`[W, M]`: what one on the scale is in units, of each window's series."""
    names, count = windows.steps.names, windows.steps.filled.shape[1]
    scales = [facts.scales[name].values.deviation for name in names]
    return np.stack(scales)[windows.places[numbers, 0], :count]


def show(
    panel: Panel,
    facts: Facts,
    windows: Windows,
    numbers: np.ndarray,
    found: Forecasts,
    config: SeriesConfig,
) -> list[Shown]:
    """Forecasts of the first target of some windows, in units."""
    truth, made = windows.truth(numbers), []
    for place, number in enumerate(numbers):
        which, row = map(int, windows.places[number])
        series, begin = panel.series[which], int(windows.steps.begins[which]) + row
        scale = facts.scales[series.name].values
        read = windows.steps.values[begin - config.past_steps : begin, :1]
        last = times.after(series.first, np.array([row - 1]), panel.step)[0]
        column = "" if config.wide else config.targets[0]
        name = " ".join(filter(None, [series.name, column]))
        low, high, looked = found.low, found.high, found.weights
        made.append(
            Shown(
                f"{name} after {times.written(int(last), panel.dates)}",
                scale.undo(read)[:, 0],
                scale.undo(truth[place])[:, 0],
                scale.undo(found.point[place])[:, 0],
                None if low is None else scale.undo(low[place])[:, 0],
                None if high is None else scale.undo(high[place])[:, 0],
                None if looked is None else looked[place],
            )
        )
    return made


def columns_of(config: SeriesConfig, band: bool, origin: bool) -> list[str]:
    """The names of a table of forecasts.

    >>> columns_of(SeriesConfig(targets=("y",), id="shop"), band=True, origin=False)
    ['shop', 'date', 'y', 'y_low', 'y_high']
    """
    names = [config.id or SERIES] * bool(config.id or config.wide)
    names += ["after"] * origin + [config.time or STEP]
    for target in (VALUE,) if config.wide else config.targets:
        names += [target, f"{target}_low", f"{target}_high"] if band else [target]
    return names


def rows_of(
    panel: Panel,
    facts: Facts,
    windows: Windows,
    found: Forecasts,
    config: SeriesConfig,
    origin: bool = False,
) -> Iterator[Sequence[Any]]:
    """A row for each step of each window's forecast, in units.

    Args:
        origin: whether a column says after which time a forecast was made.
    """
    named = bool(config.id or config.wide)
    for number, (which, row) in enumerate(windows.places.tolist()):
        series = panel.series[which]
        scale = facts.scales[series.name].values
        steps = np.arange(row - 1, row + config.horizon)
        every = times.after(series.first, steps, panel.step)
        texts = [times.written(int(time), panel.dates) for time in every]
        parts = [found.point, found.low, found.high]
        values = [scale.undo(part[number]) for part in parts if part is not None]
        for step, text in enumerate(texts[1:]):
            begin = [series.name] * named + [texts[0]] * origin + [text]
            yield begin + [float(x) for x in np.stack(values, -1)[step].ravel()]
