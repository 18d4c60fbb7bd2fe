"""Sources that are numbers: feature sequences and pictures, read from files.

The source side of a pair names a file: `.npy`, an array in a `.npz` (`FILE#NAME`), a
row of the only array there (`FILE#17`), or a picture (PNG, JPEG, ...); or a record of a
TFDS data set (`data.records`). A kind in `ARRAYS` makes `[S, F]` of it; an `Arrays`
is to such sources what a tokeniser is to texts.
"""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seq2seq_jax.data import records
from seq2seq_jax.data.files import write_atomic
from seq2seq_jax.errors import InputError

COLOURS = 3
SMALLEST = 1e-6  # a deviation below it is of a number that never changes
SUFFIX = ".arrays"


class Kind(NamedTuple):
    """One kind of source.

    Attributes:
        read: `(text, side) -> [S, F]` of a file; `side` in pixels, or None.
        group: of the F numbers of a step, each so many share a mean and a deviation
            with those of the same place among them; None: each has its own.
    """

    read: Callable[[str, int | None], np.ndarray]
    group: int | None = None


def features(text: str, side: int | None = None) -> np.ndarray:
    """A sequence `[S, F]`, or feature maps `[H, W, C]` as `[H * W, C]`, row by row."""
    recorded = records.named(text)
    found = np.asarray(records.read(text)) if recorded else array(text)
    if found.ndim not in (2, 3) or 0 in found.shape:
        raise InputError(
            f"{text} has the shape {found.shape}, expected [S, F], or feature maps "
            f"[H, W, C]"
        )
    return numbers(text, found).reshape(-1, found.shape[-1])


def picture(text: str, side: int | None = None) -> np.ndarray:
    """A picture as its rows of pixels `[H, W * 3]`, 0 to 255; scaled to `side`."""
    if records.named(text):
        return recorded(text, side)
    file, _, _ = text.partition("#")
    drawn = array(text) if Path(file).suffix in (".npy", ".npz") else opened(text)
    return rows(text, drawn, side)


@lru_cache(maxsize=1)
def recorded(text: str, side: int | None) -> np.ndarray:
    """A record's picture; its captions, which follow each other, ask for it again."""
    return rows(text, opened(text, records.read(text)), side)


def rows(text: str, drawn: np.ndarray, side: int | None) -> np.ndarray:
    """A picture `[H, W, 3]` as rows of pixels `[H, W * 3]`, scaled to `side`."""
    if drawn.ndim != 3 or drawn.shape[2] != COLOURS or 0 in drawn.shape:
        raise InputError(
            f"{text} has the shape {drawn.shape}, expected a picture [H, W, {COLOURS}]"
        )
    if side is not None and drawn.shape[:2] != (side, side):
        drawn = np.asarray(
            pillow().fromarray(drawn.astype(np.uint8)).resize((side,) * 2)
        )
    return numbers(text, drawn).reshape(len(drawn), -1)


def numbers(text: str, found: np.ndarray) -> np.ndarray:
    """As float32; what is no number is refused."""
    if found.dtype.kind not in "uifb":
        raise InputError(f"{text} holds {found.dtype}, expected numbers")
    found = found.astype(np.float32)
    if not np.isfinite(found).all():
        raise InputError(f"{text} holds NaN or infinity, expected finite numbers")
    return found


def array(text: str) -> np.ndarray:
    """The array that a text names."""
    file, apart, key = text.partition("#")
    if Path(file).suffix not in (".npy", ".npz"):
        raise InputError(f"{text} is no .npy and no .npz file, expected one of them")
    held = loaded(file, stamp(file))
    if isinstance(held, np.ndarray):
        if not apart:
            return held
    elif key in held:
        return held[key]
    elif len(held) == 1:
        (held,) = held.values()
    else:
        names = ", ".join(list(held)[:5])
        raise InputError(f"{file} has no array {key!r}, expected one of: {names}")
    count = len(held) if held.ndim else 0
    if not count:
        raise InputError(f"{file} has no rows, but {text} names one")
    if not key.isdecimal() or int(key) >= count:
        raise InputError(
            f"{text} names row {key!r} of {file}, expected 0 to {count - 1:,}"
        )
    return held[int(key)]


def stamp(file: str) -> tuple[int, int]:
    """Size and time of change of a file that must be there."""
    try:
        stat = Path(file).stat()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None
    return stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=2)
def loaded(file: str, stamp: tuple[int, int]) -> Any:
    """What a file holds: an array, or arrays by name."""
    try:
        held = np.load(file, allow_pickle=False)
        return held if isinstance(held, np.ndarray) else dict(held.items())
    except (
        Exception
    ) as error:  # damaged bytes make zipfile and NumPy raise a dozen kinds
        raise InputError(f"{file} is no file of arrays: {said(error)}") from None


def said(error: Exception) -> str:
    """What an exception says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def opened(file: str, data: bytes | None = None) -> np.ndarray:
    """Pixels `[H, W, 3]` of a file, or of its bytes; transparent ones as on white."""
    if data is None:
        stamp(file)
    image = pillow()
    try:
        with image.open(file if data is None else io.BytesIO(data)) as found:
            pixels = found.convert("RGBA")
    except Exception as error:  # each format's decoder has its own kinds
        raise InputError(
            f"{file} is no picture that can be read: {said(error)}"
        ) from None
    white = image.new("RGBA", pixels.size, "white")
    return np.asarray(image.alpha_composite(white, pixels).convert("RGB"))


def pillow() -> Any:
    """Pillow's `Image`.

    Raises:
        InputError: it is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise InputError(
            "pictures need Pillow: pip install 'seq2seq-jax[pictures]'"
        ) from None
    return Image


ARRAYS = {"features": Kind(features), "picture": Kind(picture, COLOURS)}


@dataclass(frozen=True)
class Arrays:
    """How sources of a kind are read, with what the training's were like.

    Attributes:
        kind: an entry of `ARRAYS`.
        mean, deviation: of the numbers of a step, by place in a `Kind.group`.
        size: F.
        side: pixels that pictures are scaled to; None: they are not.
        folder: what paths are relative to.
        parts: sources of a line: 1.
    """

    kind: str
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    size: int
    side: int | None = None
    folder: str = ""
    parts: int = 1
    lowercase = False
    units = None

    def raw(self, text: str) -> np.ndarray:
        """The file's numbers `[S, F]`.

        Raises:
            InputError: it is not there, or not what it should be.
        """
        if not text:
            raise InputError("the line is empty, expected the path of a file")
        found = ARRAYS[self.kind].read(str(Path(self.folder, text)), self.side)
        if found.shape[1] != self.size:
            width = ARRAYS[self.kind].group or 1
            unit = "pixels a row" if width > 1 else "numbers a step"
            raise InputError(
                f"{text} has {found.shape[1] // width:,} {unit}, expected "
                f"{self.size // width:,} as in training"
                + (": data.picture_size scales pictures" if width > 1 else "")
            )
        return found

    def encode(self, text: str) -> np.ndarray:
        """`[S, F]`, less the training's mean, over its deviation."""
        found = self.raw(text).reshape(-1, self.size // len(self.mean), len(self.mean))
        scaled = (found - np.array(self.mean, "f4")) / np.array(self.deviation, "f4")
        return scaled.reshape(len(found), -1)

    def normalize(self, text: str) -> str:
        """The text itself."""
        return text

    @property
    def tokens(self) -> list[str]:
        """A name for each number of a step after the fourth, as for ids."""
        return [str(place) for place in range(4, self.size)]

    def dump(self) -> bytes:
        """What it knows; equal ones read alike, wherever the files are."""
        known = {
            "mean": self.mean,
            "deviation": self.deviation,
            "size": self.size,
            "side": self.side,
        }
        return (json.dumps(known) + "\n").encode()

    def save(self, folder: str | Path, name: str) -> None:
        """Write what it knows, then `NAME.json`, as a tokeniser does."""
        folder, data = Path(folder), self.dump()
        folder.mkdir(parents=True, exist_ok=True)
        header = {
            "kind": self.kind,
            "lowercase": False,
            "size": self.size,
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        write_atomic(folder / f"{name}{SUFFIX}", data)
        text = json.dumps(header, indent=2) + "\n"
        write_atomic(folder / f"{name}.json", text.encode())


def parse(kind: str, data: bytes) -> Arrays:
    """Of what `Arrays.dump` gave; `ValueError` or `KeyError` on damage."""
    known = json.loads(data)
    mean, deviation = (tuple(known[name]) for name in ("mean", "deviation"))
    return Arrays(kind, mean, deviation, int(known["size"]), known["side"])


def train(kind: str, pairs: Any, side: int | None = None) -> Arrays:
    """Mean and deviation of the sources of `sources.Pairs`, read one by one.

    Raises:
        InputError: a file cannot be used, or has another F than the first.
    """
    one: Arrays | None = None
    count, total, squares = 0, np.zeros(1), np.zeros(1)
    for index, (text, _) in enumerate(pairs):
        try:
            one = one or like(kind, text, side)
            found = one.raw(text).reshape(-1, len(one.mean)).astype(np.float64)
        except InputError as error:
            raise InputError(f"{pairs.where(index)}: {error}") from None
        count += len(found)
        total = total + found.sum(0)
        squares = squares + (found**2).sum(0)
    if one is None:
        raise InputError("there are no sources to train on")
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    deviation = np.where(deviation < SMALLEST, 1.0, deviation)
    return replace(one, mean=tuple(mean.tolist()), deviation=tuple(deviation.tolist()))


def like(kind: str, text: str, side: int | None) -> Arrays:
    """For sources as wide as this one, with mean 0 and deviation 1."""
    size = ARRAYS[kind].read(text, side).shape[1]
    group = ARRAYS[kind].group or size
    return Arrays(kind, (0.0,) * group, (1.0,) * group, size, side)
