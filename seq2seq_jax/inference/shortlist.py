"""Shortlists: the target tokens that a source may be given, in place of all.

Jean et al. 2015, section 3.2: an output says only the K most frequent target tokens
and, for each source token, the K' likeliest by a dictionary. The softmax is over these:

    p(y | ...) = exp(w_y r + b_y) / sum over y' of the source's list of the same

A batch has one list, its sources' lists together, so its output layer is one product of
as many columns; what a source does not list itself has the probability 0 in its row, so
no output depends on the rest of the batch.
"""

import io
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seq2seq_jax.data import lexical, tokenizers
from seq2seq_jax.data.files import write_atomic
from seq2seq_jax.data.tokenizers import Tokenizer
from seq2seq_jax.errors import InputError
from seq2seq_jax.inference.batching import FEW
from seq2seq_jax.inference.constraints import Constraints
from seq2seq_jax.inference.forbidden import Banned
from seq2seq_jax.types import PAD, UNK, Array

FILE = "shortlist.npz"
ROWS = FEW[-1]  # of a batch: the more rows, the longer the list that all have together
ARRAYS = ("frequent", "likely", "lengths", "widths", "size")
STEP = 128  # lists are padded to multiples of it
WIDER = 1.5  # the next size of a list that is too long
TRIED = 4096  # sources by which sizes are chosen


class Columns(NamedTuple):
    """What the rows of a batch may say: a search's tokens are places among `ids`.

    Attributes:
        ids: `[N]`, the special tokens first, `PAD` behind the last.
        own: `[B, N]` which of them each row may say.
    """

    ids: Array
    own: Array


@dataclass(frozen=True)
class Shortlist:
    """The target tokens that may be said, by what stands in a source.

    Attributes:
        frequent: `[K]` ids that any output may say.
        likely: `[V, K']` those of each source token, `PAD` behind them.
        lengths: `[L]` that sources are padded to.
        widths: `[len(FEW), L]` columns that batches of such shapes need.
        size: V, ids of a target.
    """

    frequent: np.ndarray
    likely: np.ndarray
    lengths: np.ndarray
    widths: np.ndarray
    size: int

    def allowed(self, source: Sequence[int], more: Sequence[int] = ()) -> np.ndarray:
        """The ids that an output of a source may say, rising; `more`: it shall."""
        special = np.arange(UNK + 1)
        ids = self.likely[np.asarray(source, np.int64)].ravel()
        listed = np.concatenate([special, self.frequent, ids, np.array(more, np.int64)])
        return np.unique(listed)

    def columns(self, allowed: Sequence[np.ndarray], rows: int, length: int) -> Columns:
        """Of a batch `[rows, length]`, from what each of the first rows may say."""
        listed = np.unique(np.concatenate(allowed))
        most = min(int(np.searchsorted(FEW, rows)), len(FEW) - 1)
        place = min(int(np.searchsorted(self.lengths, length)), len(self.lengths) - 1)
        width = wide_enough(int(self.widths[most, place]), len(listed))
        ids = np.full(width, PAD, np.int32)
        ids[: len(listed)] = listed
        own = np.zeros((rows, len(ids)), bool)
        for row, mine in zip(own, allowed, strict=False):
            row[np.searchsorted(listed, mine)] = True
        return Columns(ids, own)

    def save(self, workdir: Path) -> Path:
        """Write it into a workdir."""
        file = io.BytesIO()
        stamp = np.frombuffer(stamp_of(workdir).encode(), np.uint8)
        parts = [getattr(self, name) for name in ARRAYS]
        np.savez_compressed(file, stamp=stamp, **dict(zip(ARRAYS, parts, strict=True)))
        write_atomic(workdir / FILE, file.getvalue())
        return workdir / FILE


def wide_enough(width: int, needed: int) -> int:
    """The first of `width`, and what is `WIDER` than that, which is enough.

    >>> wide_enough(256, 200), wide_enough(256, 300)
    (256, 384)
    """
    while width < needed:
        width = up(WIDER * width)
    return width


def up(number: float) -> int:
    """The next multiple of `STEP`."""
    return STEP * -(-int(number) // STEP)


def moved(
    columns: Columns, size: int, banned: Banned, asked: Constraints
) -> tuple[Banned, Constraints]:
    """What is forbidden and asked of a batch, by places in place of ids.

    Args:
        columns: of the batch.
        size: V; it stands for no token in `banned`.
    """
    ids = np.asarray(columns.ids)
    places = np.full(size + 1, len(ids), np.int32)  # what is not there is never said
    places[ids[::-1]] = np.arange(len(ids))[::-1]
    return (
        Banned(
            None if banned.ids is None else banned.ids[ids],
            None if banned.phrases is None else places[banned.phrases],
        ),
        asked._replace(
            prefix=None if asked.prefix is None else places[asked.prefix],
            wanted=None if asked.wanted is None else places[asked.wanted],
        ),
    )


def made(
    pairs: Iterable[tuple[list[int], list[int]]],
    both: tuple[Tokenizer, Tokenizer],
    frequent: int,
    likely: int,
    edges: Sequence[int],
) -> Shortlist:
    """The shortlist that pairs of ids give.

    Args:
        pairs: sources and targets, without EOS.
        both: the tokenisers of source and target.
        frequent: K.
        likely: K'; where both sides share one vocabulary, also the source token itself.
        edges: lengths that sources are padded to, rising.
    """
    pairs, (source, target) = list(pairs), both
    table = lexical.translations(pairs, (source.size, target.size), likely)
    if source.dump() == target.dump():
        table = np.column_stack([table, np.arange(source.size, dtype=np.int32)])
    counts = Counter(token for _, said in pairs for token in said)
    common = np.array([i for i, _ in counts.most_common(frequent)], np.int32)
    nothing = np.zeros(0, np.int32)
    found = Shortlist(common, table, nothing, nothing, target.size)
    step = -(-len(pairs) // TRIED) or 1
    sources = sorted((said for said, _ in pairs[::step]), key=len)
    lists = [(len(said) + 1, found.allowed(said)) for said in sources]  # EOS
    widths = [[width_of(lists, rows, edge) for edge in edges] for rows in FEW]
    return replace(found, lengths=np.array(edges), widths=np.array(widths))


def width_of(lists: Sequence[tuple[int, np.ndarray]], rows: int, edge: int) -> int:
    """Columns for any batch of neighbours of which the longest is that long at most.

    Args:
        lists: lengths of sources, rising, and what they may say.
        rows: of the batch.
        edge: its length.
    """
    short = [ids for length, ids in lists if length <= edge]
    starts = range(len(short) % rows, len(short), rows)
    batches = [short[start : start + rows] for start in starts] or [short]
    return up(max((len(np.unique(np.concatenate(b))) for b in batches if b), default=1))


def stamp_of(workdir: Path) -> str:
    """What tells a workdir's tokenisers from others: ids mean nothing without."""
    folder = workdir / "tokenizers"
    return "; ".join(tokenizers.stamp(folder, side) for side in ("source", "target"))


def load(workdir: Path) -> Shortlist:
    """Read what `save` wrote.

    Raises:
        InputError: there is none, it is damaged or of other tokenisers.
    """
    path = workdir / FILE
    again = f"`seq2seq-jax shortlist --workdir {workdir}` makes one"
    if not path.is_file():
        raise InputError(f"{workdir} has no {FILE}: {again}")
    try:
        with np.load(path, allow_pickle=False) as file:
            parts: dict[str, Any] = {name: file[name] for name in ARRAYS}
            stamp = file["stamp"].tobytes().decode()
        found = Shortlist(**parts | {"size": int(parts["size"])})
        check(found)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read ({error}): {again}") from None
    if stamp != stamp_of(workdir):
        raise InputError(f"{path} was made for other tokenizers: {again}")
    return found


def check(found: Shortlist) -> None:
    """Refuse arrays that do not fit together.

    Raises:
        ValueError: they do not.
    """
    ids = np.concatenate([found.frequent.ravel(), found.likely.ravel()])
    if not ((ids >= 0) & (ids < found.size)).all():
        raise ValueError(f"it has ids that are not between 0 and {found.size - 1}")
    shape = len(FEW), len(found.lengths)
    if found.widths.shape != shape or not found.lengths.size or found.widths.min() < 1:
        raise ValueError(f"its widths are {found.widths.tolist()}")
