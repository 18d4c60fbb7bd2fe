"""Pairs of texts from parallel files, from one TSV, or from a TFDS data set.

Everything is read as a stream, again at every pass, so memory does not grow with the
corpus. Only `\\n` ends a line (and `\\r\\n`): U+2028, form feeds or NULs do not.
"""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

from seq2seq_jax.config import DataConfig
from seq2seq_jax.data.arrays import ARRAYS
from seq2seq_jax.errors import InputError

LONGEST_LINE = 1 << 24  # bytes; a file without newlines must not fill the memory
BOM = b"\xef\xbb\xbf"
OPENERS: dict[str, Callable] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True)
class Pairs:
    """A stream of `(source, target)` texts that can be read again and again.

    Attributes:
        name: what messages call it.
        fingerprint: changes when the data may have changed.
        read: starts a new pass.
        where: the place of pair `i` (from 0), for messages.
        now: the fingerprint as it is now; None: what is read cannot change.
    """

    name: str
    fingerprint: str
    read: Callable[[], Iterator[tuple[str, str]]]
    where: Callable[[int], str]
    now: Callable[[], str] | None = None

    def check(self) -> None:
        """Refuse what was changed while it was read: half of it would be the old one.

        Raises:
            InputError: naming it.
        """
        try:
            same = self.now is None or self.now() == self.fingerprint
        except InputError as error:
            raise InputError(f"{error}: it was there at the start") from None
        if not same:
            raise InputError(
                f"{self.name} was changed while it was read: run the same command "
                f"again once it stays as it is"
            )

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield the pairs; a pair with an empty side is refused.

        Raises:
            InputError: naming the file and line, or the record.
        """
        for index, (source, target) in enumerate(self.read()):
            if not source.strip() or not target.strip():
                side = "target" if source.strip() else "source"
                raise InputError(
                    f"{self.where(index)}: the {side} is empty, expected text on both "
                    "sides: remove the pair"
                )
            yield source, target


def decode_lines(file: BinaryIO, name: str) -> Iterator[str]:
    """Yield the lines of a binary stream as text, without their ends or a BOM.

    Raises:
        InputError: naming the line that is not UTF-8, or where the stream is damaged.
    """
    number = 0
    try:
        while raw := file.readline(LONGEST_LINE):
            number += 1
            yield _decode(raw, name, number)
    except DAMAGE as error:
        raise InputError(
            f"{name} cannot be read after line {number}: {error}"
        ) from None


def _decode(raw: bytes, name: str, number: int) -> str:
    if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
        raise InputError(
            f"{name}, line {number} is longer than {LONGEST_LINE >> 20} MiB, expected "
            "one sequence a line: is it a text file?"
        )
    if number == 1:
        raw = raw.removeprefix(BOM)
    try:
        return raw.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name}, line {number} is not UTF-8 (byte 0x{raw[error.start]:02x} at "
            f"position {error.start + 1}): convert it, for example with iconv"
        ) from None


def read_lines(path: str | Path) -> Iterator[str]:
    """Yield the lines of a text file, decompressed by its suffix (.gz, .bz2, .xz).

    Raises:
        InputError: if the file is missing, unreadable, empty, damaged or not UTF-8.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        problem = "is not a file" if path.exists() else "does not exist"
        raise InputError(f"{path} {problem}, expected a text file: check the path")
    try:
        file = OPENERS.get(path.suffix, open)(path, "rb")
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}") from None
    with file:
        empty = True
        for line in decode_lines(file, str(path)):
            empty = False
            yield line
    if empty:
        raise InputError(f"{path} is empty, expected at least one line")


def file_pairs(source: str, target: str) -> Pairs:
    """Pairs from two files that go line by line.

    Raises:
        InputError: from every pass, if one file has more lines than the other (both are
            counted); at once, if a file is missing or empty.
    """

    def read() -> Iterator[tuple[str, str]]:
        left, right = read_lines(source), read_lines(target)
        for number, (one, other) in enumerate(zip_longest(left, right)):
            if one is None or other is None:
                more = number + 1 + sum(1 for _ in (right if one is None else left))
                counts = (number, more) if one is None else (more, number)
                raise InputError(
                    f"{source} has {counts[0]:,} lines and {target} has {counts[1]:,}, "
                    "expected as many: line n of one is the pair of line n of the other"
                )
            yield one, other

    def now() -> str:
        return _fingerprint(source) + _fingerprint(target)

    return Pairs(
        f"{source} + {target}",
        now(),
        read,
        lambda index: f"{source} and {target}, line {index + 1}",
        now,
    )


def tsv_pairs(
    path: str, source_column: int, target_column: int, features: int | None = None
) -> Pairs:
    """Pairs from two columns of a file whose columns are parted by tabs.

    Args:
        path: of the file.
        source_column, target_column: counted from 0.
        features: a column that sources have behind them and a tab; None: they do not.

    Raises:
        InputError: from every pass, naming a line with too few columns; at once, if the
            file is missing or empty.
    """
    wanted = {"source": source_column, "target": target_column}
    if features is not None:
        wanted["features"] = features
    check_columns(wanted)
    needed = max(wanted.values()) + 1

    def read() -> Iterator[tuple[str, str]]:
        for number, line in enumerate(read_lines(path), 1):
            columns = line.split("\t")
            if len(columns) < needed:
                raise InputError(
                    f"{path}, line {number} has {len(columns)} column"
                    f"{'s' * (len(columns) > 1)}, expected at least {needed} parted by "
                    "tabs (data.source_column, data.target_column count from 0)"
                )
            source = columns[source_column]
            if features is not None and source.strip():
                source += f"\t{columns[features]}"
            yield source, columns[target_column]

    def now() -> str:
        more = "" if features is None else f",{features}"
        return f"{_fingerprint(path)}{source_column},{target_column}{more}"

    return Pairs(path, now(), read, lambda index: f"{path}, line {index + 1}", now)


def check_columns(columns: dict[str, int]) -> None:
    """Refuse columns of a TSV that are one and the same.

    Raises:
        InputError: naming two of them.
    """
    seen: dict[int, str] = {}
    for name, column in columns.items():
        if column in seen:
            raise InputError(
                f"data.{seen[column]}_column and data.{name}_column are both {column}, "
                "expected two columns"
            )
        seen[column] = name


def _fingerprint(path: str) -> str:
    """Path, size and time of change of a file, after a look at its first line."""
    next(read_lines(path))
    real = Path(path).expanduser().resolve()
    stat = real.stat()
    return f"{real}|{stat.st_size}|{stat.st_mtime_ns}|"


def open_pairs(
    data: DataConfig, split: str, log: Callable[[str], None] = lambda text: None
) -> Pairs | None:
    """The pairs of `"train"`, `"dev"` or `"test"`; None where no test data is given.

    Files win over `data.dataset`, which serves the splits that have none; a run whose
    training data is files takes nothing from it.

    Raises:
        InputError: for options half given, and for data that is not there.
    """
    files = open_listed(data, split)
    if files is not None:
        return files
    trains_on_files = bool(data.train_source or data.train_target or data.train_tsv)
    if data.dataset and not trains_on_files:
        from seq2seq_jax.data.datasets import dataset_pairs  # TFDS is slow to import

        return dataset_pairs(data, split, log)
    if split == "test":
        return None
    what = {"train": "training", "dev": "development"}[split]
    other = " or data.dataset" if split == "train" else ""
    raise InputError(
        f"no {what} data: give data.{split}_source and data.{split}_target, "
        f"or data.{split}_tsv{other}"
    )


def open_listed(data: DataConfig, split: str) -> Pairs | None:
    """Pairs of files; sources that are paths begin where their list is."""
    found = _open_files(data, split)
    path = getattr(data, f"{split}_tsv") or getattr(data, f"{split}_source")
    if found is None or path is None or data.source_tokenizer not in ARRAYS:
        return found
    folder, read = Path(path).expanduser().absolute().parent, found.read

    def located() -> Iterator[tuple[str, str]]:
        for source, target in read():
            yield str(folder / source) if source.strip() else source, target

    return replace(found, read=located)


def _open_files(data: DataConfig, split: str) -> Pairs | None:
    source, target, tsv = (
        getattr(data, f"{split}_{part}") for part in ("source", "target", "tsv")
    )
    if tsv and (source or target):
        raise InputError(
            f"data.{split}_tsv and data.{split}_{'source' if source else 'target'} are "
            "both given, expected one TSV or two parallel files"
        )
    if data.target_only:
        if source or tsv:
            raise InputError(
                f"data.target_only is set, but data.{split}_"
                f"{'tsv' if tsv else 'source'} is given: give data.{split}_target alone"
            )
        source = target  # the encoder `none` does not read it
    if tsv:
        columns = data.source_column, data.target_column, data.features_column
        return tsv_pairs(tsv, *columns)
    if source and target:
        return file_pairs(source, target)
    if source or target:
        given, lacking = ("source", "target") if source else ("target", "source")
        raise InputError(
            f"data.{split}_{given} is given without data.{split}_{lacking}: "
            "give both files"
        )
    return None
