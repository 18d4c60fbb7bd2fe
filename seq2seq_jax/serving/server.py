"""A process that listens: its socket, its signals, and how it ends.

The main thread waits for signals; one thread has the event loop, one the device. The
first SIGINT or SIGTERM ends the server in order: no request is taken any more, what was
accepted is answered, and the exit code is 0. A second one ends it at once.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable

import uvicorn

from seq2seq_jax.errors import InputError
from seq2seq_jax.serving.app import App
from seq2seq_jax.serving.connections import Punctual

SIGNALS = (signal.SIGINT, signal.SIGTERM)
KEEP_ALIVE = 30  # seconds that a connection may say nothing between requests
BACKLOG = 2048  # connections that wait to be taken


def bound(host: str, port: int) -> socket.socket:
    """A socket that has the address and does not listen yet.

    Raises:
        InputError: the address is taken, not ours or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise InputError(f"--host {host} is no address here: {error}") from None
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise InputError(
            f"cannot listen on {host} port {port}: {error.strerror}; give another "
            f"--port, or 0 for any that is free"
        ) from None
    return sock


def url(sock: socket.socket) -> str:
    """The address of a bound socket, as clients write it."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def configured(app: App) -> uvicorn.Config:
    """How uvicorn serves an application; it listens elsewhere."""
    return uvicorn.Config(
        app,
        http=Punctual,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        backlog=BACKLOG,
    )


def run(app: App, sock: socket.socket, tell: Callable[[str], None], name: str) -> None:
    """Serve until a signal comes, then end in order; call it in the main thread.

    It tells that it serves what has that name once connections are taken.
    """
    server = uvicorn.Server(configured(app))
    came = threading.Event()

    def stop(number: int, _: object) -> None:
        if came.is_set():
            os._exit(128 + number)
        came.set()

    kept = {number: signal.signal(number, stop) for number in SIGNALS}
    listening = threading.Thread(
        target=server.run, kwargs={"sockets": [sock]}, name="http", daemon=True
    )
    sock.listen(BACKLOG)
    tell(f"serving {name} on {url(sock)}, ended by Ctrl-C")
    try:
        listening.start()
        while not came.wait(1.0) and listening.is_alive():
            pass
        tell(
            f"stopping: {app.accepted} requests to finish; a second signal ends it now"
        )
        app.drain()
        server.should_exit = True
        listening.join()
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
