"""A process that trains together with others: how it joins them, and how all end.

A step spans the devices of all processes: where one is missing, the others wait for it,
and nothing in Python can end such a wait. So whoever fails tells it first, and a thread
of each process looks for that and ends its process. Who is killed tells nothing: that
is seen by its connection (`lifeline`), or by JAX's heartbeats.
"""

import contextlib
import json
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn

import jax

from seq2seq_jax import program
from seq2seq_jax.errors import InputError, TrainingFailed
from seq2seq_jax.training import lifeline
from seq2seq_jax.training.hosts import PREFIX, there, wait

FAILED = f"{PREFIX}/failed"
POLL = 0.5  # seconds between two looks at whether another process has failed
GRACE = 3.0  # seconds to end by oneself after another has; all may have one cause
CAUSE = 3.0  # seconds that a process whose connection broke waits for the cause
JOIN = 300  # seconds that a process waits for the others to start
MARGIN = 60  # more that JAX is given, which would end the process by SIGABRT
END = 300  # seconds that a process that is done waits for the others to be
RESUME = "once all have ended, the same command in all goes on"
# What devices and coordinator say of a process that is no longer there.
LOST = re.compile(
    "gloo|nccl|connection|peer|socket|heartbeat|coordination|UNAVAILABLE|ABORTED",
    re.IGNORECASE,
)


@contextlib.contextmanager
def joined(address: str | None, count: int | None, index: int | None) -> Iterator[None]:
    """Be one of several processes; call it before JAX looks for devices.

    An error in one of them ends them all: this process too, without a return from here.

    Args:
        address: host and port of process 0; None: all three are found from the
            cluster.
        count: how many processes there are.
        index: this one's number.

    Raises:
        InputError: the others were not found.
    """
    start(address, count, index)
    # JAX has no public name for it; Orbax and others take it from here too.
    from jax._src import distributed

    state = distributed.global_state
    end = End(state.client, state.process_id, state.num_processes)
    host = (state.coordinator_address or "").rpartition(":")[0].strip("[]")
    lifeline.hold(state.client, state.process_id, host, end.without)
    try:
        yield
        end.together()
    except BaseException as error:
        end.by(error)


def start(address: str | None, count: int | None, index: int | None) -> None:
    """Find the other processes.

    Raises:
        InputError: there is no cluster, or a process is missing.
    """
    with contextlib.suppress(AttributeError):  # versions without it need no such word
        # It would take SIGTERM from our own handler.
        jax.config.update("jax_enable_preemption_service", False)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    gives_up = threading.Timer(JOIN, give_up, (address, count))
    gives_up.daemon = True
    gives_up.start()
    try:
        jax.distributed.initialize(
            address, count, index, initialization_timeout=JOIN + MARGIN
        )
    except ValueError as error:
        raise InputError(
            f"--distributed auto found no cluster that JAX knows (Slurm, Open MPI, "
            f"Kubernetes, TPU pods): {error} Give --distributed HOST:PORT, --processes "
            f"and --process-index"
        ) from None
    except RuntimeError as error:
        line = str(error).strip().splitlines()[0]
        raise InputError(
            f"the other processes were not found at {address or 'the coordinator'}: "
            f"{line}; start all of them, with the same --distributed and --processes"
        ) from None
    finally:
        gives_up.cancel()


def give_up(address: str | None, count: int | None) -> NoReturn:
    """End this process, whose main thread waits within JAX for others to start."""
    print(
        f"error: not all {count or ''} processes came to "
        f"{address or 'the coordinator'} within {JOIN} s: see what the others said, "
        f"then start all of them, with the same --distributed and --processes",
        file=sys.stderr,
        flush=True,
    )
    os._exit(2)


def loss(error: BaseException | None) -> str | None:
    """What devices said of another process that has gone, somewhere behind an error."""
    while error is not None:
        text = str(error).strip()
        if isinstance(error, jax.errors.JaxRuntimeError) and LOST.search(text):
            return text.splitlines()[0]
        error = error.__cause__
    return None


class End:
    """How this process ends, and the word of it to the others.

    Args:
        client: of the coordinator's key-value store.
        index, count: of the processes.
    """

    def __init__(self, client: Any, index: int, count: int):
        self._client, self._index, self._count = client, index, count
        self._over = threading.Event()
        self._leaving = threading.Lock()
        threading.Thread(target=self._watch, daemon=True).start()

    def together(self) -> None:
        """Wait until all are done.

        Raises:
            TrainingFailed: some are not, long after this one.
        """
        self._client.key_value_set(f"{PREFIX}/done/{self._index}", "yes")
        until = time.monotonic() + END
        for index in range(self._count):
            while not there(self._client, f"{PREFIX}/done/{index}"):
                if time.monotonic() > until:
                    raise TrainingFailed(
                        f"process {self._index} was done {END} s ago, process {index} "
                        f"is not yet"
                    )
                time.sleep(POLL / 10)
        self._over.set()

    def by(self, error: BaseException) -> NoReturn:
        """End all processes for an error in this one."""
        self._over.set()
        self._leaving.acquire()  # never released: one way to end is enough
        lost = loss(error)
        cause = self._told(CAUSE) if lost else None
        if cause is not None:
            self._leave(cause)
        code, line = program.outcome(error)
        if lost:
            code, line = 1, f"error: another process was lost ({lost}); {RESUME}"
        elif line is None:
            traceback.print_exception(error)
            line = f"error: {type(error).__name__}: {error}"
        self._tell_and_leave({"process": self._index, "code": code, "line": line})

    def without(self, index: int) -> None:
        """End all processes where another one is no longer there, unless it is done."""
        if self._over.is_set():
            return
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            if there(self._client, f"{PREFIX}/done/{index}"):
                return
        self._leaving.acquire()
        cause = None if index == 0 else self._told(CAUSE)
        line = f"it was killed, or its host is gone; {RESUME}"
        killed = {"process": index, "code": 1, "line": line}
        if cause is not None:
            self._leave(cause)
        self._tell_and_leave(killed)

    def _tell_and_leave(self, cause: dict[str, Any]) -> NoReturn:
        with contextlib.suppress(jax.errors.JaxRuntimeError):  # another was first
            self._client.key_value_set(FAILED, json.dumps(cause))
        self._leave(cause)

    def _watch(self) -> None:
        while not self._over.wait(POLL):
            cause = self._told()
            if cause is not None and not self._over.wait(GRACE):
                self._leaving.acquire()
                self._leave(cause)

    def _told(self, seconds: float = 0.0) -> dict[str, Any] | None:
        """What some process has told of its end; waits so long for one that does."""
        until = time.monotonic() + seconds
        with contextlib.suppress(jax.errors.JaxRuntimeError):  # no coordinator any more
            while True:
                if there(self._client, FAILED):
                    return json.loads(wait(self._client, FAILED))
                if time.monotonic() >= until:
                    break
                time.sleep(POLL / 10)
        return None

    def _leave(self, cause: dict[str, Any]) -> NoReturn:
        """Say the last words and end, at once: a step may still be waiting."""
        if cause["process"] != self._index:
            line = cause["line"].removeprefix("error: ")
            cause["line"] = f"error: process {cause['process']} has ended: {line}"
        if cause["line"]:
            print(" ".join(cause["line"].split()), file=sys.stderr)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            self._client.key_value_set(f"{PREFIX}/left/{self._index}", "yes")
            if self._index == 0:  # the coordinator goes last
                self._wait_for_the_others()
        os._exit(cause["code"])

    def _wait_for_the_others(self) -> None:
        until = time.monotonic() + 2 * GRACE
        for index in range(self._count):
            while not there(self._client, f"{PREFIX}/left/{index}"):
                if time.monotonic() > until:
                    return
                time.sleep(POLL / 10)
