"""Tokenisers: text -> ids and back, with the special tokens 0 to 3 of `types`.

A kind is a `Kind` of pure functions on its model, listed in `TOKENIZERS`. The model of
characters and words is a `Vocabulary`; bytes need none; SentencePiece has its own.
"""

import hashlib
import itertools
import json
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq_jax.data import subwords, vocabulary
from seq2seq_jax.data.files import write_atomic
from seq2seq_jax.data.units import (
    cut_features,
    cut_marks,
    join_marks,
    show_character,
    show_unit,
    show_word,
)
from seq2seq_jax.data.vocabulary import SPECIAL, Vocabulary
from seq2seq_jax.errors import InputError, choose
from seq2seq_jax.types import BOS, EOS, PAD, UNK


class Units(NamedTuple):
    """Units that are pieces of the text as it stands.

    Attributes:
        cut: a text to its units: one for each id of `encode`, known or not.
        join: units to the text that they stand for.
    """

    cut: Callable[[str], list[str]]
    join: Callable[[Iterable[str]], str]


class Kind(NamedTuple):
    """One way to cut text into units.

    Attributes:
        train: `(lines, vocab_size, min_count) -> model`.
        size: `model ->` number of ids, special ones included.
        encode: `(model, text) -> ids`, without BOS and EOS.
        decode: `(model, ids) -> text`; the ids hold no PAD, BOS or EOS.
        piece: `(model, id) ->` a printable string for one id that is not special.
        show: `(model, text) ->` a printable string for each id of `encode`, unknown
            units as the text has them.
        dump: `model -> bytes`.
        parse: `bytes -> model`; raises `ValueError` or `RuntimeError` on damage.
        suffix: of the file that holds the bytes.
        units: what ids stand for in a text; None where that is no text of its own.
    """

    train: Callable[[Iterable[str], int, int], Any]
    size: Callable[[Any], int]
    encode: Callable[[Any, str], list[int]]
    decode: Callable[[Any, Sequence[int]], str]
    piece: Callable[[Any, int], str]
    show: Callable[[Any, str], list[str]]
    dump: Callable[[Any], bytes]
    parse: Callable[[bytes], Any]
    suffix: str
    units: Units | None = None


def _encoder(cut: Callable[[str], Iterable[str]]) -> Callable[[Any, str], list[int]]:
    def encode(model: Vocabulary, text: str) -> list[int]:
        ids = model.ids
        return [ids.get(unit, UNK) for unit in cut(text)]

    return encode


def _vocabulary_kind(
    cut: Callable[[str], Iterable[str]],
    join: Callable[[Iterable[str]], str],
    show: Callable[[str], str],
    unknown: str,
) -> Kind:
    """A kind whose units `cut` finds in a text and `join` joins again."""

    def unit(model: Vocabulary, index: int) -> str:
        return vocabulary.unit_of(model, index, unknown)

    return Kind(
        train=lambda lines, vocab_size, min_count: vocabulary.build_vocabulary(
            map(cut, lines), vocab_size, min_count
        ),
        size=vocabulary.size_of,
        encode=_encoder(cut),
        decode=lambda model, ids: join(unit(model, i) for i in ids),
        piece=lambda model, index: show(unit(model, index)),
        show=lambda model, text: [show(unit) for unit in cut(text)],
        dump=vocabulary.dump,
        parse=vocabulary.parse,
        suffix=".vocab",
        units=Units(lambda text: list(cut(text)), join),
    )


def _byte_piece(model: None, index: int) -> str:
    byte = index - len(SPECIAL)
    return chr(byte) if 0x20 < byte < 0x7F else f"<0x{byte:02X}>"


def _decode_bytes(model: None, ids: Sequence[int]) -> str:
    data = bytes(i - len(SPECIAL) for i in ids if i != UNK)
    return data.decode("utf-8", errors="replace")


BYTE = Kind(
    train=lambda lines, vocab_size, min_count: None,
    size=lambda model: 256 + len(SPECIAL),
    encode=lambda model, text: [b + len(SPECIAL) for b in text.encode("utf-8")],
    decode=_decode_bytes,
    piece=_byte_piece,
    show=lambda model, text: [
        _byte_piece(model, b + len(SPECIAL)) for b in text.encode("utf-8")
    ],
    dump=lambda model: b"",
    parse=lambda data: None,
    suffix=".vocab",
)

# Characters in parts: Hangul as jamo, letters without their marks. Texts come composed.
DECOMPOSED = _vocabulary_kind(
    lambda text: unicodedata.normalize("NFD", text),
    lambda units: unicodedata.normalize("NFC", "".join(units)),
    show_character,
    "⁇",
)

# Characters are Unicode code points as they stand: nothing is normalised, so that
# decode(encode(text)) is the text, but for `char_nfd`, whose texts are in NFC. Words
# are what white space parts, as `str.split` sees it, and are joined by single spaces;
# `word_marks` has marks of punctuation apart from them.
# Bytes have all 256 ids whatever the limits. An unknown character is said as one
# character, so that error rates count it once.
TOKENIZERS: dict[str, Kind] = {
    "char": _vocabulary_kind(lambda text: text, "".join, show_character, "⁇"),
    "char_features": _vocabulary_kind(cut_features, "".join, show_unit, "⁇"),
    "char_nfd": DECOMPOSED,
    "byte": BYTE,
    "word": _vocabulary_kind(str.split, " ".join, lambda word: word, SPECIAL[UNK]),
    "word_marks": _vocabulary_kind(cut_marks, join_marks, show_word, SPECIAL[UNK]),
    "sentencepiece": Kind(
        train=subwords.train,
        size=lambda model: model.get_piece_size(),
        encode=lambda model, text: model.encode(text),
        decode=lambda model, ids: model.decode(list(ids)),
        piece=lambda model, index: model.id_to_piece(index),
        show=lambda model, text: model.encode(text, out_type=str),
        dump=lambda model: model.serialized_model_proto(),
        parse=subwords.parse,
        suffix=".model",
    ),
}


@dataclass(frozen=True)
class Tokenizer:
    """A trained tokeniser of one kind.

    >>> tokenizer = train("char", ["banana"], vocab_size=10)
    >>> tokenizer.encode("nab!"), tokenizer.decode([5, 4, 6, 2, 0])
    ([5, 4, 6, 3], 'nab')
    """

    kind: str
    model: Any
    lowercase: bool = False

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
        """Ids of a text, without BOS and EOS; what the vocabulary lacks is UNK."""
        return TOKENIZERS[self.kind].encode(self.model, self.normalize(text))

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
        return TOKENIZERS[self.kind].show(self.model, self.normalize(text))

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


def load(folder: str | Path, name: str) -> Tokenizer:
    """Read what `Tokenizer.save` wrote.

    Raises:
        InputError: if a file is missing or damaged.
    """
    path = Path(folder) / f"{name}.json"
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
        kind = TOKENIZERS[header["kind"]]
        data = (path.parent / f"{name}{kind.suffix}").read_bytes()
        if hashlib.sha256(data).hexdigest() != header["sha256"]:
            raise ValueError(
                f"{name}{kind.suffix} is not the file that was saved with it"
            )
        return Tokenizer(header["kind"], kind.parse(data), bool(header["lowercase"]))
    except FileNotFoundError as error:
        raise InputError(
            f"{error.filename} does not exist, expected a tokeniser"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"the tokeniser {path} is damaged: {error}") from None
