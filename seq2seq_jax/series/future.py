"""Windows whose horizon is the future: after the last values of a table, or a time."""

import dataclasses
from pathlib import Path

import numpy as np

from seq2seq_jax.config import SeriesConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.series import times, windows
from seq2seq_jax.series.facts import Facts
from seq2seq_jax.series.panels import Panel, Series
from seq2seq_jax.series.windows import Windows


def ahead(
    panel: Panel, facts: Facts, config: SeriesConfig, path: Path, after: str | None
) -> tuple[Panel, Windows]:
    """The panel, as long as the horizons need, and one window of each series.

    Args:
        after: a time, the last that the model may know; None: of each series the last
            with a value to forecast.

    Raises:
        InputError: a series is too short for a window, or what is known of the future
            is not there.
    """
    made, places = [], []
    for number, series in enumerate(panel.series):
        row = begin_of(panel, series, config, path, after)
        made.append(longer(panel, series, row + config.horizon, config, path))
        places.append((number, row))
    panel = dataclasses.replace(panel, series=tuple(made))
    steps = windows.laid(panel, facts.of(panel, path), config)
    return panel, Windows(steps, np.array(places), config, facts.season)


def begin_of(
    panel: Panel, series: Series, config: SeriesConfig, path: Path, after: str | None
) -> int:
    """The row where a series' horizon begins."""
    of = f" of {series.name}" if series.name else ""
    if after is None:
        count = windows.sizes_of(config).target
        there = np.isfinite(series.values[:, :count]).any(1)
        row = int(np.flatnonzero(there)[-1]) + 1
    else:
        wanted, dates = times.parse([after], lambda row: "--after")
        if dates != panel.dates:
            raise InputError(f"--after is {after!r}, which is no time of {path}")
        row = panel.place(series, int(wanted[0]) + 1)
    if row < config.past_steps:
        raise InputError(
            f"{path}: {row} steps{of} up to the forecast, too few for one window: the "
            f"model reads {config.past_steps} (series.past_steps)"
        )
    if row > len(series):
        raise InputError(f"--after is {after!r}, behind the end{of} of {path}")
    return row


def longer(
    panel: Panel, series: Series, rows: int, config: SeriesConfig, path: Path
) -> Series:
    """A series with empty rows behind it, up to so many.

    Raises:
        InputError: something known of the future is not known of them.
    """
    more = max(rows - len(series), 0)

    def padded(cells: np.ndarray) -> np.ndarray:
        return np.pad(cells, ((0, more), (0, 0)), constant_values=np.nan)

    if more and config.known:
        of = f" of {series.name}" if series.name else ""
        last = times.written(int(panel.times(series, rows)[-1]), panel.dates)
        raise InputError(
            f"{path} ends{of} {more} step{'s' * (more > 1)} too soon: give rows up to "
            f"{last} with {', '.join(config.known)}, which the model is told of the "
            f"future, and {', '.join(config.targets)} empty"
        )
    return dataclasses.replace(
        series, values=padded(series.values), known=padded(series.known)
    )
