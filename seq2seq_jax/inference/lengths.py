"""What bounds the outputs of a trained model: what is asked, and what training saw."""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq_jax.errors import InputError

MARGIN = 5  # tokens that an output may be longer than `length_ratio` says


class Bounds(NamedTuple):
    """Of an output's tokens, EOS included; fields as in `options.Search`."""

    least: int = 1
    most: int | None = None
    least_ratio: float = 0.0
    most_ratio: float | None = None

    @property
    def binds(self) -> bool:
        """Whether there is a smallest length."""
        return self.least > 1 or self.least_ratio > 0


FREE = Bounds()


def longest(
    source_length: int, bounds: Bounds, ratio: float | None, max_length: int
) -> int:
    """Tokens, EOS included, that the output of a source of that length may have.

    Args:
        source_length: its tokens, EOS included.
        bounds: asked for.
        ratio, max_length: `length_ratio` and `max_length` of the predictor.

    >>> longest(10, Bounds(), 1.5, 100), longest(10, Bounds(), None, 100)
    (20, 30)
    >>> longest(10, Bounds(most_ratio=0.5), 1.5, 100), longest(10, Bounds(30), 1.5, 25)
    (5, 25)
    """
    if bounds.most_ratio is not None:
        most = max(1, math.floor(bounds.most_ratio * source_length))
        return min(most, bounds.most or max_length)
    if bounds.most is not None:
        return bounds.most
    most = 2 * source_length + 10
    if ratio is not None:
        most = math.ceil(ratio * source_length) + MARGIN
    return min(max(most, shortest(source_length, bounds)), max_length)


def shortest(source_length: int, bounds: Bounds) -> int:
    """Tokens, EOS included, that it must have, as far as its largest length lets.

    >>> shortest(10, Bounds(least=3, least_ratio=0.45))
    5
    """
    return max(bounds.least, math.ceil(bounds.least_ratio * source_length))


def length_ratio(origin: dict[str, Any] | None, path: Path) -> float | None:
    """As the checkpoint in use tells; of an older version's, as `lengths.json` does.

    Args:
        origin: the checkpoint's; None: an older version wrote it.
        path: `lengths.json`.

    Raises:
        InputError: the file is asked, and holds something else.
    """
    known = (origin or {}).get("lengths", {}).get("length_ratio")
    return read_length_ratio(path) if known is None else known


def read_length_ratio(path: Path) -> float | None:
    """`length_ratio` of a workdir's `lengths.json`; None where there is none.

    Raises:
        InputError: the file holds something else.
    """
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["length_ratio"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path} holds no length_ratio ({error!r}): delete it to bound outputs by "
            f"twice the source's length"
        ) from None
