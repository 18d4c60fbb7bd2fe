"""What the server takes at most, and how it says no."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a request, and all of them together, may ask for.

    Attributes:
        body: bytes of a request's body.
        texts: of a request.
        characters: of a text.
        beam_size: the largest that a request may ask for.
        queue: texts that wait, of all requests together.
        seconds: from a request's arrival to its answer.
        upload: seconds for its body to arrive.
    """

    body: int = 1 << 20
    texts: int = 128
    characters: int = 5000
    beam_size: int = 5
    queue: int = 1024
    seconds: float = 60.0
    upload: float = 30.0


class Refused(Exception):
    """A request that is not answered, with its status and a message of one line."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] = {}):
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers)
