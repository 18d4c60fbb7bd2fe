"""Spelling: what a corrector reaches on its test set, and what needs no learning.

    python benchmarks/spelling.py --workdir runs/spelling

prints a table: sources left as they are; each word that the training part lacks changed
to the nearest one that it has (Norvig's corrector: one change before two, then the more
frequent word); the same with the words of all parts, so that the answer is known; and
the model of the workdir. Lines that are not right, words to change of the words there
should be, and letters likewise.
"""

import argparse
import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from string import ascii_lowercase

from seq2seq_jax.commands.decoding import run_config
from seq2seq_jax.data.sources import open_pairs
from seq2seq_jax.evaluation.metrics import Options, measure
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.training.evaluate import spread

WORD = re.compile(r"[^\W\d_]+")


def changed(word: str) -> set[str]:
    """What is a deletion, swap, substitution or insertion of a letter away."""
    cuts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    found = {left + right[1:] for left, right in cuts if right}
    found |= {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
    for x in ascii_lowercase:
        found |= {left + x + right for left, right in cuts}
        found |= {left + x + right[1:] for left, right in cuts if right}
    return found


class Norvig:
    """A corrector of words by a list of them; https://norvig.com/spell-correct.html."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Counts the words of the training texts."""
        self.known = Counter(w for t in texts for w in WORD.findall(t.lower()))
        self.nearest = lru_cache(maxsize=None)(self.find)

    def find(self, word: str) -> str:
        """The word itself where it is known, or nothing near it is."""
        if word in self.known:
            return word
        near = changed(word)
        found = near & self.known.keys()
        if not found:
            found = {w for one in near for w in changed(one) if w in self.known}
        return max(sorted(found), key=self.known.__getitem__, default=word)

    def line(self, text: str) -> str:
        """A line word by word; a capital at its start stays one."""

        def one(match: re.Match[str]) -> str:
            word = match.group()
            said = self.nearest(word.lower())
            if said == word.lower():
                return word
            return said.capitalize() if word[0].isupper() else said

        return WORD.sub(one, text)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--beam", type=int, default=1)
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    data = run_config(options.workdir).data
    train, dev, test = (list(open_pairs(data, x) or ()) for x in SPLITS)
    sources, targets = zip(*spread(test, options.limit), strict=True)
    norvig = Norvig(dict.fromkeys(target for _, target in train))
    knows = Norvig(dict.fromkeys(target for _, target in [*train, *dev, *test]))
    predictor = Predictor.load(options.workdir)
    results = predictor.translate(sources, beam_size=options.beam)
    said = {
        "left as they are": list(sources),
        "nearest word of training": [norvig.line(text) for text in sources],
        "nearest word of all": [knows.line(text) for text in sources],
        "the recipe": [best.text for best, *_ in results],
    }
    wanted = [[target] for target in targets]
    print(f"{len(wanted):,} lines\n\n| lines | wrong, % | words, % | letters, % |")
    print("|---|---|---|---|")
    for name, texts in said.items():
        lines, words, letters = (
            measure([metric], texts, wanted, Options(units))[metric].value
            for metric, units in METRICS
        )
        print(f"| {name} | {lines:.2f} | {words:.2f} | {letters:.2f} |")


SPLITS = ("train", "dev", "test")
METRICS = (
    ("word_error_rate", str.split),
    ("token_error_rate", str.split),
    ("token_error_rate", list),
)


if __name__ == "__main__":
    main()
