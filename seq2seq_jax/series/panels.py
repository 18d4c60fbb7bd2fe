"""A panel: the series of a table, each on a regular grid of times."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from seq2seq_jax.config import SeriesConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.series import times
from seq2seq_jax.series.tables import Table
from seq2seq_jax.series.times import Step

REFUSE, MASK = "refuse", "mask"
ONLY = ""  # the name of a series that is the only one


@dataclass(frozen=True)
class Series:
    """One series.

    Attributes:
        name: what its id column says, or its own column where the table is wide.
        first: its first time.
        values: `[T, M + P]` float64, targets and what is known of the past alone; NaN
            where a value is missing.
        known: `[T, K]` float64, what is known of the future too.
    """

    name: str
    first: int
    values: np.ndarray
    known: np.ndarray

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Panel:
    """Series of one step.

    Attributes:
        step: between two times.
        dates: whether times are dates: seconds since 1970.
        series: at least one.
    """

    step: Step
    dates: bool
    series: tuple[Series, ...]

    def times(self, series: Series, count: int | None = None) -> np.ndarray:
        """The first `count` times of a series, beyond its end too; None: all it has."""
        number = len(series) if count is None else count
        return times.after(series.first, np.arange(number), self.step)

    def place(self, series: Series, time: int) -> int:
        """The row of the first time that is `time` or later."""
        every = self.times(series)
        return int(np.searchsorted(every, time))


def panel(table: Table, config: SeriesConfig, step: Step | None = None) -> Panel:
    """The series of a table as the config says.

    Args:
        table: rows in any order of series, each series' times ascending.
        config: names the columns.
        step: of the times; None: it is found.

    Raises:
        InputError: a column is missing or no number, times do not ascend, a value is
            missing where that is refused; naming the file and the line.
    """
    names = _ids(table, config)
    when, dates = _times(table, config)
    rows = {name: np.flatnonzero(names == name) for name in dict.fromkeys(names)}
    for name, mine in rows.items():
        _check_ascending(table, config, name, mine, when)
    if step is None:
        step = times.step_of([when[mine] for mine in rows.values()], dates)
    columns = [*config.targets, *config.past]
    values = _columns(table, columns, config)
    known = _columns(table, config.known, config)
    made = []
    for name, mine in rows.items():
        place = _grid(table, config, mine, when, step)
        size = int(place[-1]) + 1
        cells = np.full((size, values.shape[1]), np.nan)
        cells[place] = values[mine]
        beside = np.full((size, known.shape[1]), np.nan)
        beside[place] = known[mine]
        one = Series(str(name), int(when[mine[0]]), cells, beside)
        _check_missing(table, config, one, mine, place)
        made += _apart(one, config) if config.wide else [one]
    return Panel(step, dates, tuple(made))


def _ids(table: Table, config: SeriesConfig) -> np.ndarray:
    """The name of each row's series."""
    if config.id is None:
        return np.full(len(table), ONLY)
    return np.array([t.strip() for t in table.texts(config.id, "series.id")])


def _times(table: Table, config: SeriesConfig) -> tuple[np.ndarray, bool]:
    """The time of each row; without a column, its number among its series' rows."""
    if config.time is not None:
        return times.parse(table.texts(config.time, "series.time"), table.where)
    names, seen = _ids(table, config), dict[str, int]()
    made = np.empty(len(table), np.int64)
    for row, name in enumerate(names):
        made[row] = seen.get(name, 0)
        seen[name] = int(made[row]) + 1
    return made, False


def _check_ascending(
    table: Table, config: SeriesConfig, name: str, rows: np.ndarray, when: np.ndarray
) -> None:
    """Refuse times that are there twice or come before those above them."""
    wrong = np.flatnonzero(np.diff(when[rows]) <= 0)
    if not len(wrong):
        return
    before, here = rows[wrong[0]], rows[wrong[0] + 1]
    text = table.columns[config.time or ""]
    of = f" of {name}" if name else ""
    told = "is there twice" if when[here] == when[before] else "comes too late"
    raise InputError(
        f"{table.where(here)}: the time {text[here]!r}{of} {told}, after "
        f"{text[before]!r} in {table.counted} {table.lines[before]}: sort the rows by "
        f"time, one a step"
        + ("" if config.id else "; or name the column of the series by series.id")
    )


def _grid(
    table: Table, config: SeriesConfig, rows: np.ndarray, when: np.ndarray, step: Step
) -> np.ndarray:
    """Each row's place; steps without a row are between."""
    place, left = times.places(when[rows], step)
    for wrong in np.flatnonzero(left)[:1]:
        text = table.columns[config.time or ""][rows[wrong]]
        raise InputError(
            f"{table.where(rows[wrong])}: the time {text!r} is no whole number of "
            f"steps of {step} after the series' first: give it with regular times"
        )
    gaps = np.flatnonzero(np.diff(place) > 1)
    if len(gaps) and config.missing == REFUSE:
        here = rows[gaps[0] + 1]
        count = int(np.diff(place)[gaps[0]]) - 1
        raise InputError(
            f"{table.where(here)}: {count} step{'s' * (count > 1)} of {step} missing "
            f"before it: give the rows, or set series.missing mask"
        )
    return place


def _columns(table: Table, names: object, config: SeriesConfig) -> np.ndarray:
    """`[rows, columns]` of numbers."""
    fields = {**dict.fromkeys(config.known, "series.known")}
    fields |= dict.fromkeys(config.past, "series.past")
    fields |= dict.fromkeys(config.targets, "series.targets")
    made = [table.numbers(name, fields[name]) for name in names]  # type: ignore[attr-defined]
    return np.stack(made, -1) if made else np.zeros((len(table), 0))


def _check_missing(
    table: Table,
    config: SeriesConfig,
    series: Series,
    rows: np.ndarray,
    place: np.ndarray,
) -> None:
    """Refuse missing values; those of the targets after the last one are the future."""
    columns = (*config.targets, *config.past)
    there = np.isfinite(series.values)
    last = int(np.flatnonzero(there.any(1))[-1]) if there.any() else -1
    if last < 0:
        raise InputError(
            f"{table.path}: {' and '.join(columns)} have no value"
            + (f" of {series.name}" if series.name else "")
        )
    if config.missing == REFUSE and not there[: last + 1].all():
        cell, column = np.argwhere(~there[: last + 1])[0]
        row = rows[np.searchsorted(place, cell)]
        raise InputError(
            f"{table.where(row)}: {columns[column]} is missing: give it, or set "
            f"series.missing mask, which leaves missing values out"
        )
    holes = np.argwhere(~np.isfinite(series.known[place]))
    if len(holes):
        row, column = holes[0]
        raise InputError(
            f"{table.where(rows[row])}: {config.known[column]} is missing, but what is "
            f"known of the future has no gaps: give it, or leave it out of series.known"
        )


def _apart(series: Series, config: SeriesConfig) -> list[Series]:
    """A wide table's targets as series of their own; what is beside them is shared."""
    count = len(config.targets)
    return [
        dataclasses.replace(
            series,
            name=f"{series.name}.{name}" if series.name else name,
            values=np.concatenate(
                [series.values[:, i : i + 1], series.values[:, count:]], 1
            ),
        )
        for i, name in enumerate(config.targets)
    ]
