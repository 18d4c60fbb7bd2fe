"""Tables as files: CSV with the standard library, Parquet with pyarrow."""

import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq_jax.errors import InputError, nearest

FORMATS = (".csv", ".tsv", ".parquet")
DELIMITERS = {".tsv": "\t"}  # of the others: a comma
EMPTY = ("", "na", "nan", "null", "none")  # a value that is not there, in any case


@dataclass(frozen=True)
class Table:
    """A table's columns as text.

    Attributes:
        path: of the file.
        columns: by name, a text for each row; a number that is not there is "".
        lines: the file's line of each row, from 1; of Parquet the row, from 1.
        counted: what `lines` counts, for messages.
    """

    path: Path
    columns: dict[str, list[str]]
    lines: Sequence[int]
    counted: str = "line"

    def __len__(self) -> int:
        return len(self.lines)

    def where(self, row: int) -> str:
        """The place of a row, for a message."""
        return f"{self.path}, {self.counted} {self.lines[row]}"

    def texts(self, name: str, field: str) -> list[str]:
        """A column by its name.

        Args:
            name: of the column.
            field: of the config that asks for it.

        Raises:
            InputError: there is none, with those that there are.
        """
        if name not in self.columns:
            raise InputError(
                f"{field} is {name!r}, but {self.path} has no such column, it has "
                f"{', '.join(self.columns)}{nearest(name, self.columns)}"
            )
        return self.columns[name]

    def numbers(self, name: str, field: str) -> np.ndarray:
        """A column as float64, NaN where a value is not there.

        Raises:
            InputError: there is none, or something in it is no finite number.
        """
        texts = self.texts(name, field)
        made = np.full(len(texts), np.nan)
        for row, text in enumerate(texts):
            if text.strip().lower() in EMPTY:
                continue
            try:
                made[row] = float(text)
            except ValueError:
                raise InputError(
                    f"{self.where(row)}: {name} is {text[:40]!r}, expected a number"
                ) from None
            if not np.isfinite(made[row]):
                raise InputError(
                    f"{self.where(row)}: {name} is {text}, expected a finite number"
                )
        return made


def read(path: str | Path) -> Table:
    """Read a table; its ending tells the format, .csv (or .tsv) or .parquet.

    Raises:
        InputError: it cannot be read, or is no table.
    """
    path = Path(path)
    suffix = kind_of(path)
    try:
        table = _parquet(path) if suffix == ".parquet" else _csv(path, suffix)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    if not len(table):
        raise InputError(f"{path} has a header and no row, expected a series' rows")
    return table


def kind_of(path: Path) -> str:
    """The ending of a table's file.

    Raises:
        InputError: on another one.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise InputError(
            f"{path} ends in {suffix or 'nothing'}, expected a table: "
            f"{', '.join(FORMATS)}"
        )
    return suffix


def _csv(path: Path, suffix: str) -> Table:
    lines: list[int] = []
    rows: list[list[str]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(
                file, delimiter=DELIMITERS.get(suffix, ","), strict=True
            )
            names = [name.strip() for name in next(reader, [])]
            _check_names(path, names)
            for row in reader:
                if not row:
                    continue
                if len(row) != len(names):
                    raise InputError(
                        f"{path}, line {reader.line_num}: {len(row)} values, expected "
                        f"{len(names)}, as many as the header names"
                    )
                rows.append(row)
                lines.append(reader.line_num)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is no CSV file: byte {error.start} is not UTF-8"
        ) from None
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}") from None
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    named = {n: list(c) for n, c in zip(names, columns, strict=True)}
    return Table(path, named, lines)


def _check_names(path: Path, names: list[str]) -> None:
    """Refuse a header that names no columns, or one twice."""
    if not any(names):
        raise InputError(f"{path}, line 1: expected a header with the columns' names")
    if any("\0" in name for name in names):
        raise InputError(f"{path} is no CSV file: line 1 has a byte 0")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}, line 1: two columns are called {name!r}")


def _pyarrow() -> Any:
    """The library, where it is installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(
            "Parquet files need the package pyarrow: pip install 'seq2seq-jax[series]'"
        ) from None
    return pyarrow


def _parquet(path: Path) -> Table:
    library = _pyarrow()
    try:
        with path.open("rb"):
            pass  # its own errors tell less
        found = library.parquet.read_table(path)
    except library.ArrowException as error:
        told = str(error).splitlines()[0]
        raise InputError(f"{path} is no Parquet file: {told}") from None
    names = found.column_names
    _check_names(path, names)
    columns = {
        name: ["" if value is None else str(value) for value in column.to_pylist()]
        for name, column in zip(names, found.columns, strict=True)
    }
    return Table(path, columns, range(1, found.num_rows + 1), "row")


def write(
    path: str | Path, names: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Write a table, whole or not at all; floats of CSV have six significant digits.

    Raises:
        InputError: on another ending, or a file that cannot be written.
    """
    path = Path(path)
    suffix = kind_of(path)
    unfinished = path.with_name(f".{path.name}.unfinished-{os.getpid()}")
    try:
        if suffix == ".parquet":
            _write_parquet(unfinished, names, list(rows))
        else:
            with unfinished.open("w", encoding="utf-8", newline="") as file:
                write_csv(file, names, rows, DELIMITERS.get(suffix, ","))
        os.replace(unfinished, path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)


def write_csv(
    file: Any, names: Sequence[str], rows: Iterable[Sequence[Any]], delimiter: str = ","
) -> None:
    """Write a table as CSV; a value that is not there (None, NaN) is empty.

    >>> import sys
    >>> write_csv(sys.stdout, ["id", "y"], [("a", 1.23456789), ("b", float("nan"))])
    id,y
    a,1.23457
    b,
    """
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_written(value) for value in row])


def _written(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _write_parquet(
    path: Path, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    library = _pyarrow()
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    made = {
        name: [None if x is None or x != x else x for x in column]
        for name, column in zip(names, columns, strict=True)
    }
    library.parquet.write_table(library.table(made), path)
