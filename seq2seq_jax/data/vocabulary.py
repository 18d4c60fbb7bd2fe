"""Vocabularies of units (characters, words), most frequent first."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from seq2seq_jax.errors import InputError
from seq2seq_jax.types import UNK

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")  # the pieces of PAD, BOS, EOS and UNK
MOST_UNITS = 1 << 21  # distinct units counted at once, so that memory is bounded


class Vocabulary(NamedTuple):
    """Units by id, from 4 on, and the ids of the units."""

    units: tuple[str, ...]
    ids: dict[str, int]


def make_vocabulary(units: Iterable[str]) -> Vocabulary:
    """Number the units from 4 on.

    >>> make_vocabulary(["b", "a"]).ids
    {'b': 4, 'a': 5}
    """
    units = tuple(units)
    return Vocabulary(units, {unit: n for n, unit in enumerate(units, len(SPECIAL))})


def count_units(parts: Iterable[Iterable[str]]) -> Counter[str]:
    """Count units; the rarest are forgotten where there are more than `MOST_UNITS`."""
    counts: Counter[str] = Counter()
    floor = 1
    for units in parts:
        counts.update(units)
        while len(counts) > MOST_UNITS:
            counts = Counter({u: n for u, n in counts.items() if n > floor})
            floor += 1
    return counts


def build_vocabulary(
    parts: Iterable[Iterable[str]], vocab_size: int, min_count: int
) -> Vocabulary:
    """The most frequent units; equally frequent ones in the order of their characters.

    Args:
        vocab_size: ids at most, special tokens included.
        min_count: units seen fewer times are left out.

    Raises:
        InputError: if no unit is left.
    """
    counts = count_units(parts)
    kept = sorted((-n, unit) for unit, n in counts.items() if n >= min_count)
    room = vocab_size - len(SPECIAL)
    if not kept or room < 1:
        raise InputError(
            f"data.vocab_size {vocab_size} and data.min_count {min_count} leave none "
            f"of the {len(counts):,} units in the training data: vocab_size counts "
            f"{len(SPECIAL)} special tokens; raise it, or lower min_count"
        )
    return make_vocabulary(unit for _, unit in kept[:room])


def size_of(vocabulary: Vocabulary) -> int:
    """Number of ids, special ones included."""
    return len(vocabulary.units) + len(SPECIAL)


def unit_of(vocabulary: Vocabulary, index: int, unknown: str) -> str:
    """The unit of an id, `unknown` for UNK."""
    return unknown if index == UNK else vocabulary.units[index - len(SPECIAL)]


def dump(vocabulary: Vocabulary) -> bytes:
    """A JSON list, one unit a line, for people to read too."""
    lines = (json.dumps(unit, ensure_ascii=False) for unit in vocabulary.units)
    return "[\n{}\n]\n".format(",\n".join(lines)).encode()


def parse(data: bytes) -> Vocabulary:
    """What `dump` wrote.

    Raises:
        ValueError: if it is anything else.
    """
    units = json.loads(data.decode("utf-8"))
    if not isinstance(units, list) or not all(isinstance(u, str) for u in units):
        raise ValueError("expected a JSON list of strings")
    return make_vocabulary(units)
