"""Signals that ask a training to stop: a step is finished, the state saved."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)
NOTICE = b"\nstopping: finishing the step and saving; once more quits at once\n"


def asked(received: list[int]) -> bool:
    """Whether a signal has come; a callback may have swallowed what the second raised.

    Raises:
        KeyboardInterrupt: two have.
    """
    if len(received) > 1:
        raise KeyboardInterrupt
    return bool(received)


@contextlib.contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """A function that says whether SIGINT (Ctrl-C) or SIGTERM has come.

    The second signal raises `KeyboardInterrupt` wherever the program is. Outside the
    main thread, where Python hands out no signals, the function never says so.
    """
    received: list[int] = []

    def handle(number: int, frame: object) -> None:
        received.append(number)
        if len(received) > 1:
            raise KeyboardInterrupt
        with contextlib.suppress(OSError):
            os.write(2, NOTICE)  # print could meet itself half-way through a line

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield lambda: asked(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
