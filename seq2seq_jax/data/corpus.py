"""A corpus as ids in files: made once as a stream, then read a row at a time.

A corpus is a folder `NAME-FINGERPRINT` with files of ids and of offsets for each side,
the text of data to evaluate on, and `info.json` with sizes and checksums, its own too.
"""

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq_jax.data.sequences import Sequences, SequencesWriter, open_sequences
from seq2seq_jax.errors import InputError
from seq2seq_jax.types import BOS, EOS, Batch

VERSION = 2  # of the format; a folder of another version is made anew
TEXT = np.dtype(np.uint8)
NUMBER = np.dtype("<f4")
ROW = np.dtype("<i8")


class Corpus:
    """Pairs of sequences of ids.

    Attributes:
        folder: where it is.
        source_ids: `Sequences` of ids without EOS.
        target_ids: `Sequences` of ids without BOS and EOS.
        width: numbers of an item of a source; 0: sources are ids.
        rows: of each pair, the place of its source among them; None: one for each.
        lengths: `[N, 2]` int32, tokens of source and target, EOS included.
        statistics: how many pairs, dropped and truncated ones, tokens and UNKs.
        checksum: equal for equal corpora.
    """

    def __init__(self, folder: Path) -> None:
        """Open the corpus in a folder.

        Raises:
            ValueError: if it is damaged (or OSError, KeyError).
        """
        info = json.loads((folder / "info.json").read_text(encoding="utf-8"))
        if info["version"] != VERSION:
            raise ValueError(f"version {info['version']}")
        if info.pop("digest") != _digest(info):
            raise ValueError("info.json is damaged")
        self.folder = folder
        dtype, files = np.dtype(info["dtype"]), info["files"]
        self.width: int = info.get("width", 0)
        kind = NUMBER if self.width else dtype
        self.source_ids = open_sequences(folder / "source", kind, files, self.width)
        self.target_ids = open_sequences(folder / "target", dtype, files)
        self.rows: np.ndarray | None = None
        if info.get("shared"):
            self.rows = open_sequences(folder / "source_row", ROW, files)[0]
        self.texts: list[Sequences] = []
        if info["texts"]:
            names = ("source_text", "target_text")
            self.texts = [open_sequences(folder / name, TEXT, files) for name in names]
        self.statistics: dict[str, int] = info["statistics"]
        self.checksum = f"{zlib.crc32(json.dumps(info['files']).encode()):08x}"
        self.lengths = np.empty((len(self.target_ids), 2), np.int32)
        _lengths(self.target_ids, self.lengths[:, 1])
        if self.rows is None:
            _lengths(self.source_ids, self.lengths[:, 0])
        else:
            each = np.empty(len(self.source_ids), np.int32)
            self.lengths[:, 0] = _lengths(self.source_ids, each)[self.rows]
        self.lengths[:, 0] -= bool(self.width)  # numbers have no end marker

    def __len__(self) -> int:
        return len(self.lengths)

    def source(self, index: int) -> np.ndarray:
        """Ids of source `index`, without EOS."""
        return self.source_ids[index if self.rows is None else self.rows[index]]

    def target(self, index: int) -> np.ndarray:
        """Ids of target `index`, without BOS and EOS."""
        return self.target_ids[index]

    def source_text(self, index: int) -> str:
        """The source as text, whole; kept for development and test data only."""
        return self._text(0, index)

    def target_text(self, index: int) -> str:
        """The target as text: the exact reference; lower-cased where the data is."""
        return self._text(1, index)

    def collate(self, rows: np.ndarray, source: int, target: int) -> Batch:
        """Examples `[R]` (-1: an empty row) as a padded batch of lengths S and T.

        The source ends with EOS, so even an empty text has a token to look at.
        """
        places = rows
        if self.rows is not None:
            places = np.where(rows < 0, -1, self.rows[rows])
        ids, length = self.source_ids.gather(places, source)
        if self.width:  # numbers as they are
            source_mask = np.arange(source) < length[:, None]
        else:
            source_mask = np.arange(source) <= length[:, None]
            ids = np.where(np.arange(source) == length[:, None], EOS, ids)
            ids = ids.astype(np.int32)
        said, length = self.target_ids.gather(rows, target)
        target_mask = np.arange(target) <= length[:, None]
        heard = np.concatenate([np.full_like(said[:, :1], BOS), said[:, :-1]], 1)
        said_end = np.where(np.arange(target) == length[:, None], EOS, said)
        return Batch(
            source=ids,
            source_mask=source_mask,
            target_in=np.where(target_mask, heard, 0).astype(np.int32),
            target_out=said_end.astype(np.int32),
            target_mask=target_mask,
        )

    def _text(self, side: int, index: int) -> str:
        if not self.texts:
            raise ValueError("a training corpus keeps no text: decode its ids")
        return self.texts[side][index].tobytes().decode("utf-8")


def _lengths(sequences: Sequences, out: np.ndarray) -> np.ndarray:
    """Lengths `[N]`, EOS included, in no more memory than they take."""
    ends = sequences.offsets
    np.subtract(ends[1:], ends[:-1], out=out, casting="unsafe")
    return np.add(out, 1, out=out)


def _digest(info: dict[str, Any]) -> str:
    """The SHA-256 of what `info.json` says."""
    return hashlib.sha256(json.dumps(info, sort_keys=True).encode()).hexdigest()


def open_corpus(folder: Path) -> Corpus | None:
    """The corpus in a folder, or None if there is none or it is damaged."""
    try:
        return Corpus(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


class CorpusWriter:
    """Makes a corpus in a folder that takes its name only when all of it is there.

    A context manager: what an error or an interrupt leaves half-written is removed, and
    what a killed process left is never mistaken for a corpus.
    """

    def __init__(
        self, folder: Path, vocab_size: int, keep_text: bool, width: int = 0
    ) -> None:
        """Choose the type of the ids; nothing is written yet."""
        self.width = width
        self.folder = folder
        self.temporary = folder.with_name(f".tmp-{folder.name}-{os.getpid()}")
        self.dtype = np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")
        self.keep_text = keep_text
        self.writers: list[SequencesWriter] = []
        self.rows: list[int] = []
        self.last: str | None = None

    def __enter__(self) -> "CorpusWriter":
        try:
            shutil.rmtree(self.temporary, ignore_errors=True)
            self.temporary.mkdir(parents=True)
            kind = NUMBER if self.width else self.dtype
            sides = [("source", kind), ("target", self.dtype)]
            if self.keep_text:
                sides += [("source_text", TEXT), ("target_text", TEXT)]
            self.writers = [
                SequencesWriter(self.temporary / n, kind) for n, kind in sides
            ]
        except OSError as error:
            raise self._cannot_write(error) from error
        return self

    def add(self, ids: tuple[Any, list[int]], texts: tuple[str, str]) -> None:
        """Append one pair; the source is a list of ids, or numbers `[S, width]`.

        Of numbers that several pairs in a row share, as captions do a picture, one copy
        is written.
        """
        parts: list[Any] = list(ids)
        if self.width:
            again = texts[0] == self.last
            before = self.rows[-1] if self.rows else -1
            self.rows.append(before + (not again))
            self.last = texts[0]
            parts[0] = None if again else parts[0].ravel().tolist()
        if self.keep_text:
            parts += [text.encode("utf-8") for text in texts]
        for writer, part in zip(self.writers, parts, strict=True):
            if part is not None:
                writer.add(part)

    def finish(self, statistics: dict[str, int]) -> Corpus:
        """Give the folder its name, and open the corpus in it."""
        shared = bool(self.rows) and self.rows[-1] + 1 < len(self.rows)
        if shared:
            self.writers.append(SequencesWriter(self.temporary / "source_row", ROW))
            self.writers[-1].add(self.rows)
        files: dict[str, list[int]] = {}
        for writer in self.writers:
            files |= writer.finish()
        info = {
            "version": VERSION,
            "dtype": self.dtype.str,
            "texts": self.keep_text,
            "statistics": statistics,
            "files": files,
        }
        if self.width:
            info["width"] = self.width
        if shared:
            info["shared"] = True
        path = self.temporary / "info.json"
        sealed = info | {"digest": _digest(info)}
        path.write_text(json.dumps(sealed, indent=2) + "\n", encoding="utf-8")
        _rename(self.temporary, self.folder)
        return Corpus(self.folder)

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        try:
            for writer in self.writers:
                writer.close()
        except OSError as closing:  # a full disk shows again as buffers are flushed
            error = error or closing
        shutil.rmtree(self.temporary, ignore_errors=True)
        if isinstance(error, OSError):
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: OSError) -> InputError:
        return InputError(
            f"the data cannot be written to {self.folder.parent}: {error.strerror}; "
            "nothing is kept of it"
        )


def _rename(new: Path, folder: Path) -> None:
    """Rename `new` to `folder`; another process that did so first has made the same."""
    try:
        new.rename(folder)
    except OSError:
        if open_corpus(folder) is None:
            if folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)
            else:
                folder.unlink()
            new.rename(folder)


def stale(folder: Path) -> Iterator[Path]:
    """Older corpora of the same name beside `folder`, and what killed runs left."""
    name = folder.name.rpartition("-")[0]
    for path in folder.parent.glob(f"{name}-*"):
        if path != folder:
            yield path
    for path in folder.parent.glob(f".tmp-{name}-*"):
        if not _runs(path.name.rpartition("-")[2]):
            yield path


def _runs(process: str) -> bool:
    try:
        os.kill(int(process), 0)  # signal 0 only asks
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        pass
    return True
