"""Ids for a head that copies: units that the vocabulary lacks are places in the source.

The id of such a unit is the vocabulary's size plus the first position at which the
source has it; see `nn/pointer.py`. So they mean something beside their source alone,
and a tokeniser that reads and writes them is made for each.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from seq2seq_jax.data.tokenizers import TOKENIZERS, Tokenizer
from seq2seq_jax.types import UNK


@dataclass(frozen=True)
class Copying(Tokenizer):
    """A tokeniser beside one source.

    Attributes:
        source: the units of that source, of which those beyond a limit are left out.
    """

    source: tuple[str, ...] = ()

    def encode(self, text: str) -> list[int]:
        """As ever, but UNK only for what the source lacks too.

        >>> from seq2seq_jax.data.tokenizers import train
        >>> _, one = beside(train("word", ["a b"]), "a zoo is a zoo", 9)
        >>> one.encode("a zoo was b")
        [4, 7, 3, 5]
        """
        ids = super().encode(text)
        if self.units is None or UNK not in ids:
            return ids
        return [
            self.place(unit) if index == UNK else index
            for index, unit in zip(ids, self.cut(text), strict=True)
        ]

    def place(self, unit: str) -> int:
        """The id of a unit that the vocabulary lacks."""
        return self.size + self.source.index(unit) if unit in self.source else UNK

    def decode(self, ids: Iterable[int]) -> str:
        """As ever, and the source's unit for an id that is its place.

        >>> from seq2seq_jax.data.tokenizers import train
        >>> beside(train("word", ["a b"]), "a zoo", 9)[1].decode([5, 7, 2, 4])
        'b zoo'
        """
        ids = list(ids)
        if self.units is None or all(index < self.size for index in ids):
            return super().decode(ids)
        kind = TOKENIZERS[self.kind]
        return self.units.join(
            self.source[index - self.size]
            if index >= self.size
            else kind.decode(self.model, [index])
            for index in self.content(ids)
        )

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """As ever; a copied unit as it stands."""
        return [
            self.source[index - self.size]
            if index >= self.size
            else super(Copying, self).pieces([index])[0]
            for index in map(int, ids)
        ]


def beside(tokenizer: Tokenizer, source: str, room: int) -> tuple[Copying, Copying]:
    """A source's tokeniser beside one, and the one for what is said of it.

    Args:
        tokenizer: of sources; its vocabulary is the target's too.
        source: the text.
        room: how many of its units are read.
    """
    units = tuple(tokenizer.cut(source)[:room])
    reader = Copying(**vars(tokenizer), source=units)
    return reader, replace(reader, parts=1)
