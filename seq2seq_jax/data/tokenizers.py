"""Tokenisers: text -> ids and back, with the special tokens 0 to 3 of `types`."""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from seq2seq_jax.data import arrays
from seq2seq_jax.data.files import write_atomic
from seq2seq_jax.data.kinds import TOKENIZERS, Units
from seq2seq_jax.data.units import join_marks
from seq2seq_jax.data.vocabulary import SPECIAL, Vocabulary
from seq2seq_jax.errors import InputError, choose
from seq2seq_jax.extending import FILE_FIRST
from seq2seq_jax.types import BOS, EOS, PAD


@dataclass(frozen=True)
class Tokenizer:
    """A trained tokeniser of one kind.

    Attributes:
        kind: an entry of `TOKENIZERS`.
        model: of that kind.
        lowercase: whether texts are lower-cased.
        parts: how many texts, parted by tabs, one holds: several sources of a model.
            Ids of each but the last end with EOS.

    >>> tokenizer = train("char", ["banana"], vocab_size=10)
    >>> tokenizer.encode("nab!"), tokenizer.decode([5, 4, 6, 2, 0])
    ([5, 4, 6, 3], 'nab')
    """

    kind: str
    model: Any
    lowercase: bool = False
    parts: int = 1

    @property
    def size(self) -> int:
        """Number of ids, the four special ones included."""
        return TOKENIZERS[self.kind].size(self.model)

    @property
    def units(self) -> Units | None:
        """How a normalised text is cut into what ids stand for; None: they are no text.

        >>> train("word", ["a b"]).units.cut("so  it is")
        ['so', 'it', 'is']
        """
        return TOKENIZERS[self.kind].units

    def normalize(self, text: str) -> str:
        """The text that `encode` sees: lower-cased where `lowercase` says so."""
        return text.lower() if self.lowercase else text

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without BOS and EOS; what the vocabulary lacks is UNK.

        Raises:
            InputError: it has another number of parts than it should.
        """
        encode = partial(TOKENIZERS[self.kind].encode, self.model)
        return self.part_by_part(text, encode, EOS)

    def part_by_part(
        self, text: str, function: Callable[[str], list[Any]], between: Any
    ) -> list[Any]:
        """What a function makes of each part, with something between them."""
        text = self.normalize(text)
        if self.parts == 1:
            return function(text)
        first, *others = parts = text.split("\t")
        if len(parts) != self.parts:
            raise InputError(
                f"the source {text[:40]!r} has {len(parts)} part"
                f"{'s' * (len(parts) > 1)}, expected {self.parts} (model.sources), "
                f"parted by tabs"
            )
        tab = "\t" * TOKENIZERS[self.kind].tabbed
        made = function(first)
        for part in others:
            made = [*made, between, *function(tab + part)]
        return made

    def cut(self, text: str) -> list[str]:
        """The units of a text, one for each id; the end marker where ids have it."""
        cut = TOKENIZERS[self.kind].units
        return [] if cut is None else self.part_by_part(text, cut.cut, SPECIAL[EOS])

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids up to the first EOS; PAD and BOS are left out.

        UNK is `<unk>` among words, `⁇` among characters and in SentencePiece.
        """
        return TOKENIZERS[self.kind].decode(self.model, self.content(ids))

    @staticmethod
    def content(ids: Iterable[int]) -> list[int]:
        """Ids up to the first EOS, without PAD and BOS."""
        before = itertools.takewhile(lambda index: index != EOS, map(int, ids))
        return [index for index in before if index not in (PAD, BOS)]

    @property
    def tokens(self) -> list[str]:
        """What stands for each id after the special ones; no two are alike.

        >>> train("char", ["banana "]).tokens
        ['a', 'n', ' ', 'b']
        """
        if isinstance(self.model, Vocabulary):
            return list(self.model.units)
        return self.pieces(range(len(SPECIAL), self.size))

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """One printable string for each id, for plots and alignments."""
        piece = TOKENIZERS[self.kind].piece
        return [
            SPECIAL[i] if i < len(SPECIAL) else piece(self.model, i)
            for i in map(int, ids)
        ]

    def show(self, text: str) -> list[str]:
        """One printable string for each id of `encode`; what is unknown as it stands.

        >>> train("char", ["banana"], vocab_size=10).show("nab !")
        ['n', 'a', 'b', '␣', '!']
        """
        show = partial(TOKENIZERS[self.kind].show, self.model)
        return self.part_by_part(text, show, SPECIAL[EOS])

    def written(self, text: str) -> list[str]:
        """What of a normalised text stands for each id of `encode`.

        A character of several bytes stands for the first. SentencePiece writes a space
        as `▁`; words have the space before them.

        >>> train("byte", []).written("é!"), train("word", ["a b"]).written("b c")
        (['é', '', '!'], [' b', ' c'])
        """
        text = self.normalize(text)
        if self.kind == "byte":
            each = ((x, *[""] * (len(x.encode()) - 1)) for x in text)
            return [unit for units in each for unit in units]
        if self.units is None:
            return self.show(text)
        units = self.units.cut(text)
        if self.kind == "word_marks":
            return [join_marks([".", unit])[1:] for unit in units]
        apart = " " if self.kind == "word" else ""
        return [apart + unit for unit in units]

    def dump(self) -> bytes:
        """The model's own bytes; equal ones cut texts alike."""
        return TOKENIZERS[self.kind].dump(self.model)

    def save(self, folder: str | Path, name: str) -> None:
        """Write the model, then `NAME.json`, which vouches for it."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        data = self.dump()
        header = {
            "kind": self.kind,
            "lowercase": self.lowercase,
            "size": self.size,
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        write_atomic(folder / f"{name}{TOKENIZERS[self.kind].suffix}", data)
        text = json.dumps(header, indent=2) + "\n"
        write_atomic(folder / f"{name}.json", text.encode())


def train(
    kind: str,
    lines: Iterable[str],
    vocab_size: int = 8000,
    min_count: int = 1,
    lowercase: bool = False,
) -> Tokenizer:
    """Train a tokeniser on a stream of lines, in bounded memory; the result is fixed.

    Raises:
        InputError: for an unknown kind, or a vocabulary that would be empty.
    """
    choose(TOKENIZERS, kind, "tokenizer")
    if lowercase:
        lines = (line.lower() for line in lines)
    model = TOKENIZERS[kind].train(lines, vocab_size, min_count)
    return Tokenizer(kind, model, lowercase)


def stamp(folder: str | Path, name: str) -> str:
    """What a saved tokeniser's header says of it; equal for equal files.

    Raises:
        InputError: as `load`.
    """
    path = Path(folder) / f"{name}.json"
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
        return f"{header['kind']} {bool(header['lowercase'])} {header['sha256']}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"the tokeniser {path} is damaged: {error}") from None


def load(folder: str | Path, name: str) -> Any:
    """Read what `Tokenizer.save` wrote, or `Arrays.save`.

    Raises:
        InputError: if a file is missing or damaged.
    """
    path = Path(folder) / f"{name}.json"
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
        known = [*TOKENIZERS, *arrays.ARRAYS]
        choose(known, header["kind"], f"the kind of the tokeniser {path}", FILE_FIRST)
        numbers = header["kind"] in arrays.ARRAYS
        suffix = arrays.SUFFIX if numbers else TOKENIZERS[header["kind"]].suffix
        data = (path.parent / f"{name}{suffix}").read_bytes()
        if hashlib.sha256(data).hexdigest() != header["sha256"]:
            raise ValueError(f"{name}{suffix} is not the file that was saved with it")
        if numbers:
            return arrays.parse(header["kind"], data)
        kind = TOKENIZERS[header["kind"]]
        return Tokenizer(header["kind"], kind.parse(data), bool(header["lowercase"]))
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(
            f"{error.filename} does not exist, expected a tokeniser"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"the tokeniser {path} is damaged: {error}") from None
