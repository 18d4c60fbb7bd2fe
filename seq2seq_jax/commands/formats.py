"""How `translate` writes hypotheses: a line of text, of Moses' lists or of JSON."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from seq2seq_jax.commands import decoding

if TYPE_CHECKING:
    from seq2seq_jax.inference.results import Hypothesis

DIGITS = 6


class Shown(NamedTuple):
    """What of a hypothesis is written."""

    many: bool
    scores: bool
    alignments: bool


Hypotheses = Sequence["Hypothesis"]


def as_text(number: int, found: Hypotheses, shown: Shown) -> Iterator[str]:
    """The text, and what was asked for; of several with their number."""
    for hypothesis in found:
        parts = [decoding.one_line(hypothesis.text)]
        if shown.scores or shown.many:
            parts.append(f"{hypothesis.score:.6f}")
        if shown.alignments:
            parts.append(decoding.pharaoh(hypothesis))
        if shown.many:
            yield " ||| ".join([str(number), *parts])
        else:
            yield "\t".join(parts)


def as_moses(number: int, found: Hypotheses, shown: Shown) -> Iterator[str]:
    """A line of Moses' n-best lists, with log p and length for features."""
    from seq2seq_jax.inference import nbest

    for one in found:
        features = f"LogProb= {one.log_prob:.6f} Length= {len(one.tokens)}"
        more = (decoding.pharaoh(one),) if shown.alignments else ()
        text = decoding.one_line(one.text).replace("|||", "| | |")
        yield nbest.line_of(nbest.Entry(number, text, features, one.score, more))


def as_json(number: int, found: Hypotheses, shown: Shown) -> Iterator[str]:
    """One object for an input line, with all that is known of each hypothesis."""
    yield json.dumps(
        {
            "number": number,
            "source_pieces": found[0].source_pieces,
            "hypotheses": [described(one, shown.alignments) for one in found],
        },
        ensure_ascii=False,
    )


def described(one: "Hypothesis", alignments: bool) -> dict[str, Any]:
    """A hypothesis as JSON; weights are `[tokens, source tokens]`, ends included."""
    said: dict[str, Any] = {
        "text": one.text,
        "score": round(one.score, DIGITS),
        "log_prob": round(one.log_prob, DIGITS),
        "pieces": one.pieces,
    }
    if one.token_log_probs is not None:
        said["token_log_probs"] = rounded(one.token_log_probs)
    if alignments and one.alignment is not None:
        said["alignment"] = decoding.pharaoh(one)
        said["weights"] = [rounded(row) for row in one.alignment]
    return said


def rounded(numbers: Any) -> list[float]:
    """Numbers with so many digits that they can be read."""
    return [round(float(x), DIGITS) for x in numbers]


# By name: the lines for one input line, which has at least one hypothesis.
FORMATS: dict[str, Callable[[int, Hypotheses, Shown], Iterator[str]]] = {
    "text": as_text,
    "moses": as_moses,
    "json": as_json,
}
