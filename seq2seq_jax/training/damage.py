"""What can be wrong with a checkpoint: damage, or the arrays of another model."""

import contextlib
import gc
import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from seq2seq_jax.training import fingerprints

Tree = Any

# A failed load abandons coroutines; asyncio logs the traceback of each when it is
# collected, which may be long after the failure was told.
logging.getLogger("asyncio").addFilter(
    lambda record: "orbax" not in record.getMessage()
)


class DamagedError(Exception):
    """A checkpoint that cannot be read; the message says why.

    Attributes:
        verdict: what a sentence about the checkpoint says of it.
    """

    verdict = "is damaged"


class ForeignError(DamagedError):
    """A checkpoint that is not of the run in whose workdir it is."""

    verdict = "is of another run"


def difference(saved: dict[str, str], like: Tree) -> str:
    """Where names, types or shapes are not those of fingerprints, in words, or ""."""
    if like is None:
        return ""
    there = {name: mark.rsplit(" ", 1)[0] for name, mark in saved.items()}
    here = fingerprints.kinds(like)
    lines = [
        f"{name} is {there.get(name, 'missing')} there, "
        f"{here.get(name, 'missing')} here"
        for name in sorted(there.keys() | here.keys())
        if there.get(name) != here.get(name)
    ]
    more = f", and {len(lines) - 3} more" if len(lines) > 3 else ""
    return "; ".join(lines[:3]) + more


def reason(error: BaseException) -> str:
    """The first cause in one line; Orbax wraps it in misleading ones.

    >>> reason(ValueError('OUT_OF_RANGE: Failed writing: "/a/b": Failed to write 9 '
    ...     "bytes to file 6: File too large [os_error_code='27']"))
    'File too large (/a/b)'
    """
    while error.__cause__ is not None:
        error = error.__cause__
    line = (str(error).strip().splitlines() or [""])[0]
    if re.match("[A-Z_]+: ", line):  # TensorStore: a code, then layer upon layer
        line = re.sub(r" \[\w+=.*", "", line)
        paths, line = re.findall('"(/[^"]+)"', line), line.rsplit(": ", 1)[-1]
        return f"{line} ({paths[-1]})" if paths else line
    kind = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
    return f"{kind}{line[:200]}"


def past_closed_loops(hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A hook for errors that nothing catches, without those of closed event loops.

    Threads of a failed load or save still call its loop, at any time after it was
    closed. A hook that is one already stays as it is.
    """
    if getattr(hook, "past_closed_loops", False):
        return hook

    def quieter(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            hook(unraisable)

    quieter.past_closed_loops = True  # type: ignore[attr-defined]
    return quieter


@contextlib.contextmanager
def quiet_failures() -> Iterator[None]:
    """Silence what Orbax's abandoned coroutines print when a load fails."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    logger = logging.getLogger("asyncio")
    disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                yield
            except DamagedError:
                gc.collect()
                hook = past_closed_loops(hook)
                raise
    finally:
        sys.unraisablehook, logger.disabled = hook, disabled
