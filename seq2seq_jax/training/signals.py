"""Signals that ask a training to stop: SIGINT (Ctrl-C) and SIGTERM (a preemption).

The first one is noted. The training asks wherever it can stop with nothing lost: after
a step, between the batches of an evaluation, between the parts of its beginning and its
end. The second one quits at once.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
NOTICE = b"\nstopping as soon as all is saved; once more quits at once\n"
QUIT = b"\nquit at once: every checkpoint that was saved is whole\n"
QUIT_CODE = 130
SHOW_CURSOR = b"\x1b[?25h"  # a progress bar hides it


class Interrupted(BaseException):
    """A signal has come; nothing that catches errors may swallow it."""


class Stop:
    """Whether a signal has come.

    Attributes:
        agree: what is made of this process's answer; where several processes train one
            model, it gives all of them the same one. It is called at the same points
            of the program in all, but for `at_once`.
    """

    def __init__(self) -> None:
        self.received: list[int] = []
        self.agree: Callable[[bool], bool] = bool
        self._raises = False
        self._watched = False

    def __call__(self) -> bool:
        """Whether to stop.

        Raises:
            KeyboardInterrupt: two signals have come, and what that raised where the
                program was has been swallowed by a callback.
        """
        self._quit_at_second()
        return self.agree(bool(self.received))

    def check(self) -> None:
        """Raise `Interrupted` where a signal has come."""
        if self():
            raise Interrupted

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """A block in which a signal raises `Interrupted` wherever the program is.

        For long work that could be killed anywhere without loss, and cannot ask.
        """
        self.check()
        self._raises = True
        try:
            yield
        finally:
            self._raises = False
        self.check()  # a callback may have swallowed it

    def listen(self, *, watched: bool = False) -> None:
        """Take the signals; again where something else has taken them since.

        Args:
            watched: a thread of `watch` answers at once, this process's handler only
                takes note.
        """
        self._watched = self._watched or watched
        for number in SIGNALS:
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: object) -> None:
        self.received.append(number)
        self._quit_at_second()
        if len(self.received) == 1 and not self._watched:
            say(NOTICE)
        if len(self.received) == 1 and self._raises:
            raise Interrupted

    def _quit_at_second(self) -> None:
        if len(self.received) > 1 and not self._watched:
            raise KeyboardInterrupt


_current: Stop | None = None


@contextlib.contextmanager
def stopping(*, process: bool = False) -> Iterator[Stop]:
    """Take SIGINT and SIGTERM; inside another such block, the `Stop` of that one.

    Outside the main thread, where Python hands out no signals, none ever comes.

    Args:
        process: whether the process ends with the block. The second signal then ends
            it from a thread; else that raises `KeyboardInterrupt` in the main thread,
            whose program (a notebook, say) goes on. After the block further signals
            change nothing: the exit code is known.
    """
    global _current
    if threading.current_thread() is not threading.main_thread():
        yield Stop()
        return
    if _current is not None:
        yield _current
        return
    stop = Stop()
    before: dict[int, Any] = {
        number: signal.getsignal(number) or signal.SIG_DFL for number in SIGNALS
    }
    if process:
        watch()
        # To the very end: Python puts its default handlers back before it exits.
        before = dict.fromkeys(SIGNALS, signal.SIG_IGN)
    stop.listen(watched=process)
    _current = stop
    try:
        yield stop
    finally:
        _current = None
        if process:
            signal.set_wakeup_fd(-1)  # a program that lives on is not ended by `watch`
        for number, handler in before.items():
            signal.signal(number, handler)


def watch() -> None:
    """Answer signals in a thread, to which Python's own handler writes each one.

    The main thread may be in XLA's compiler for minutes; its handlers wait as long, and
    two signals of a kind would count as one.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader,), daemon=True).start()


def _watch(reader: int) -> None:
    count = 0
    while number := os.read(reader, 1):
        if number[0] not in SIGNALS:
            continue
        count += 1
        if count == 1:
            say(NOTICE)
            continue
        say(SHOW_CURSOR + QUIT if os.isatty(2) else QUIT)
        # Not `sys.exit`: nothing can be raised in a thread that is in the compiler, and
        # a normal exit waits for other threads, one of which may be writing a large
        # checkpoint. Nothing is lost: what was told is flushed line by line, and a
        # half-written checkpoint does not count.
        os._exit(QUIT_CODE)


def say(line: bytes) -> None:
    """Write to stderr; `print` could meet itself half-way through a line."""
    with contextlib.suppress(OSError):
        os.write(2, line)
