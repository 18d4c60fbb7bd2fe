"""Kinds of tokenisers: `Kind`s of pure functions on their model, in `TOKENIZERS`.

The model of characters and words is a `Vocabulary`; bytes need none; SentencePiece has
its own.
"""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from seq2seq_jax.data import subwords, vocabulary
from seq2seq_jax.data.units import (
    cut_features,
    cut_marks,
    join_marks,
    show_character,
    show_unit,
    show_word,
)
from seq2seq_jax.data.vocabulary import SPECIAL, Vocabulary
from seq2seq_jax.errors import InputError
from seq2seq_jax.types import UNK


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
        tabbed: whether a unit has the tab that stands before it.
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
    tabbed: bool = False


def _encoder(cut: Callable[[str], Iterable[str]]) -> Callable[[Any, str], list[int]]:
    def encode(model: Vocabulary, text: str) -> list[int]:
        ids = model.ids
        return [ids.get(unit, UNK) for unit in cut(text)]

    return encode


def vocabulary_kind(
    cut: Callable[[str], Iterable[str]],
    join: Callable[[Iterable[str]], str],
    show: Callable[[str], str],
    unknown: str,
) -> Kind:
    """A kind whose units `cut` finds in a text and `join` joins again.

    Args:
        cut: a text to its units, strings.
        join: units to the text; `join(cut(text))` is the text.
        show: a unit to what alignments and pages print for it.
        unknown: what an output has for a unit that training has not.
    """

    def checked(text: str) -> list[str]:
        found = cut(text)
        units = list(found) if isinstance(found, Iterable) else None
        if units is None or not all(isinstance(unit, str) for unit in units):
            raise InputError(
                f"a tokeniser cuts {text!r} into {found!r}, expected strings"
            )
        return units

    def unit(model: Vocabulary, index: int) -> str:
        return vocabulary.unit_of(model, index, unknown)

    return Kind(
        train=lambda lines, vocab_size, min_count: vocabulary.build_vocabulary(
            map(checked, lines), vocab_size, min_count
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
DECOMPOSED = vocabulary_kind(
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
    "char": vocabulary_kind(lambda text: text, "".join, show_character, "⁇"),
    "char_features": vocabulary_kind(cut_features, "".join, show_unit, "⁇")._replace(
        tabbed=True
    ),
    "char_nfd": DECOMPOSED,
    "byte": BYTE,
    "word": vocabulary_kind(str.split, " ".join, lambda word: word, SPECIAL[UNK]),
    "word_marks": vocabulary_kind(cut_marks, join_marks, show_word, SPECIAL[UNK]),
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
OURS = frozenset(TOKENIZERS)  # a user's file adds others


def own_units(kind: str) -> Callable[[str], Sequence[str]] | None:
    """How a user's own kind cuts a text; None: it is ours, or has no units."""
    units = TOKENIZERS[kind].units
    return None if kind in OURS or units is None else units.cut
