"""Alignment error rate against alignments by hand (Och & Ney 2003).

    AER = 1 - (|A & S| + |A & P|) / (|A| + |S|)

Links `(i, j)` join word i of the source with word j of the target, from 0. A are those
found, S those that are sure, P the possible ones, S among them. Sums are over all
lines.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from seq2seq_jax.errors import InputError

Links = frozenset[tuple[int, int]]


class Gold(NamedTuple):
    """The links of a line that are sure, and all that are possible."""

    sure: Links
    possible: Links


class Rates(NamedTuple):
    """In percent: the error rate; of A those in P; of S those in A."""

    aer: float
    precision: float
    recall: float


def parse(line: str, more: str = "") -> Gold:
    """Links of a line: `i-j` sure, `i?j` or `ipj` possible; of `more` all possible.

    Raises:
        ValueError: something else stands there.

    >>> gold = parse("0-0 1?2")
    >>> sorted(gold.sure), sorted(gold.possible)
    ([(0, 0)], [(0, 0), (1, 2)])
    """
    sure, possible = set(), set()
    for words, certain in ((line, True), (more, False)):
        for word in words.split():
            mark = next((mark for mark in "-?p" if mark in word), "-")
            i, j = word.split(mark)
            if not (i.isdecimal() and j.isdecimal()):
                raise ValueError(word)
            link = int(i), int(j)
            possible.add(link)
            if certain and mark == "-":
                sure.add(link)
    return Gold(frozenset(sure), frozenset(possible))


def read(lines: Iterable[str], name: str, more: Iterable[str] | None = None) -> list:
    """The gold of each line; `more` has lines of possible links.

    Raises:
        InputError: on a line that is something else.
    """
    found = []
    both: Iterable = (
        ((line, "") for line in lines)
        if more is None
        else zip(lines, more, strict=True)
    )
    for number, each in enumerate(both, 1):
        try:
            found.append(parse(*each))
        except ValueError:
            raise InputError(
                f"{name}, line {number} is no alignment, expected i-j and, where a "
                f"link is possible, i?j, with spaces between them"
            ) from None
    return found


def rates(found: Sequence[Links], gold: Sequence[Gold]) -> Rates:
    """The rates of what was found, over all lines together.

    Where nothing is found and nothing sure, there is no error.

    >>> rates([frozenset({(0, 0), (1, 1)})], [parse("0-0 1?1 2-2")]).aer
    25.0
    """
    both = list(zip(found, gold, strict=True))
    links = sum(len(a) for a, _ in both)
    sure = sum(len(one.sure) for _, one in both)
    in_sure = sum(len(a & one.sure) for a, one in both)
    in_possible = sum(len(a & one.possible) for a, one in both)
    total = links + sure
    return Rates(
        100.0 * (1 - (in_sure + in_possible) / total) if total else 0.0,
        100.0 * in_possible / links if links else 100.0,
        100.0 * in_sure / sure if sure else 100.0,
    )


def words_of(units: Sequence[str], spaces: str = "") -> list[int | None]:
    """The word of a line that each unit belongs to, from 0; None: white space alone.

    Args:
        units: that make up the line, one after the other; an empty one belongs to the
            word of the one before.
        spaces: characters that part words beside white space.

    >>> words_of(["▁the", "▁ca", "t"], "▁"), words_of(list("a b"))
    ([0, 1, 1], [0, None, 1])
    """
    found: list[int | None] = []
    word, apart = -1, True
    for unit in units:
        own = None if unit or apart else word
        for character in unit:
            if character.isspace() or character in spaces:
                apart = True
                continue
            word, apart = word + apart, False
            own = word if own is None else own
        found.append(own)
    return found


def hard(
    weights: np.ndarray, source: Sequence[int | None], target: Sequence[int | None]
) -> Links:
    """Links between words: of each target token, with where it looked most.

    Words are linked where any of their tokens are. Ends are never linked.

    Args:
        weights: `[T, S]`, both with EOS.
        source, target: the word of each token, without EOS; may be cut short.
    """
    links = set()
    for j, row in enumerate(weights[:-1, :-1]):
        i = int(row.argmax()) if row.size and row.any() else None
        if i is None or i >= len(source) or j >= len(target):
            continue
        pair = source[i], target[j]
        if pair[0] is not None and pair[1] is not None:
            links.add((pair[0], pair[1]))
    return frozenset(links)
