"""What a predictor gives: plain records, without padding."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from seq2seq_jax.data.tokenizers import Tokenizer
from seq2seq_jax.types import EOS, Hypotheses


@dataclass(frozen=True)
class Hypothesis:
    """One output for one text.

    Attributes:
        text: the output.
        tokens: its ids, EOS included; empty where the source was empty.
        pieces: a printable string for each id.
        score: `log_prob` over the length penalty, and what else was asked to rank
            hypotheses by.
        log_prob: sum of the tokens' log-probabilities, in nats, EOS included.
        alignment: `[T, S]` where each token looked, EOS included on both sides; None
            where it was not asked for, or the model has no attention.
        source_pieces: a printable string for each source id, EOS included.
        token_log_probs: `[T]` what `log_prob` is the sum of; None where it was not
            asked for.
    """

    text: str
    tokens: list[int]
    pieces: list[str]
    score: float
    log_prob: float
    alignment: np.ndarray | None
    source_pieces: list[str]
    token_log_probs: np.ndarray | None = None


@dataclass(frozen=True)
class Score:
    """How probable the model finds a given target.

    Attributes:
        log_prob: the sum of `token_log_probs`.
        token_log_probs: `[T]` in nats, of each target token and of EOS.
        pieces: a printable string for each target id, EOS included.
        alignment: as in `Hypothesis`.
        source_pieces: as in `Hypothesis`.
    """

    log_prob: float
    token_log_probs: np.ndarray
    pieces: list[str]
    alignment: np.ndarray | None
    source_pieces: list[str]


def places(grid: tuple[int, ...]) -> list[str]:
    """A name for each place of a grid, row by row.

    >>> places((3,)), places((1, 2))
    (['1', '2', '3'], ['1,1', '1,2'])
    """
    every = np.ndindex(grid)
    return [",".join(str(number + 1) for number in place) for place in every]


def nothing(alignments: bool, each: bool = False) -> Hypothesis:
    """The output for a text without tokens: certain, and empty."""
    alignment = np.zeros((0, 0), np.float32) if alignments else None
    tokens = np.zeros(0, np.float32) if each else None
    return Hypothesis("", [], [], 0.0, 0.0, alignment, [], tokens)


def hypotheses(
    found: Hypotheses, row: int, source_pieces: list[str], tokenizer: Tokenizer
) -> Iterator[Hypothesis]:
    """What a search found for one row, best first; `found` holds NumPy arrays."""
    for n, length in enumerate(found.lengths[row].tolist()):
        if length == 0:
            return
        tokens = [*found.tokens[row, n, : length - 1].tolist(), EOS]
        looks = found.alignments
        weights = None if looks is None else np.asarray(looks[row, n])
        each = found.token_log_probs
        yield Hypothesis(
            text=tokenizer.decode(tokens),
            tokens=tokens,
            pieces=tokenizer.pieces(tokens),
            score=float(found.scores[row, n]),
            log_prob=float(found.log_probs[row, n]),
            alignment=cut(weights, length, len(source_pieces)),
            source_pieces=source_pieces,
            token_log_probs=None if each is None else np.array(each[row, n, :length]),
        )


def score(
    log_probs: np.ndarray,
    weights: np.ndarray | None,
    pieces: list[str],
    source_pieces: list[str],
) -> Score:
    """The record of one row `[T]` and its weights `[T, S]`."""
    own = log_probs[: len(pieces)].copy()
    alignment = cut(weights, len(pieces), len(source_pieces))
    return Score(float(own.sum()), own, pieces, alignment, source_pieces)


def cut(weights: np.ndarray | None, *lengths: int) -> np.ndarray | None:
    """The part without padding, as a copy: a view would keep the whole batch alive."""
    return None if weights is None else weights[: lengths[0], : lengths[1]].copy()
