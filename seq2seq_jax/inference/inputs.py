"""What a predictor is given: texts, and pairs of them, as ids."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest
from typing import NamedTuple

from seq2seq_jax.errors import InputError
from seq2seq_jax.types import EOS


def warn_user(message: str) -> None:
    """A Python warning."""
    warnings.warn(message, stacklevel=2)


class Item(NamedTuple):
    """One input as ids, EOS included; the target is EOS alone where none is given.

    Its number is its place in the stream, from 1; its text is the source's. `others`
    are the ids of the same text where other tokenisers cut it: an ensemble's.
    `required` are ids that the output must hold, as `required.py` tells.
    """

    source: list[int]
    target: list[int]
    number: int
    text: str
    others: tuple[list[int], ...] = ()
    required: tuple[tuple[int, ...], ...] = ()

    @property
    def length(self) -> int:
        """Of the source, however it is cut."""
        return max(map(len, (self.source, *self.others)))

    @property
    def held(self) -> int:
        """Tokens that are required."""
        return sum(map(len, self.required))


def is_text(item: Item) -> bool:
    """Whether there is anything to translate."""
    least = 2 if isinstance(item.source, list) else 1
    return len(item.source) >= least and bool(item.text.strip())


def check_texts(name: str, texts: Iterable[str], window: int) -> None:
    """Refuse one string in place of many, which would be taken letter by letter."""
    if isinstance(texts, str):
        raise InputError(f"{name} is one string, expected a list of them: [{name}]")
    if window < 1:
        raise InputError(f"window is {window}, expected 1 or more")


def begun(
    texts: Iterable[str], prefixes: Iterable[str] | None, window: int
) -> Iterator[tuple[str, str]]:
    """Texts, each with what its output begins with."""
    check_texts("texts", texts, window)
    if prefixes is None:
        return ((text, "") for text in texts)
    check_texts("prefixes", prefixes, window)
    return in_pairs(texts, prefixes, "texts", "prefixes")


def in_pairs(
    sources: Iterable[str], targets: Iterable[str], *names: str
) -> Iterator[tuple[str, str]]:
    """Pairs of two streams; an `InputError` where one of them ends first."""
    first, second = names or ("sources", "targets")
    for number, (source, target) in enumerate(zip_longest(sources, targets)):
        if source is None or target is None:
            short = first if source is None else second
            raise InputError(
                f"{short} end after {number:,} lines, expected as many {first} as "
                f"{second}: each goes with the one in its place"
            )
        yield source, target


def as_items(
    pairs: Iterable[tuple[str, str]],
    encode: Callable[[str, str], tuple[list[int], ...]],
    longest: int,
    warn: Callable[[str], None],
) -> Iterator[Item]:
    """Ids of pairs; at the end `warn` is told how many texts were cut.

    Args:
        pairs: sources and targets.
        encode: of a source and a target, the ids of both without EOS, and what other
            models read the source as.
        longest: ids of a text, EOS included, at most.
        warn: called with one line.
    """
    cut = first = number = 0
    room = longest - 1  # EOS takes one
    try:
        for number, (source, target) in enumerate(pairs, 1):
            try:
                every = encode(source, target)
            except InputError as error:
                raise InputError(f"line {number:,}: {error}") from None
            ends = [isinstance(ids, list) for ids in every]  # not of numbers
            sizes = zip(every, ends, strict=True)
            if any(len(ids) > longest - end for ids, end in sizes):
                cut += 1
                first = first or number
            read, said, *others = (
                [*ids[:room], EOS] if end else ids[:longest]
                for ids, end in zip(every, ends, strict=True)
            )
            yield Item(read, said, number, source, tuple(others))
    finally:
        if cut:
            warn(
                f"{cut:,} of {number:,} lines were cut to {longest} tokens "
                f"(data.max_length of the training); the first is line {first:,}"
            )
