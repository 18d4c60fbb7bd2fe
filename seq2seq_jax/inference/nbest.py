"""N-best lists in Moses' format, and what a model makes of them.

    number ||| text ||| Name= value Name2= value ||| score ||| more

Numbers count sources from 0 and never fall; the best of a number comes first.
"""

import math
from collections.abc import Iterable, Iterator
from itertools import groupby, tee
from typing import NamedTuple

from seq2seq_jax.errors import InputError, choose
from seq2seq_jax.inference.predictor import Predictor

BAR = " ||| "
FORM = "number ||| text ||| features ||| score"


class Entry(NamedTuple):
    """One hypothesis of a list.

    Attributes:
        number: of its source, from 0.
        text: the hypothesis.
        features: `Name= value ...` as they stand.
        score: by which the list is ordered, largest first.
        more: fields after that, as they stand: Moses' alignments.
    """

    number: int
    text: str
    features: str
    score: float
    more: tuple[str, ...] = ()


def parse(line: str) -> Entry:
    """An entry from its line; three fields are those without features.

    Raises:
        ValueError: it is none.

    >>> parse("0 ||| le chat  ||| LM0= -2.5 ||| -1.25")
    Entry(number=0, text='le chat', features='LM0= -2.5', score=-1.25, more=())
    """
    fields = [field.strip() for field in line.split("|||")]
    if len(fields) == 3:
        fields.insert(2, "")
    number, text, features, score, *more = fields
    entry = Entry(int(number), text, features, float(score), tuple(more))
    if entry.number < 0 or math.isnan(entry.score):
        raise ValueError(line)
    return entry


def line_of(entry: Entry) -> str:
    """The line of an entry; fields after the features have six decimals.

    >>> line_of(parse("3 ||| a b ||| X= 1 ||| -2 ||| 0-0"))
    '3 ||| a b ||| X= 1 ||| -2.000000 ||| 0-0'
    """
    fields = str(entry.number), entry.text, entry.features, f"{entry.score:.6f}"
    return BAR.join((*fields, *entry.more))


def read(lines: Iterable[str], name: str) -> Iterator[Entry]:
    """The entries of a list's lines; `name` is what messages call it.

    Raises:
        InputError: on a line that is none, or whose number is below the one before.
    """
    last = 0
    for place, line in enumerate(lines, 1):
        try:
            entry = parse(line)
        except ValueError:
            raise InputError(
                f"{name}, line {place} is {line[:60]!r}, expected {FORM}"
            ) from None
        if entry.number < last:
            raise InputError(
                f"{name}, line {place} has number {entry.number} after {last}, "
                f"expected numbers that never fall"
            )
        last = entry.number
        yield entry


def with_sources(
    entries: Iterable[Entry], sources: Iterable[str]
) -> Iterator[tuple[Entry, str]]:
    """Each entry with the source that its number says; one source is held at a time.

    Raises:
        InputError: there is no such source.
    """
    numbered = enumerate(sources)
    place, source = -1, ""
    for entry in entries:
        while place < entry.number:
            found = next(numbered, None)
            if found is None:
                raise InputError(
                    f"the list has number {entry.number}, but there are {place + 1:,} "
                    f"sources, expected one for each number from 0"
                )
            place, source = found
        yield entry, source


RANKS = ("none", "feature", "sum")


def rescored(
    predictor: Predictor,
    entries: Iterable[Entry],
    sources: Iterable[str],
    *,
    feature: str = "Seq2Seq0",
    rank: str = "none",
    weight: float = 1.0,
) -> Iterator[Entry]:
    """The entries with one more feature: log p(text | source), in nats.

    Args:
        predictor: an ensemble too.
        entries: of a list, as `read` gives them; any number.
        sources: of the list, from number 0.
        feature: its name.
        rank: `none` leaves scores and order; `feature` makes it the score; `sum` adds
            `weight` times it to the score. The entries of a number are then sorted by
            the score, largest first, equal ones as they stood.
        weight: for `sum`.

    Raises:
        InputError: options that cannot be, or a number without a source.
    """
    choose(RANKS, rank, "rank")
    if not feature or any(x.isspace() for x in feature) or "|||" in feature:
        raise InputError(f"feature is {feature!r}, expected a name without spaces")
    if not math.isfinite(weight):
        raise InputError(f"weight is {weight}, expected a finite number")
    listed, given, texts = tee(with_sources(entries, sources), 3)
    scores = predictor.score(
        (source for _, source in given), (entry.text for entry, _ in texts)
    )

    def made() -> Iterator[Entry]:
        for (entry, _), score in zip(listed, scores, strict=True):
            value, old = score.log_prob, entry.score
            new = {"none": old, "feature": value, "sum": old + weight * value}[rank]
            said = f"{entry.features} {feature}= {value:.6f}".strip()
            yield entry._replace(features=said, score=new)

    for _, group in groupby(made(), key=lambda entry: entry.number):
        best = list(group)
        yield from best if rank == "none" else sorted(best, key=lambda x: -x.score)
