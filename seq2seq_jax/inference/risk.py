"""Minimum Bayes risk: the output that serves best on average, whatever is right.

    y* = argmax_y sum_h w_h u(y, h) / sum_h w_h

over the candidates y, which stand for what may be right, h, as well (Kumar & Byrne
2004; over samples: Eikema & Aziz 2020). Samples have weight 1 each, so a text that was
drawn twice counts twice; what a search found has its probability.
"""

import dataclasses
import math
from collections.abc import Sequence

from seq2seq_jax.evaluation.utilities import UTILITIES
from seq2seq_jax.inference.results import Hypothesis


def best(
    found: Sequence[Hypothesis], utility: str, n_best: int, sampled: bool
) -> list[Hypothesis]:
    """The `n_best` texts of largest expected utility, best first.

    Their score is the expected utility, in percent; of equal ones the candidate that
    stood first comes first.

    Args:
        found: the candidates; of equal texts the first one is returned.
        utility: an entry of `UTILITIES`.
        n_best: fewer where there are not so many texts.
        sampled: whether they are samples.
    """
    if not found:
        return []
    most = max(one.log_prob for one in found)
    weights: dict[str, float] = {}
    firsts: dict[str, Hypothesis] = {}
    for one in found:
        weight = 1.0 if sampled else math.exp(one.log_prob - most)
        weights[one.text] = weights.get(one.text, 0.0) + weight
        firsts.setdefault(one.text, one)
    total, texts = sum(weights.values()), list(weights)

    def expected(text: str) -> float:
        each = UTILITIES[utility](text, texts)
        shares = zip(each, weights.values(), strict=True)
        return sum(value * weight for value, weight in shares) / total

    ranked = [
        dataclasses.replace(one, score=expected(text)) for text, one in firsts.items()
    ]
    return sorted(ranked, key=lambda one: -one.score)[:n_best]
