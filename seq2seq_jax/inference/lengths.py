"""What bounds the outputs of a trained model: the lengths seen in its training."""

import json
from pathlib import Path
from typing import Any

from seq2seq_jax.errors import InputError


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
