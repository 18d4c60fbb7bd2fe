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
    except (InputError, TrainingFailed) as error:
        line = f"error: {' '.join(str(error).split())}"
        _leave(2 if isinstance(error, InputError) else 1, line)
    except KeyboardInterrupt:
        _leave(130, "interrupted")
    except BrokenPipeError:
        # Else the interpreter complains when it flushes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _leave(141)
    except OSError as error:
        if error.errno not in USERS_OWN:
            raise
        where = f": {error.filename}" if error.filename else ""
        _leave(2, f"error: {error.strerror}{where}")
    sys.exit(code)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """One line, without the line of code that Python adds."""
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)


def _leave(code: int, message: str = "") -> NoReturn:
    if message:
        print(message, file=sys.stderr)
    sys.exit(code)
