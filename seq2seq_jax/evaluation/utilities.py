"""Utilities: how well an output serves where another text would have been right.

Each is `(hypothesis, references) -> [percent]`, one number for each reference; sentence
by sentence, for minimum Bayes risk.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any


def exact(hypothesis: str, references: Sequence[str]) -> list[float]:
    """100 where they are equal.

    >>> exact("a", ["a", "b"])
    [100.0, 0.0]
    """
    return [100.0 * (hypothesis == reference) for reference in references]


def chrf(hypothesis: str, references: Sequence[str]) -> list[float]:
    """Sentence chrF2 by sacrebleu."""
    return _scores(_chrf(), hypothesis, references)


def bleu(hypothesis: str, references: Sequence[str]) -> list[float]:
    """Sentence BLEU by sacrebleu, smoothed as by default, of effective order."""
    return _scores(_bleu(), hypothesis, references)


def _scores(scorer: Any, hypothesis: str, references: Sequence[str]) -> list[float]:
    # Of two empty texts sacrebleu says 0, but nothing could be better.
    return [
        100.0
        if hypothesis == one
        else float(scorer.sentence_score(hypothesis, [one]).score)
        for one in references
    ]


@cache
def _chrf() -> Any:
    import sacrebleu  # a quarter of a second that most commands need not wait for

    return sacrebleu.CHRF()


@cache
def _bleu() -> Any:
    import sacrebleu

    return sacrebleu.BLEU(effective_order=True)


UTILITIES: dict[str, Callable[[str, Sequence[str]], list[float]]] = {
    "exact": exact,
    "chrf": chrf,
    "bleu": bleu,
}
