"""Times of a series: a regular grid of seconds, of months, or of plain numbers."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from seq2seq_jax.errors import InputError

SECONDS, MONTHS, NUMBERS = "seconds", "months", "numbers"
DAY = 86_400
# A season by the step, where that is a day or longer; below, it is a day.
SEASONS = {(MONTHS, 1): 12, (MONTHS, 3): 4, (SECONDS, DAY): 7, (SECONDS, 7 * DAY): 52}
MONTHLY = 28 * DAY  # the shortest month


class Step(NamedTuple):
    """What lies between two steps.

    Attributes:
        unit: `seconds`, `months`, or `numbers` for times that are none.
        size: so many of them.
    """

    unit: str
    size: int

    def __str__(self) -> str:
        names = {DAY: "day", 3600: "hour", 60: "minute", 1: "second"}
        if self.unit != SECONDS:
            name, count = self.unit.removesuffix("s"), self.size
        else:
            size = next(size for size in names if self.size % size == 0)
            name, count = names[size], self.size // size
        return f"{count} {name}{'s' * (count > 1)}"

    @property
    def season(self) -> int:
        """Steps of a season, 1 where none is known."""
        if self.unit == SECONDS and self.size < DAY and DAY % self.size == 0:
            return DAY // self.size
        return SEASONS.get((self.unit, self.size), 1)


def parse(texts: Sequence[str], where: Any) -> tuple[np.ndarray, bool]:
    """Times as whole numbers: seconds since 1970 in UTC, or what they say themselves.

    A date may be written 2016-07-01, 2016/07/01 or 20160701, with a time behind it;
    whole numbers of other lengths (years, days counted) stay as they are.

    Args:
        texts: one a row.
        where: from a row's number to its place in words.

    Returns:
        The numbers `[T]` int64, and whether they are dates.

    Raises:
        InputError: at the first that is neither, or unlike the first row.
    """
    dates = not re.fullmatch(r"-?\d+", texts[0].strip()) or _is_compact(texts)
    made = np.empty(len(texts), np.int64)
    for row, text in enumerate(texts):
        try:
            made[row] = _seconds(text) if dates else int(text)
        except ValueError:
            kind = "a date such as 2016-07-01 13:00" if dates else "a whole number"
            raise InputError(
                f"{where(row)}: time {text[:40]!r}, expected {kind}"
            ) from None
    return made, dates


def _is_compact(texts: Sequence[str]) -> bool:
    """Whether eight digits are dates: all of them must be."""
    if not all(re.fullmatch(r"\d{8}", text.strip()) for text in texts):
        return False
    try:
        for text in texts:
            _seconds(text)
    except ValueError:
        return False
    return True


def _seconds(text: str) -> int:
    moment = datetime.fromisoformat(text.strip().replace("/", "-"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp())


def step_of(times: Sequence[np.ndarray], dates: bool) -> Step:
    """The step of ascending times of some series: the smallest that occurs.

    >>> str(step_of([np.array([0, 3600, 7200])], True))
    '1 hour'
    """
    gaps = [np.diff(each) for each in times if len(each) > 1]
    if not gaps:
        return Step(NUMBERS, 1) if not dates else Step(SECONDS, DAY)
    smallest = int(min(gap.min() for gap in gaps))
    if not dates:
        return Step(NUMBERS, smallest)
    if smallest >= MONTHLY and all(_same_day(each) for each in times):
        months = [np.diff(month_of(each)) for each in times if len(each) > 1]
        return Step(MONTHS, int(min(gap.min() for gap in months)))
    return Step(SECONDS, smallest)


def _same_day(times: np.ndarray) -> bool:
    """Whether all times lie at the same moment of their months."""
    moments = times - _month_start(month_of(times))
    return bool((moments == moments[:1]).all())


def month_of(times: np.ndarray) -> np.ndarray:
    """Months since January 1970."""
    return times.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)


def _month_start(months: np.ndarray) -> np.ndarray:
    return months.astype("datetime64[M]").astype("datetime64[s]").astype(np.int64)


def places(times: np.ndarray, step: Step) -> tuple[np.ndarray, np.ndarray]:
    """Each time's place on the grid that begins with the first, and what is left over.

    >>> places(np.array([0, 60, 180]), Step(SECONDS, 60))
    (array([0, 1, 3]), array([0, 0, 0]))
    """
    counts = month_of(times) if step.unit == MONTHS else times
    return np.divmod(counts - counts[0], step.size)


def after(first: int, places: np.ndarray, step: Step) -> np.ndarray:
    """Times at some places of the grid that begins with `first`.

    >>> january = np.datetime64("2024-01-31").astype("datetime64[s]").astype(int)
    >>> after(january, np.array([0, 1]), Step(MONTHS, 1)).astype("datetime64[s]")
    array(['2024-01-31T00:00:00', '2024-03-02T00:00:00'], dtype='datetime64[s]')
    """
    if step.unit != MONTHS:
        return first + places * step.size
    origin = np.array([first])
    within = origin - _month_start(month_of(origin))
    return _month_start(month_of(origin) + places * step.size) + within


def written(time: int, dates: bool) -> str:
    """A time as text that `parse` reads.

    >>> written(1467331200, True), written(1700, False)
    ('2016-07-01 00:00:00', '1700')
    """
    if not dates:
        return str(time)
    return str(np.datetime64(int(time), "s")).replace("T", " ")
