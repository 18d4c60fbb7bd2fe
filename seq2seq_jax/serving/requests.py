"""What a request says: JSON in, checked values out, or a `Refused` that tells why.

Nothing of a request but plain values comes through here: texts, whole numbers and
switches. No name of a file, a model or a function is taken.
"""

import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seq2seq_jax.errors import InputError, nearest
from seq2seq_jax.serving.limits import Limits, Refused

KINDS = {dict: "an object", list: "a list", str: "a string", bool: "true or false"}


@dataclass(frozen=True)
class Asked:
    """What is wanted of each of a request's items.

    Attributes:
        kind: `translate`, `score` or `view`.
        beam_size, n_best, alignments: of `translate`, as the command line has them; of
            `view` the first two.
        tokens: of `score`: whether each token's log-probability is told.
    """

    kind: str
    beam_size: int = 1
    n_best: int = 1
    alignments: bool = False
    tokens: bool = False


def translation(
    body: bytes, limits: Limits, beam_size: int, looks: bool
) -> tuple[Asked, list[str]]:
    """What a `POST /translate` asks for.

    Args:
        body: as it came.
        limits: of the server.
        beam_size: where the request does not say.
        looks: whether the model has alignments.

    Raises:
        Refused: with 400 where it is no JSON, else with 422.
    """
    known = ("texts", "sources", "n_best", "beam_size", "alignments")
    said = fields(body, known)
    if ("texts" in said) == ("sources" in said):
        raise Refused(422, 'expected "texts", a list of strings (or "sources", once)')
    lines = texts(said, "texts" if "texts" in said else "sources", limits)
    most = max(limits.beam_size, beam_size)
    size = number(said, "beam_size", beam_size, most)
    best = number(said, "n_best", 1, size, " (beam_size)")
    alignments = switch(said, "alignments")
    if alignments and not looks:
        raise Refused(422, "alignments is true, but the model has no attention")
    return Asked("translate", size, best, alignments), lines


def scoring(
    body: bytes, limits: Limits, reads: bool
) -> tuple[Asked, list[tuple[str, str]]]:
    """What a `POST /score` asks for, and its pairs.

    Args:
        body: as it came.
        limits: of the server.
        reads: whether the model reads sources; a language model has targets alone.

    Raises:
        Refused: as in `translation`.
    """
    said = fields(body, ("sources", "targets", "tokens"))
    if not reads and "sources" in said:
        raise Refused(422, "the model is a language model and reads no sources")
    targets = texts(said, "targets", limits)
    sources = texts(said, "sources", limits) if reads else targets
    if len(sources) != len(targets):
        raise Refused(
            422,
            f"{len(sources)} sources and {len(targets)} targets, expected as many: "
            f"each target is scored given its source",
        )
    pairs = list(zip(sources, targets, strict=True))
    return Asked("score", tokens=switch(said, "tokens")), pairs


def viewing(body: bytes, limits: Limits, beam_size: int) -> tuple[Asked, str]:
    """What a `POST /view` asks for, and its text.

    Args:
        body, limits, beam_size: as in `translation`.

    Raises:
        Refused: as in `translation`.
    """
    said = fields(body, ("text", "beam_size", "n_best"))
    if "text" not in said:
        raise Refused(422, "text is missing, expected a string")
    check_text("text", said["text"], limits.characters)
    size = number(said, "beam_size", beam_size, max(limits.beam_size, beam_size))
    best = number(said, "n_best", size, size, " (beam_size)")
    return Asked("view", size, best), said["text"]


def check_tokens(
    lines: Iterable[str], name: str, length_of: Callable[[str], int], longest: int
) -> list[int]:
    """Tokens of each text, EOS included; what the model would cut is refused."""
    lengths = []
    for place, line in enumerate(lines):
        try:
            lengths.append(length_of(line) + 1)
        except InputError as error:
            raise Refused(422, f"{name}[{place}]: {error}") from None
    for place, length in enumerate(lengths):
        if length > longest:
            raise Refused(
                422,
                f"{name}[{place}] has {length - 1} tokens, expected at most "
                f"{longest - 1}: the model was trained on no longer ones",
            )
    return lengths


def fields(body: bytes, known: Sequence[str]) -> dict[str, Any]:
    """The object that a body is, with no other fields than the known ones."""
    try:
        value = json.loads(
            body.decode("utf-8"), parse_constant=no_number, object_pairs_hook=distinct
        )
    except UnicodeDecodeError as error:
        raise Refused(400, f"the body is not UTF-8, at byte {error.start}") from None
    except RecursionError:
        raise Refused(400, "the body is nested too deeply") from None
    except ValueError as error:
        raise Refused(400, f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Refused(422, f"the body is {kind_of(value)}, expected an object")
    for name in value:
        if name not in known:
            raise Refused(
                422,
                f"unknown field {short(name)}, expected {', '.join(known)}"
                f"{nearest(name[:50], known)}",
            )
    return value


def no_number(name: str) -> None:
    """Refuse what Python would read, and JSON does not have."""
    raise ValueError(f"{name} is no number in JSON")


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are all different."""
    if len(made := dict(pairs)) < len(pairs):
        raise ValueError("an object has two fields of one name")
    return made


def texts(said: Mapping[str, Any], name: str, limits: Limits) -> list[str]:
    """A list of 1 or more strings, each of which could be a line of a file."""
    value = said.get(name)
    if not isinstance(value, list):
        came = kind_of(value) if name in said else "missing"
        raise Refused(422, f"{name} is {came}, expected a list of strings")
    if not 1 <= len(value) <= limits.texts:
        raise Refused(
            422, f"{name} has {len(value)} texts, expected 1 to {limits.texts}"
        )
    for place, text in enumerate(value):
        check_text(f"{name}[{place}]", text, limits.characters)
    return value


def check_text(name: str, text: Any, longest: int) -> None:
    """Refuse what is no line of text."""
    if not isinstance(text, str):
        raise Refused(422, f"{name} is {kind_of(text)}, expected a string")
    if len(text) > longest:
        raise Refused(
            422, f"{name} has {len(text):,} characters, expected at most {longest:,}"
        )
    for place, character in enumerate(text):
        if character != "\t" and unicodedata.category(character) in ("Cc", "Cs"):
            raise Refused(
                422,
                f"{name} has U+{ord(character):04X} at character {place}, expected a "
                f"line of text: no line ends, control characters or half surrogates",
            )


def number(
    said: Mapping[str, Any], name: str, default: int, most: int, why: str = ""
) -> int:
    """A whole number from 1 to `most`."""
    value = said.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused(422, f"{name} is {kind_of(value)}, expected a whole number")
    if not 1 <= value <= most:
        raise Refused(422, f"{name} is {short(value)}, expected 1 to {most}{why}")
    return value


def switch(said: Mapping[str, Any], name: str) -> bool:
    """True or false; false where it is not there."""
    value = said.get(name, False)
    if not isinstance(value, bool):
        raise Refused(422, f"{name} is {kind_of(value)}, expected true or false")
    return value


def kind_of(value: Any) -> str:
    """A value of JSON in a word or two.

    >>> kind_of([1]), kind_of(None), kind_of(1.5)
    ('a list', 'null', '1.5')
    """
    return "null" if value is None else KINDS.get(type(value)) or short(value)


def short(value: Any) -> str:
    """Printable ASCII, cut to 40 characters."""
    said = ascii(value)
    return said if len(said) <= 40 else said[:37] + "..."
