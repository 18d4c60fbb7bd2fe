"""Drawn-out copies: letters as long, noisy stretches of numbers, to be written down.

What speech asks of a model, without speech: each letter lasts for a few frames, as many
as it happens to; a frame is the letter's vector plus noise as large as itself, so that
one alone often looks like another letter's; all frames of a line are louder or softer,
and moved by the same amount, as voices are; in pauses there is noise alone.
"""

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

ALPHABET = "abcdefghijkl"
WIDTH = 12  # numbers of a frame
FRAMES = (3, 9)  # of a letter, and of a pause
PAUSES = 0.2  # after a letter
NOISE = 1.0  # deviation of each number; a letter's vector has 3 on average
VOICE = 0.3  # deviation of what is added to all frames, and of the log of the loudness


class Part(NamedTuple):
    """How many lines a split has, and of how many letters."""

    lines: int
    shortest: int
    longest: int


PARTS = {
    "train": Part(8_000, 3, 15),
    "validation": Part(500, 3, 15),
    "test": Part(500, 3, 15),
    "long": Part(500, 20, 30),
}


def letters(part: Part, draw: random.Random) -> str:
    """A random text; no letter follows itself, as a longer one would be the same.

    >>> letters(Part(1, 3, 3), random.Random(1))
    'cfb'
    """
    text = draw.choice(ALPHABET)
    for _ in range(draw.randint(part.shortest, part.longest) - 1):
        text += draw.choice(ALPHABET.replace(text[-1], ""))
    return text


def vectors() -> np.ndarray:
    """One for each letter, and 0 for a pause: `[13, WIDTH]`."""
    drawn = np.random.default_rng(2024).normal(0, 3 / WIDTH**0.5, (12, WIDTH))
    return np.concatenate([drawn, np.zeros((1, WIDTH))])


def frames(text: str, draw: np.random.Generator) -> np.ndarray:
    """A text as it is said `[S, WIDTH]`, float32."""
    order: list[int] = []
    for letter in text:
        order += [ALPHABET.index(letter)]
        order += [len(ALPHABET)] * bool(draw.random() < PAUSES)
    lasting = np.repeat(order, draw.integers(FRAMES[0], FRAMES[1] + 1, len(order)))
    said = vectors()[lasting] * np.exp(VOICE * draw.normal())
    said += draw.normal(0, VOICE, WIDTH) + draw.normal(0, NOISE, said.shape)
    return said.astype(np.float32)


class DrawnOut(tfds.core.GeneratorBasedBuilder):
    """Letters as noisy stretches of frames; the split `long` has longer lines."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Random letters, and frames in which they are drawn out.",
            features=tfds.features.FeaturesDict(
                {
                    "source": tfds.features.Tensor(
                        shape=(None, WIDTH), dtype=np.float32
                    ),
                    "target": tfds.features.Text(),
                }
            ),
            supervised_keys=("source", "target"),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {name: self._generate_examples(name) for name in PARTS}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict]]:
        part, draw = PARTS[split], random.Random(f"drawn_out 1.0.0 {split}")
        noise = np.random.default_rng(draw.getrandbits(64))
        for number in range(part.lines):
            text = letters(part, draw)
            yield number, {"source": frames(text, noise), "target": text}
