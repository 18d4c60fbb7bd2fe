"""Lines of a file of one's own, with slips of the keyboard, and as they were."""

import hashlib
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from seq2seq_jax.data.builders.cmudict import SPLITS, split_of
from seq2seq_jax.data.builders.info import text_pairs
from seq2seq_jax.data.sources import read_lines
from seq2seq_jax.errors import InputError

KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
KEPT = 0.2  # of the lines stay as they are
WORDS = 5  # one slip for each so many words of a line
MORE = 0.25  # of the other lines have one slip more
COPIES = 4  # of a training line, each with slips of its own


def beside_each_other() -> dict[str, str]:
    """The keys next to each, whose rows are shifted by half a key.

    >>> beside_each_other()["g"], beside_each_other()["p"]
    ('fhtyvb', 'ol')
    """
    at = {
        (row, place): x for row, keys in enumerate(KEYS) for place, x in enumerate(keys)
    }
    steps = ((0, -1), (0, 1), (-1, 0), (-1, 1), (1, -1), (1, 0))
    return {
        x: "".join(at.get((row + down, place + right), "") for down, right in steps)
        for (row, place), x in at.items()
    }


NEAR = beside_each_other()


def near(letter: str, draw: random.Random) -> str:
    """A key beside a letter's, in its case; itself where a keyboard lacks it."""
    key = draw.choice(NEAR.get(letter.lower(), letter))
    return key.upper() if letter.isupper() else key


def insert(text: str, at: int, draw: random.Random) -> str:
    """A key beside this one is hit too, before it or after it."""
    here = at + draw.randrange(2)
    return text[:here] + near(text[at], draw) + text[here:]


def delete(text: str, at: int, draw: random.Random) -> str:
    """This key is not hit; a word of one letter stays."""
    alone = not (text[at - 1 : at] + text[at + 1 : at + 2]).strip()
    return text if alone else text[:at] + text[at + 1 :]


def substitute(text: str, at: int, draw: random.Random) -> str:
    """A key beside this one is hit in its place."""
    return text[:at] + near(text[at], draw) + text[at + 1 :]


def transpose(text: str, at: int, draw: random.Random) -> str:
    """This letter and the next one of the word change places."""
    pair = text[at : at + 2]
    return text if pair[1:].isspace() else text[:at] + pair[::-1] + text[at + 2 :]


SLIPS: tuple[Callable[[str, int, random.Random], str], ...] = (
    insert,
    delete,
    substitute,
    transpose,
)


def misspelt(line: str, draw: random.Random) -> str:
    """A line with slips: one for every five words, at times one more, at times none.

    >>> misspelt("a garden", random.Random(2)), misspelt("-", random.Random(2))
    ('wa garden', '--')
    """
    if draw.random() < KEPT:
        return line
    slips = -(-len(line.split()) // WORDS) + (draw.random() < MORE)
    for _ in range(slips):
        letters = [at for at, x in enumerate(line) if not x.isspace()]
        line = draw.choice(SLIPS)(line, draw.choice(letters), draw)
    return line


def lines_of(path: str) -> dict[str, list[str]]:
    """The different lines of a file, by split; spaces are single ones.

    Raises:
        InputError: the file cannot be read, or a split has none.
    """
    parts: dict[str, dict[str, None]] = {split: {} for split in SPLITS}
    for line in read_lines(path):
        if text := " ".join(line.split()):
            parts[split_of(text)][text] = None
    if not all(parts.values()):
        raise InputError(
            f"{path} has {sum(map(len, parts.values()))} different lines, too few for "
            f"training, development and test"
        )
    return {split: list(texts) for split, texts in parts.items()}


class SpellingConfig(tfds.core.BuilderConfig):
    """A file, under a name that changes with what it holds."""

    def __init__(self, path: str) -> None:
        """Reads the file once."""
        digest = hashlib.sha256()
        for line in read_lines(path):
            digest.update(f"{line}\n".encode())
        stem = re.sub(r"\W", "_", Path(path).stem)
        super().__init__(name=f"{stem}-{digest.hexdigest()[:12]}", description=path)
        self.path = path


class Spelling(tfds.core.GeneratorBasedBuilder):
    """Words or texts of a file, each misspelt and as it is: `spelling/FILE`.

    No line is in two splits; slips depend on the line alone, not on where it stands.
    """

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, *, config: str | None = None, **options: Any) -> None:
        """`config` is the file.

        Raises:
            InputError: it is not given, or cannot be read.
        """
        if not config:
            raise InputError("no file of words or texts is given: spelling/FILE")
        super().__init__(config=SpellingConfig(config), **options)

    def _info(self) -> tfds.core.DatasetInfo:
        return text_pairs(self, "Lines with slips of the keyboard, and without.")

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        parts = lines_of(self.builder_config.path)
        return {
            split: self._generate_examples(texts, COPIES if split == "train" else 1)
            for split, texts in parts.items()
        }

    def _generate_examples(self, texts: list[str], copies: int) -> Any:
        for text in texts:
            draw = random.Random(f"spelling 1.0.0 {text}")
            for source in dict.fromkeys(misspelt(text, draw) for _ in range(copies)):
                yield f"{source}\t{text}", {"source": source, "target": text}
