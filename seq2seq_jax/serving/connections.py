"""What a connection has to do before its request is looked at."""

import asyncio
import ipaddress
from collections.abc import Collection
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD = 30.0  # seconds that a request's first lines may take to come, the wait included


class Punctual(H11Protocol):
    """HTTP/1.1 whose connections are closed where no request has come in time.

    uvicorn's own limit is for what follows an answer, and ends with the first byte:
    who sends nothing, or a header for ever, would keep a connection for ever.
    """

    waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self.wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        if self.waiting is not None:
            self.waiting.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self.wait()

    def wait(self) -> None:
        """Give the next request its time."""
        if self.waiting is not None:
            self.waiting.cancel()
        self.waiting = self.loop.call_later(HEAD, self.late)

    def late(self) -> None:
        """Close the connection, unless a request is under way."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def is_known(header: str, names: Collection[str]) -> bool:
    """Whether a Host header names this machine itself, or one of some names.

    A page in a browser may have a name that leads here (DNS rebinding); its requests
    then come from this machine, but with that name.

    >>> [is_known(host, {"box"}) for host in ("localhost:80", "[::1]:80", "box", "x.y")]
    [True, True, True, False]
    """
    name = header.strip().lower()
    name = name[1:].partition("]")[0] if name[:1] == "[" else name.partition(":")[0]
    if name == "localhost" or name in names:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
