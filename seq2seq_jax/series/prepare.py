"""The way of the data: a table -> a panel -> scales -> windows to learn from."""

import io
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq_jax import durable
from seq2seq_jax.config import SeriesConfig
from seq2seq_jax.errors import InputError, choose
from seq2seq_jax.series import facts, panels, tables, times, windows
from seq2seq_jax.series.calendar import CALENDAR
from seq2seq_jax.series.facts import Facts
from seq2seq_jax.series.panels import MASK, REFUSE, Panel, Series
from seq2seq_jax.series.scaling import SCALINGS
from seq2seq_jax.series.times import Step
from seq2seq_jax.series.windows import CENTRES, Scales, Sizes, Windows, sizes_of

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Prepared:
    """What a training of series reads.

    Attributes:
        sizes: of a step.
        facts: what its numbers mean.
        panel: the table's series.
        train, dev, test: windows; None: no test part.
        folder: the panel's file in the workdir's `data/`.
    """

    sizes: Sizes
    facts: Facts
    panel: Panel
    train: Windows
    dev: Windows
    test: Windows | None
    folder: str

    @property
    def fingerprints(self) -> dict[str, str]:
        """A checksum of the windows of each part."""
        parts = {split: getattr(self, split) for split in SPLITS}
        return {split: x.checksum for split, x in parts.items() if x is not None}

    @property
    def folders(self) -> dict[str, str]:
        """What another process opens."""
        return {"panel": self.folder}

    @property
    def bounds(self) -> dict[str, Any]:
        """What bounds the outputs beside the config: nothing."""
        return {}


def prepare(
    config: SeriesConfig, workdir: Path, log: Callable[[str], None]
) -> Prepared:
    """Read the table; fit the scales, or read those that the workdir has.

    Writes `series.json` (what inference needs) and `data/` (a copy of the series) in
    the workdir.

    Raises:
        InputError: for any table that cannot be used.
    """
    if config.table is None:
        raise InputError(
            "series.table is missing, expected a CSV or Parquet file: --series.table "
            "FILE"
        )
    table = tables.read(config.table)
    panel = panels.panel(table, config)
    text = packed(panel)
    folder = f"series-{zlib.crc32(text):08x}.npz"
    data = workdir / "data"
    data.mkdir(parents=True, exist_ok=True)
    if not (data / folder).exists():
        write(data / folder, text)
    known = facts.load(workdir)
    made = made_of(panel, known, config, table.path, folder)
    if known is None:
        write(workdir / facts.NAME, made.facts.to_json().encode())
    for line in described(made, table):
        log(line)
    return made


def reopen(config: SeriesConfig, workdir: Path, folders: dict[str, str]) -> Prepared:
    """What another process has prepared; the table need not be here.

    Raises:
        InputError: it cannot be read.
    """
    path = workdir / "data" / folders["panel"]
    known = facts.load(workdir)
    try:
        panel = unpacked(path.read_bytes())
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    return made_of(panel, known, config, path, folders["panel"])


def made_of(
    panel: Panel,
    known: Facts | None,
    config: SeriesConfig,
    path: Path,
    folder: str,
) -> Prepared:
    """Cut a panel into its parts, and windows.

    Raises:
        InputError: a part has too few rows for one window.
    """
    cuts = [cuts_of(panel, series, config, path) for series in panel.series]
    if known is None:
        fit = SCALINGS[config.scaling]
        scales = {
            series.name: Scales(fit(series.values[:dev]), fit(series.known[:dev]))
            for series, (dev, _, _) in zip(panel.series, cuts, strict=True)
        }
        season = config.season or panel.step.season
        known = Facts(panel.step, panel.dates, season, scales)
    steps = windows.laid(panel, known.of(panel, path), config)
    ends = {
        "train": [(0, dev) for dev, _, _ in cuts],
        "dev": [(dev, test) for dev, test, _ in cuts],
        "test": [(test, end) for _, test, end in cuts],
    }
    parts: dict[str, Windows | None] = {}
    for split, bounds in ends.items():
        if split == "test" and all(begin == end for begin, end in bounds):
            parts[split] = None
            continue
        found = windows.places_between(panel.series, bounds, config)
        if not len(found):
            raise InputError(too_few(split, bounds, config, path))
        parts[split] = Windows(steps, found, config, known.season)
    return Prepared(sizes_of(config), known, panel, **parts, folder=folder)  # type: ignore[arg-type]


def too_few(
    split: str, bounds: Sequence[tuple[int, int]], config: SeriesConfig, path: Path
) -> str:
    """Why a part has no window, in a line."""
    rows = max(0, *(end - begin for begin, end in bounds))
    needed = f"series.horizon {config.horizon}"
    if split == "train":
        needed = f"series.past_steps {config.past_steps} + {needed}"
    return (
        f"{path}: the {split} part has {rows} rows of a series at most, too few for "
        f"one window ({needed}) with a known target in it and before it: shorten the "
        f"window, or give more rows"
    )


def cuts_of(
    panel: Panel, series: Series, config: SeriesConfig, path: Path
) -> tuple[int, int, int]:
    """Rows of a series where its development and test part begin and the test ends.

    Raises:
        InputError: one comes before the one before it, or beyond the series.
    """
    names = ("dev_from", "test_from", "end")
    found = [
        cut_at(getattr(config, name), f"series.{name}", panel, series) for name in names
    ]
    below = 0
    for name, cut in zip(names, found, strict=True):
        if not below <= cut <= len(series):
            of = f" of {series.name}" if series.name else ""
            raise InputError(
                f"series.{name} is {getattr(config, name)!r}, row {cut}{of}, but "
                f"{path} has {len(series)} rows{of}, and parts follow each other: give "
                f"one from {below} to {len(series)}"
            )
        below = cut
    return found[0], found[1], found[2]


def cut_at(text: str | None, field: str, panel: Panel, series: Series) -> int:
    """The row that a share, a number of rows, or a time names; None: the end.

    Raises:
        InputError: it is none of these.
    """
    if text is None:
        return len(series)
    try:
        if text.isdigit():
            return int(text)
        if 0 < (share := float(text)) < 1:
            return round(share * len(series))
    except ValueError:
        pass
    try:
        if panel.dates:
            time = times.parse([text], str)[0][0]
            return panel.place(series, int(time))
    except InputError:
        pass
    raise InputError(
        f"{field} is {text!r}, expected a share such as 0.6, a number of rows or a time"
    )


def check(config: SeriesConfig) -> None:
    """Refuse names that no table has, and columns asked for twice.

    Raises:
        InputError: with the nearest name.
    """
    choose(SCALINGS, config.scaling, "series.scaling")
    choose(CENTRES, config.centre, "series.centre")
    choose((REFUSE, MASK), config.missing, "series.missing")
    for name in config.calendar:
        choose(CALENDAR, name, "series.calendar")
    if config.calendar and config.time is None:
        raise InputError(
            "series.calendar is given, but series.time None names no column of dates: "
            "give it, or leave series.calendar out"
        )
    if not config.targets:
        raise InputError(
            "series.targets names no column, expected those to forecast: "
            "--series.targets NAME [NAME ...]"
        )
    columns = [*config.targets, *config.past, *config.known]
    columns += [name for name in (config.time, config.id) if name is not None]
    for name in columns:
        if columns.count(name) > 1:
            raise InputError(
                f"column {name!r} is named twice among series.targets, past, known, "
                f"time and id: a column serves once"
            )


def described(data: Prepared, table: tables.Table) -> list[str]:
    """What was read, in lines."""
    panel = data.panel
    rows = sum(len(series) for series in panel.series)
    values = np.concatenate([series.values for series in panel.series])
    missing = int((~np.isfinite(values)).sum())
    many = len(panel.series)
    told = [
        f"{table.path}: {many} series, {rows:,} steps of {panel.step}, season "
        f"{data.facts.season}, {missing:,} values missing"
    ]
    for split in SPLITS:
        found = getattr(data, split)
        if found is not None:
            told.append(f"{split}: {len(found):,} windows")
    return told


def packed(panel: Panel) -> bytes:
    """A panel as the bytes of an .npz file."""
    arrays: dict[str, Any] = {
        "names": np.array([series.name for series in panel.series]),
        "firsts": np.array([series.first for series in panel.series]),
        "ends": np.cumsum([len(series) for series in panel.series]),
        "values": np.concatenate([series.values for series in panel.series]),
        "known": np.concatenate([series.known for series in panel.series]),
        "unit": np.array(panel.step.unit),
        "size": np.array(panel.step.size),
        "dates": np.array(panel.dates),
    }
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def unpacked(data: bytes) -> Panel:
    """What `packed` gave."""
    found = np.load(io.BytesIO(data), allow_pickle=False)
    cut = found["ends"][:-1]
    series = zip(
        found["names"],
        found["firsts"],
        np.split(found["values"], cut),
        np.split(found["known"], cut),
        strict=True,
    )
    step = Step(str(found["unit"]), int(found["size"]))
    made = tuple(Series(str(n), int(f), v, k) for n, f, v, k in series)
    return Panel(step, bool(found["dates"]), made)


def write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(data)
    durable.replace(new, path)
