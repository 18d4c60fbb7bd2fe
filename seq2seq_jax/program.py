"""How a program of ours ends: its exit code, and its last words on stderr."""

import errno
import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

from seq2seq_jax.allocation import keep_freed_memory
from seq2seq_jax.errors import InputError, TrainingFailed

# Refusals of the system that are the user's to mend, not defects.
USERS_OWN = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


def run(main: Callable[[list[str]], int | None]) -> NoReturn:
    """Call `main` with the process's arguments and end the process by its outcome.

    What `main` returns is the exit code. Code 2 and one line on stderr for an
    `InputError`, and for a disk that is full or may not be written; 1 for
    `TrainingFailed`; 130 for an interrupt; silence where the reader of our output has
    gone away. Any other exception is a defect and keeps its traceback.
    """
    warnings.showwarning = _show_warning
    keep_freed_memory()
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        # An exception, so that what is half-written is cleared away.
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Else the interpreter complains when it flushes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _leave(141)
    except (Exception, KeyboardInterrupt) as error:
        code, line = outcome(error)
        if line is None:
            raise
        _leave(code, line)
    sys.exit(code)


def outcome(error: BaseException) -> tuple[int, str | None]:
    """The exit code for an error, and the line that tells it; None: it is a defect.

    >>> outcome(InputError("no such\\n file"))
    (2, 'error: no such file')
    """
    if isinstance(error, InputError | TrainingFailed):
        line = f"error: {' '.join(str(error).split())}"
        return 2 if isinstance(error, InputError) else 1, line
    if isinstance(error, KeyboardInterrupt):
        return 130, "interrupted"
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else 1
        return code, f"ended with exit code {code}"
    if isinstance(error, OSError) and error.errno in USERS_OWN:
        where = f": {error.filename}" if error.filename else ""
        return 2, f"error: {error.strerror}{where}"
    return 1, None


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """One line, without the line of code that Python adds."""
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)


def _leave(code: int, message: str = "") -> NoReturn:
    if message:
        print(message, file=sys.stderr)
    sys.exit(code)
