"""What a time tells of itself: its place in the day, the week, the year, by name."""

from collections.abc import Callable, Sequence

import numpy as np

DAY = 86_400
THURSDAY = 3  # 1 January 1970, of a week that begins on Monday


def hour(seconds: np.ndarray) -> np.ndarray:
    """Share of the day that is over.

    >>> hour(np.array([6 * 3600])).tolist()
    [0.25]
    """
    return seconds % DAY / DAY


def weekday(seconds: np.ndarray) -> np.ndarray:
    """Share of the week's days that are over, from Monday.

    >>> weekday(np.array([4 * DAY])).tolist()  # a Monday
    [0.0]
    """
    return (seconds // DAY + THURSDAY) % 7 / 7


def _parts(seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Days since 1970, and those of the month's and the year's first day."""
    days = seconds.astype("datetime64[s]").astype("datetime64[D]")
    units = [days.astype(f"datetime64[{unit}]") for unit in "MY"]
    month, year = (unit.astype("datetime64[D]").astype(np.int64) for unit in units)
    return days.astype(np.int64), month, year


def day(seconds: np.ndarray) -> np.ndarray:
    """Share of a month of 31 days that is over."""
    days, month, _ = _parts(seconds)
    return (days - month) / 31


def month(seconds: np.ndarray) -> np.ndarray:
    """Share of the year's months that are over.

    >>> month(np.array([31 * DAY])).round(4).tolist()
    [0.0833]
    """
    months = seconds.astype("datetime64[s]").astype("datetime64[M]")
    return months.astype(np.int64) % 12 / 12


def yearday(seconds: np.ndarray) -> np.ndarray:
    """Share of a year of 366 days that is over."""
    days, _, year = _parts(seconds)
    return (days - year) / 366


CALENDAR: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "hour": hour,
    "weekday": weekday,
    "day": day,
    "month": month,
    "yearday": yearday,
}


def features(names: Sequence[str], seconds: np.ndarray) -> np.ndarray:
    """`[T, 2 len(names)]`: sin and cos of 2 pi share, so that midnight is near 23:00.

    >>> features(["hour"], np.array([6 * 3600])).round(4).tolist()
    [[1.0, 0.0]]
    """
    made = []
    for name in names:
        angle = 2 * np.pi * CALENDAR[name](seconds)
        made += [np.sin(angle), np.cos(angle)]
    return np.stack(made, -1) if made else np.zeros((len(seconds), 0))
