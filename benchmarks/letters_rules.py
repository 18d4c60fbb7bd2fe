"""What rules make of letters without any model: baselines for docs/letters.md.

A rule is made of the training pairs and says a target for a source, both as the TSV has
them: a word, or a lemma and its features.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Source = tuple[str, ...]
Pairs = Sequence[tuple[Source, str]]
Rule = Callable[[Source], str]
Units = tuple[str, ...]
ROUNDS, MOST = 5, 4  # of EM; units that a letter stands for
UNSEEN = 12.0  # nats, of a piece that a letter has not stood for


def looked_up(pairs: Pairs) -> Rule:
    """The target that a word has most often in training; a new word stays as it is.

    >>> rule = looked_up([(("vnd",), "und"), (("vnd",), "und"), (("vnd",), "unt")])
    >>> rule(("vnd",)), rule(("haus",))
    ('und', 'haus')
    """
    found: dict[Source, Counter[str]] = defaultdict(Counter)
    for source, target in pairs:
        found[source][target] += 1
    best = {source: most_frequent(counts) for source, counts in found.items()}
    return lambda source: best.get(source, source[0])


def by_endings(pairs: Pairs) -> Rule:
    """Change a lemma's ending as training does most often with these features.

    The longest ending that training has with them counts; what stands before it stays.

    >>> rule = by_endings([(("walk", "PST"), "walked"), (("bake", "PST"), "baked")])
    >>> rule(("talk", "PST")), rule(("take", "PST")), rule(("take", "FUT"))
    ('talked', 'taked', 'take')
    """
    found: dict[Source, Counter[str]] = defaultdict(Counter)
    for (lemma, features), form in pairs:
        for place in range(len(lemma) + 1):
            if lemma[:place] == form[:place]:
                found[lemma[place:], features][form[place:]] += 1
    best = {source: most_frequent(counts) for source, counts in found.items()}

    def rule(source: Source) -> str:
        lemma, features = source
        for place in range(len(lemma) + 1):
            if (ending := best.get((lemma[place:], features))) is not None:
                return lemma[:place] + ending
        return lemma

    return rule


def by_letters(pairs: Pairs) -> Rule:
    """Say for each letter what it most often stands for, wherever it is.

    Each letter of a training pair stands for at most `MOST` units of the target
    (what spaces part, else letters). Which ones is found by hard EM: the likeliest
    cutting under the counts so far, from even pieces on.

    >>> rule = by_letters([(("ax",), "a k s"), (("xa",), "k s a"), (("a",), "a")])
    >>> rule(("xaa",))
    'k s a a'
    """
    joint = " " if any(" " in target for _, target in pairs) else ""
    cut = [
        (word, tuple(target.split() if joint else target)) for (word,), target in pairs
    ]
    counts: dict[str, Counter[Units]] = defaultdict(Counter)
    for word, units in cut:
        ends = [round(k * len(units) / len(word)) for k in range(len(word) + 1)]
        for letter, begin, end in zip(word, ends, ends[1:], strict=False):
            counts[letter][units[begin:end]] += 1
    for _ in range(ROUNDS):
        costs = {
            letter: {units: math.log(sum(of.values()) / n) for units, n in of.items()}
            for letter, of in counts.items()
        }
        counts = defaultdict(Counter)
        for word, units in cut:
            for letter, piece in pieces(word, units, costs):
                counts[letter][piece] += 1
    best = {letter: joint.join(most_frequent(of)) for letter, of in counts.items()}

    def rule(source: Source) -> str:
        (word,) = source
        return joint.join(said for letter in word if (said := best.get(letter, "")))

    return rule


def pieces(
    word: str, units: Units, costs: dict[str, dict[Units, float]]
) -> list[tuple[str, Units]]:
    """The cheapest cutting of units into a piece for each letter; none fits: none."""
    best: dict[int, tuple[float, list[Units]]] = {0: (0.0, [])}
    for letter in word:
        new: dict[int, tuple[float, list[Units]]] = {}
        for place, (cost, before) in best.items():
            for size in range(MOST + 1):
                piece = units[place : place + size]
                if len(piece) < size:
                    break
                total = cost + costs.get(letter, {}).get(piece, UNSEEN)
                if total < new.get(place + size, (math.inf, []))[0]:
                    new[place + size] = total, [*before, piece]
        best = new
    _, found = best.get(len(units), (0.0, []))
    return list(zip(word, found, strict=False))


def most_frequent(counts: Counter[Any]) -> Any:
    """Of equally frequent ones the first by alphabet: the same in every run."""
    return min(counts, key=lambda one: (-counts[one], one))


def wrong(make: Callable[[Pairs], Rule], train: Path, test: Path) -> float:
    """Of the different sources of a test set, how many a rule says wrong, in percent.

    A source with several targets is one, and each of them is right.
    """
    rule = make(read(train))
    accepted: dict[Source, set[str]] = defaultdict(set)
    for source, target in read(test):
        accepted[source].add(target)
    missed = sum(rule(source) not in targets for source, targets in accepted.items())
    return 100 * missed / len(accepted)


def read(path: Path) -> list[tuple[Source, str]]:
    """The pairs of a TSV, whose last column is the target."""
    lines = path.read_text("utf-8").split("\n")
    rows = [tuple(line.rstrip("\r").split("\t")) for line in lines if line]
    return [(row[:-1], row[-1]) for row in rows]
