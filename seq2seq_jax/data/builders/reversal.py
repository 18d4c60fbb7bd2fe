"""Strings and their reverses: the smallest task that needs to look at the source."""

import random
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from seq2seq_jax.data.builders.info import text_pairs

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
LONGEST = 20
SIZES = {"test": 1_000, "validation": 1_000, "train": 20_000}


def strings(sizes: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Draw `(split, string)`, of 1 to 20 letters; no string comes twice.

    >>> [split for split, _ in strings({"test": 1, "train": 2})]
    ['test', 'train', 'train']
    """
    draw = random.Random("reversal 1.0.0")
    seen = set()
    for split, size in sizes.items():
        made = 0
        while made < size:
            text = "".join(draw.choices(ALPHABET, k=draw.randint(1, LONGEST)))
            if text not in seen:
                seen.add(text)
                made += 1
                yield split, text


class Reversal(tfds.core.GeneratorBasedBuilder):
    """Random strings of 1 to 20 small letters, to be said backwards."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return text_pairs(self, "Random strings of letters and their reverses.")

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        drawn = list(strings(SIZES))
        return {
            split: self._generate_examples(
                [text for place, text in drawn if place == split]
            )
            for split in SIZES
        }

    def _generate_examples(self, texts: list[str]) -> Any:
        for text in texts:
            yield text, {"source": text, "target": text[::-1]}
