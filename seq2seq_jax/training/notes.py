"""The JSON beside a checkpoint's arrays: sealed when written, checked when read."""

import hashlib
import json
from typing import Any

from seq2seq_jax.training.damage import DamagedError

STEP, BOOKKEEPING, METRICS = "step", "bookkeeping", "metrics"
FINGERPRINTS, DIGEST = "fingerprints", "digest"
ORIGIN = "origin"  # config and tokenisers; older versions wrote none
AVERAGED = "averaged"  # in the bookkeeping of a mean: the steps that it is of

Notes = dict[str, Any]


def seal(notes: Notes) -> Notes:
    """The notes as JSON will give them back, with their digest.

    >>> check(seal({"step": 3, "bookkeeping": {"steps": (1, 2)}}), 3)["bookkeeping"]
    {'steps': [1, 2]}
    """
    plain = json.loads(json.dumps(notes))
    return plain | {DIGEST: digest(plain)}


def digest(notes: Notes) -> str:
    """The SHA-256 of the notes' one JSON text, but for the digest in them."""
    rest = {name: value for name, value in notes.items() if name != DIGEST}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def check(notes: Any, step: int) -> Notes:
    """Notes that were read in the folder of a step.

    Raises:
        DamagedError: they are not what was written, or were written for another step.
    """
    if not isinstance(notes, dict) or DIGEST not in notes:
        raise DamagedError(
            "_CHECKPOINT_METADATA is missing, cut short, or of a version without "
            "checksums"
        )
    if digest(notes) != notes[DIGEST]:
        raise DamagedError("_CHECKPOINT_METADATA is not what was written")
    if notes[STEP] != step:
        raise DamagedError(f"it is checkpoint {notes[STEP]} under another name")
    return notes
