"""A connection that breaks when a process dies, however it died.

A step that waits for a dead process waits for ever, and heartbeats of JAX take their
time. So each process keeps a connection to process 0 open, over which nothing is said:
the kernel closes it when the process ends, and finds out by itself when a host is gone.
"""

import contextlib
import secrets
import selectors
import socket
import threading
from collections.abc import Callable
from typing import Any

from seq2seq_jax.training import hosts

KEY = f"{hosts.PREFIX}/lifeline"
CONNECTING = 30  # seconds
# Of a host without power, the kernel learns after 20 + 3 x 10 seconds.
KEEP_ALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


def hold(
    client: Any, index: int, host: str, lost: Callable[[int], None]
) -> threading.Thread | None:
    """Watch the other processes from a thread: process 0 all, the others process 0.

    Args:
        client: of the coordinator's key-value store.
        index: this process's number.
        host: where process 0 is.
        lost: called with the number of a process whose connection broke.

    Returns:
        The thread; None where no connection can be made.
    """
    try:
        if index == 0:
            server, word = listen(), secrets.token_hex(8)
            hosts.put(client, KEY, [server.getsockname()[1], word])
            work = threading.Thread(target=serve, args=(server, word, lost))
        else:
            port, word = hosts.get(client, KEY)
            line = socket.create_connection((host, port), CONNECTING)
            keep_alive(line)
            line.sendall(f"{word} {index}".encode())
            work = threading.Thread(target=listen_to, args=(line, lost))
    except OSError:
        return None
    work.daemon = True
    work.start()
    return work


def listen() -> socket.socket:
    """A socket at a free port of all addresses of this host."""
    if socket.has_dualstack_ipv6():
        family = socket.AF_INET6
        return socket.create_server(("", 0), family=family, dualstack_ipv6=True)
    return socket.create_server(("", 0))


def keep_alive(line: socket.socket) -> None:
    """Have the kernel ask now and then whether the other host is still there."""
    line.settimeout(None)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEP_ALIVE.items():
        if hasattr(socket, name):
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def listen_to(line: socket.socket, lost: Callable[[int], None]) -> None:
    """Wait until the connection to process 0 breaks."""
    with contextlib.suppress(OSError):
        while line.recv(64):
            pass
    lost(0)


def serve(server: socket.socket, word: str, lost: Callable[[int], None]) -> None:
    """Take the connections of the other processes, and wait until one breaks."""
    said: dict[Any, bytes] = {}  # by connection; who does not know the word is no one
    with selectors.DefaultSelector() as ready:
        ready.register(server, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fileobj is server:
                    line, _ = server.accept()
                    keep_alive(line)
                    said[line] = b""
                    ready.register(line, selectors.EVENT_READ)
                    continue
                line = key.fileobj  # type: ignore[assignment]
                heard = b""
                with contextlib.suppress(OSError):
                    heard = line.recv(64)
                said[line] = (said[line] + heard)[:64]
                if not heard:
                    ready.unregister(line)
                    line.close()
                    known, _, index = said.pop(line).decode("latin-1").partition(" ")
                    if known == word and index.isdecimal():
                        lost(int(index))
