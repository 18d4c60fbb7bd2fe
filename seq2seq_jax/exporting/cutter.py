"""Text to ids and back, by the tokenisers of an exported folder.

It lies in the folder beside `translate.py`, and needs sentencepiece where a tokeniser
is one, else Python alone.
"""

import json
import re
import unicodedata

PAD, BOS, EOS, UNK = 0, 1, 2, 3
SPECIAL = 4  # ids below it stand for no unit


def with_features(text):
    """Characters up to the first tab, then what `;` parts, with what stands before.

    >>> with_features("ab\\tN;PL")
    ['a', 'b', '\\tN', ';PL']
    """
    units = list(text)
    if "\t" in units:
        start = units.index("\t")
        units[start:] = re.split("(?=;)", text[start:])
    return units


def with_marks(text):
    """Words and marks of punctuation; `￭` before what no space parts from the last.

    >>> with_marks("so it's")
    ['so', 'it', "￭'", '￭s']
    """
    found, last = [], None
    for one in re.finditer(r"\w+|[^\w\s]", text):
        found.append(("￭" if last == one.start() else "") + one.group())
        last = one.end()
    return found


def put_together(units):
    """What `with_marks` has cut."""
    parts = [x[1:] if len(x) > 1 and x[0] == "￭" else " " + x for x in units]
    text = "".join(parts)
    return text[1:] if text[:1] == " " else text


# How a text is cut into units, by the kinds whose units are text.
CUTS: dict = {
    "word": str.split,
    "word_marks": with_marks,
    "char": list,
    "char_nfd": lambda text: list(unicodedata.normalize("NFD", text)),
    "char_features": with_features,
}


class Tokenizer:
    """Text to ids and back; `read(name)` gives a file's bytes.

    A `ValueError` tells what cannot be used.
    """

    def __init__(self, read, side):
        header = json.loads(read(f"tokenizers/{side}.json"))
        self.kind, self.lowercase = header["kind"], header["lowercase"]
        self.units, self.ids, self.pieces = [], {}, None
        if self.kind == "sentencepiece":
            try:
                import sentencepiece
            except ImportError:
                raise ValueError("it needs sentencepiece: pip install it") from None
            self.pieces = sentencepiece.SentencePieceProcessor(
                model_proto=read(f"tokenizers/{side}.model")
            )
        elif self.kind in CUTS:
            self.units = json.loads(read(f"tokenizers/{side}.vocab"))
            self.ids = {unit: n for n, unit in enumerate(self.units, SPECIAL)}
        elif self.kind != "byte":
            raise ValueError(f"unknown kind of tokeniser {self.kind!r}")

    def encode(self, text):
        """Ids of a text, without EOS."""
        text = text.lower() if self.lowercase else text
        if self.pieces is not None:
            return self.pieces.encode(text)
        if self.kind == "byte":
            return [byte + SPECIAL for byte in text.encode("utf-8")]
        return [self.ids.get(unit, UNK) for unit in CUTS[self.kind](text)]

    def decode(self, ids):
        """The text of ids up to the first EOS."""
        ids = ids[: ids.index(EOS)] if EOS in ids else ids
        ids = [i for i in ids if i not in (PAD, BOS)]
        if self.pieces is not None:
            return self.pieces.decode(ids)
        if self.kind == "byte":
            data = bytes(i - SPECIAL for i in ids if i != UNK)
            return data.decode("utf-8", errors="replace")
        words = self.kind.startswith("word")
        unknown, glue = ("<unk>", " ") if words else ("⁇", "")
        said = [unknown if i == UNK else self.units[i - SPECIAL] for i in ids]
        if self.kind == "word_marks":
            return put_together(said)
        text = glue.join(said)
        return unicodedata.normalize("NFC", text) if self.kind == "char_nfd" else text
