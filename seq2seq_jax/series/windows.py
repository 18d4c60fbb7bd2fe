"""Windows of series: so many past steps, and the horizon that follows, as examples.

A model reads of each past step the values (0 where one is missing), a 1 for each that
is there, and what is known of the time; the decoder reads the same of the step before
the one that it says, with what is known of the step itself.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from seq2seq_jax.config import SeriesConfig
from seq2seq_jax.series import calendar
from seq2seq_jax.series.panels import Panel, Series
from seq2seq_jax.series.scaling import Scale
from seq2seq_jax.types import Batch


class Scales(NamedTuple):
    """Of one series: of its values (targets, then past), and of what is known."""

    values: Scale
    known: Scale


class Sizes(NamedTuple):
    """How many numbers a step has.

    Attributes:
        source: F, read of each past step.
        target: M, forecast.
        heard: G, read by the decoder.
    """

    source: int
    target: int
    heard: int


def sizes_of(config: SeriesConfig) -> Sizes:
    """The sizes of a config's windows.

    >>> sizes_of(SeriesConfig(targets=("y",), past=("x",), calendar=("hour",)))
    Sizes(source=6, target=1, heard=4)
    """
    targets = 1 if config.wide else len(config.targets)
    beside = len(config.known) + 2 * len(config.calendar)
    both = targets + len(config.past)
    return Sizes(2 * both + beside, targets, 2 * targets + beside)


def no_centre(past: np.ndarray) -> np.ndarray:
    """0: values stay as they are."""
    return np.zeros((past.shape[0], past.shape[2]), past.dtype)


def last_value(past: np.ndarray) -> np.ndarray:
    """The last value that is there, 0 where none is.

    >>> last_value(np.array([[[1.0], [2.0], [np.nan]]])).tolist()
    [[2.0]]
    """
    there = np.isfinite(past)
    last = past.shape[1] - 1 - there[:, ::-1].argmax(1)
    found = np.take_along_axis(past, last[:, None], 1)[:, 0]
    return np.where(there.any(1), found, 0.0).astype(past.dtype)


def mean_value(past: np.ndarray) -> np.ndarray:
    """The mean of the values that are there, 0 where none is."""
    there = np.isfinite(past)
    total = np.where(there, past, 0.0).sum(1)
    return (total / np.maximum(there.sum(1), 1)).astype(past.dtype)


# Of the targets' past `[B, L, M]`, what is taken from a window's targets `[B, M]`.
CENTRES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": no_centre,
    "last": last_value,
    "mean": mean_value,
}


@dataclass(frozen=True)
class Steps:
    """All series laid end to end, scaled.

    Attributes:
        values: `[N, M + P]` float32, NaN where missing.
        known: `[N, K + 2 C]` float32: what is known, and the calendar.
        filled: `[N, M]` the targets, a missing one as the one before it.
        begins: where each series begins.
        names: of the series.
    """

    values: np.ndarray
    known: np.ndarray
    filled: np.ndarray
    begins: np.ndarray
    names: tuple[str, ...]


def laid(panel: Panel, scales: Sequence[Scales], config: SeriesConfig) -> Steps:
    """A panel's series with a scale for each."""
    values, known = [], []
    for series, scale in zip(panel.series, scales, strict=True):
        values.append(scale.values.apply(series.values))
        # A step without a row has no covariates: their mean stands there.
        beside = np.nan_to_num(scale.known.apply(series.known))
        told = calendar.features(config.calendar, panel.times(series))
        known.append(np.concatenate([beside, told], 1))
    count = sizes_of(config).target
    filled = np.concatenate([_filled(each[:, :count]) for each in values])
    ends = np.cumsum([0, *map(len, panel.series)])
    return Steps(
        np.concatenate(values).astype(np.float32),
        np.concatenate(known).astype(np.float32),
        filled.astype(np.float32),
        ends[:-1],
        tuple(series.name for series in panel.series),
    )


def _filled(values: np.ndarray) -> np.ndarray:
    """The value before in place of a missing one; 0 (the mean) before the first."""
    there = np.isfinite(values)
    rows = np.where(there, np.arange(len(values))[:, None], -1)
    last = np.maximum.accumulate(rows, 0)
    found = np.take_along_axis(values, np.maximum(last, 0), 0)
    return np.where(last >= 0, found, 0.0)


class Windows:
    """Examples to learn from or to measure on: a corpus for `BatchPlan`.

    Attributes:
        steps: what they are cut from.
        places: `[W, 2]` of each the number of its series and the series' row where its
            horizon begins.
        lengths: `[W, 2]` L and N of each: all are the same.
        season: steps.
    """

    def __init__(
        self, steps: Steps, places: np.ndarray, config: SeriesConfig, season: int
    ) -> None:
        self.steps, self.places, self.season = steps, places, season
        self._past, self._horizon = config.past_steps, config.horizon
        self._centre = CENTRES[config.centre]
        self._targets = sizes_of(config).target
        shape = (len(places), 2)
        self.lengths = np.broadcast_to(
            np.array([self._past, self._horizon], np.int32), shape
        )

    def __len__(self) -> int:
        return len(self.places)

    @property
    def checksum(self) -> str:
        """Equal for equal windows."""
        parts = self.steps.values, self.steps.known, self.places
        crc = 0
        for part in parts:
            crc = zlib.crc32(np.ascontiguousarray(part).tobytes(), crc)
        return f"{crc:08x}"

    def _first(self, rows: np.ndarray) -> np.ndarray:
        """Where in `steps` the horizons of some examples begin."""
        series, row = self.places[rows].T
        return self.steps.begins[series] + row

    def centre(self, rows: np.ndarray) -> np.ndarray:
        """`[B, M]` what was taken from the targets of some examples."""
        past = self._first(rows)[:, None] - self._past + np.arange(self._past)
        return self._centre(self.steps.values[past, : self._targets])

    def truth(self, rows: np.ndarray) -> np.ndarray:
        """`[B, N, M]` what came, on the scale; NaN where that is missing."""
        ahead = self._first(rows)[:, None] + np.arange(self._horizon)
        return self.steps.values[ahead, : self._targets]

    def collate(self, rows: np.ndarray, source: int, target: int) -> Batch:
        """Examples `[B]` (-1: an empty row) as a batch of lengths L and N."""
        real = rows >= 0
        rows = np.maximum(rows, 0)
        count, first = self._targets, self._first(rows)[:, None]
        past, ahead = first - source + np.arange(source), first + np.arange(target)
        centre = self._centre(self.steps.values[past, :count])[:, None]

        def centred(values: np.ndarray) -> np.ndarray:
            beside = values[..., count:]
            return np.concatenate([values[..., :count] - centre, beside], -1)

        read = centred(self.steps.values[past])
        heard = centred(self.steps.values[ahead - 1])[..., :count]
        said = centred(self.steps.values[ahead])[..., :count]
        said[~real] = np.nan
        known = self.steps.known
        return Batch(
            source=_flagged(read, known[past], real),
            source_mask=np.repeat(real[:, None], source, 1),
            target_in=_flagged(heard, known[ahead], real),
            target_out=said,
            target_mask=np.repeat(real[:, None], target, 1),
        )

    def naive(self, rows: np.ndarray) -> np.ndarray:
        """`[B, N, M]`: the last value known, at every step of the horizon."""
        last = self.steps.filled[self._first(rows) - 1]
        return np.repeat(last[:, None], self._horizon, 1)

    def seasonal_naive(self, rows: np.ndarray) -> np.ndarray:
        """`[B, N, M]`: what was a season ago, of the last season that is known.

        Hyndman & Athanasopoulos 2021, section 5.2: y_{T+h} = y_{T+h-m(k+1)}, k the
        whole seasons in h - 1. A missing value is as the one before it.
        """
        back = np.arange(self._horizon) % self.season - self.season
        series, row = self.places[rows].T
        place = np.maximum(row[:, None] + back, 0)
        return self.steps.filled[self.steps.begins[series][:, None] + place]


def _flagged(values: np.ndarray, known: np.ndarray, real: np.ndarray) -> np.ndarray:
    """`[values, 0 where missing ; 1 where there ; known]`, 0 in rows that are empty."""
    there = np.isfinite(values)
    made = np.concatenate([np.where(there, values, 0.0), there, known], -1)
    return np.where(real[:, None, None], made, 0.0).astype(np.float32)


def places_between(
    series: Sequence[Series],
    bounds: Sequence[tuple[int, int]],
    config: SeriesConfig,
) -> np.ndarray:
    """`[W, 2]` the windows whose horizon lies between two rows of each series.

    Their past may reach into the rows before. A window that has no target to forecast,
    or none in its past, is left out.
    """
    past, horizon, count = config.past_steps, config.horizon, sizes_of(config).target
    made = [np.zeros((0, 2), np.int64)]
    for number, (one, (begin, end)) in enumerate(zip(series, bounds, strict=True)):
        rows = np.arange(max(begin, past), min(end, len(one)) - horizon + 1)
        there = np.isfinite(one.values[:, :count]).any(1)
        sums = np.concatenate([[0], np.cumsum(there)])
        seen = sums[rows] - sums[rows - past]
        asked = sums[rows + horizon] - sums[rows]
        rows = rows[(seen > 0) & (asked > 0)]
        made.append(np.stack([np.full_like(rows, number), rows], 1))
    return np.concatenate(made)
