"""Sequences of numbers laid end to end in memory-mapped files."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

BUFFERED = 1 << 20  # numbers kept before they are written
OFFSET = np.dtype("<i8")


@dataclass(frozen=True)
class Sequences:
    """Sequences laid end to end: number i is `flat[offsets[i]:offsets[i + 1]]`."""

    flat: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < len(self):
            raise IndexError(f"sequence {index} of {len(self)}")
        return self.flat[self.offsets[index] : self.offsets[index + 1]]

    def gather(self, rows: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows `[R]` as int32 ids `[R, width]`, 0 after their ends, and lengths `[R]`.

        A row of -1 is no sequence: its length is -1.
        """
        start = self.offsets[rows]
        length = np.where(rows < 0, -1, self.offsets[rows + 1] - start)
        position = np.arange(width)
        real = position < length[:, None]
        ids = self.flat[np.where(real, start[:, None] + position, 0)]
        return np.where(real, ids, 0).astype(np.int32), length


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


def map_sequences(stem: Path, dtype: np.dtype) -> Sequences:
    """What a `SequencesWriter` wrote, mapped into memory."""
    path = stem.with_suffix(".ids")
    # An empty file cannot be mapped; one zero stands where empty rows point.
    empty = path.stat().st_size == 0
    flat = np.zeros(1, dtype) if empty else np.memmap(path, dtype, mode="r")
    return Sequences(flat, np.memmap(stem.with_suffix(".offsets"), OFFSET, mode="r"))


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
