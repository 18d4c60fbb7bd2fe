"""Sequences of numbers laid end to end in files, of which a row is read at a time.

The files are read, not mapped into memory: a mapped file that is cut short, or that a
failing disk cannot give, kills the process (SIGBUS) and says nothing.
"""

import os
import weakref
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seq2seq_jax.errors import InputError

BUFFERED = 1 << 20  # numbers kept before they are written
OFFSET = np.dtype("<i8")


class Numbers:
    """The numbers in a file that must stay as it is, read where they are asked for.

    A file that is deleted meanwhile can be read to the end, as it is held open.

    Args:
        path: the file.
        dtype: of its numbers.
        size, checksum: its bytes and their CRC-32.

    Raises:
        ValueError: the file is damaged; an OSError where it cannot be read.
    """

    def __init__(self, path: Path, dtype: np.dtype, size: int, checksum: int) -> None:
        self.path, self.dtype = path, dtype
        self.size, self.checksum = size, checksum
        self.file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self.file)
        self.stamp = self.now()  # before it is verified: what comes later shows
        verify(path, size, checksum)

    def now(self) -> tuple[int, int]:
        """The file's size and time of change."""
        stat = os.fstat(self.file)
        return stat.st_size, stat.st_mtime_ns

    def check(self) -> None:
        """Refuse a file that is not what it was when it was opened.

        One that was touched, and no more, is as good as before.

        Raises:
            InputError: it was changed, or cannot be read.
        """
        try:
            now = self.now()
            if now != self.stamp:
                verify(self.path, self.size, self.checksum)
        except (OSError, ValueError) as error:
            raise self.fault(f"it was changed under way ({error})") from error
        self.stamp = now

    def read(self, start: int, stop: int) -> np.ndarray:
        """Numbers `start` to `stop`.

        Raises:
            InputError: the file has become shorter, or cannot be read.
        """
        size = self.dtype.itemsize
        try:
            data = os.pread(self.file, (stop - start) * size, start * size)
        except OSError as error:
            raise self.fault(str(error.strerror)) from error
        if len(data) < (stop - start) * size:
            raise self.fault("it was cut short under way")
        return np.frombuffer(data, self.dtype)

    def fault(self, what: str) -> InputError:
        """The error for a file that cannot be relied on."""
        return InputError(
            f"{self.path} cannot be read: {what}; checkpoints are whole: run the same "
            f"command again, which makes this file anew and goes on from the last one"
        )


@dataclass(frozen=True)
class Sequences:
    """Sequences laid end to end: number i is `flat[offsets[i]:offsets[i + 1]]`.

    The offsets are in memory. Each item is an id, or `width` numbers in a row.
    """

    flat: Numbers
    offsets: np.ndarray
    width: int = 0

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < len(self):
            raise IndexError(f"sequence {index} of {len(self)}")
        return self.read(self.offsets[index], self.offsets[index + 1])

    def read(self, start: int, stop: int) -> np.ndarray:
        """Items `start` to `stop`: `[L]`, or `[L, width]`."""
        if not self.width:
            return self.flat.read(start, stop)
        both = start * self.width, stop * self.width
        return self.flat.read(*both).reshape(-1, self.width)

    def gather(self, rows: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows `[R]` as int32 ids `[R, width]`, 0 after their ends, and lengths `[R]`.

        Or as float32 numbers `[R, width, self.width]`.
        A row of -1 is no sequence: its length is -1.

        Raises:
            InputError: the file is not what it was when it was opened.
        """
        self.flat.check()
        start = self.offsets[rows]
        length = np.where(rows < 0, -1, self.offsets[rows + 1] - start)
        ids = np.zeros((len(rows), width), np.int32)
        if self.width:
            ids = np.zeros((len(rows), width, self.width), np.float32)
        for row, (first, count) in enumerate(
            zip(start.tolist(), length.tolist(), strict=True)
        ):
            if count > 0:
                taken = min(count, width)
                ids[row, :taken] = self.read(first, first + taken)
        return ids, length


class SequencesWriter:
    """Writes sequences to `STEM.ids` and `STEM.offsets`, a buffer at a time."""

    def __init__(self, stem: Path, dtype: np.dtype) -> None:
        """Open the files."""
        self.dtype = dtype
        self.paths = [stem.with_suffix(".ids"), stem.with_suffix(".offsets")]
        self.files = [open(path, "wb") for path in self.paths]  # noqa: SIM115, see close
        self.checksums = [0, 0]
        self.ids: list[int] = []
        self.ends: list[int] = [0]
        self.total = 0

    def add(self, ids: Sequence[int]) -> None:
        """Append one sequence."""
        self.ids.extend(ids)
        self.total += len(ids)
        self.ends.append(self.total)
        if len(self.ids) > BUFFERED or len(self.ends) > BUFFERED:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered."""
        arrays = np.array(self.ids, self.dtype), np.array(self.ends, OFFSET)
        for place, (file, array) in enumerate(zip(self.files, arrays, strict=True)):
            data = array.tobytes()
            file.write(data)
            self.checksums[place] = zlib.crc32(data, self.checksums[place])
        self.ids, self.ends = [], []

    def finish(self) -> dict[str, list[int]]:
        """Write the rest; returns the files' names with their sizes and checksums."""
        self.flush()
        self.close()
        return {
            path.name: [path.stat().st_size, checksum]
            for path, checksum in zip(self.paths, self.checksums, strict=True)
        }

    def close(self) -> None:
        """Close the files."""
        for file in self.files:
            file.close()


def open_sequences(
    stem: Path, dtype: np.dtype, files: dict[str, list[int]], width: int = 0
) -> Sequences:
    """What a `SequencesWriter` wrote.

    Args:
        stem: the path without its suffix.
        dtype: of the ids.
        width: numbers of an item; 0: each is an id.
        files: sizes and checksums by file name, as `SequencesWriter.finish` gave them.

    Raises:
        ValueError: a file is damaged (or OSError, KeyError).
    """
    ids, offsets = (stem.with_suffix(suffix) for suffix in (".ids", ".offsets"))
    flat = Numbers(ids, dtype, *files[ids.name])
    verify(offsets, *files[offsets.name])
    ends = np.fromfile(offsets, OFFSET)
    return Sequences(flat, ends // width if width else ends, width)


def verify(path: Path, size: int, checksum: int) -> None:
    """Check a file against its size and checksum.

    Raises:
        ValueError: if they differ.
    """
    found = 0
    with open(path, "rb") as file:
        while data := file.read(BUFFERED):
            found = zlib.crc32(data, found)
    if path.stat().st_size != size or found != checksum:
        raise ValueError(f"{path.name} is damaged")
