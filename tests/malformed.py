"""Requests that nobody should answer, for `POST /translate`: bodies and headers."""

import json
import random

JSON = {"Content-Type": "application/json"}
VALUES = [
    None,
    0,
    -1,
    1.5,
    10**400,
    "",
    "x",
    [],
    {},
    [[]],
    [1],
    [None],
    [{}],
    True,
    [""],
]


def bad_values():
    """JSON of the wrong shape: wrong types, numbers out of range, unknown names."""
    good = {"texts": ["abc"]}
    yield from ({"texts": value} for value in VALUES if value != [""])
    for name in ("n_best", "beam_size"):
        yield from (good | {name: value} for value in VALUES)
    yield from (good | {"alignments": v} for v in VALUES if v is not True)
    yield from (
        good | {name: 1} for name in ("file", "__class__", "\n", "💥", "x" * 999)
    )
    yield from (value for value in VALUES)
    yield {"texts": ["a"], "sources": ["a"]}
    yield {"texts": ["a"] * 129}
    yield {"texts": ["a" * 5001]}
    yield {"texts": ["ab" * 40]}  # too many tokens
    for code in [*range(9), *range(10, 32), *range(0x7F, 0xA0), 0xD800, 0xDFFF]:
        yield {"texts": [f"a{chr(code)}b"]}


def bad_bodies(draw):
    """Bytes that are no JSON, or none that is taken."""
    yield from (
        b"",
        b" ",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"{",
        b"nul",
        b"NaN",
        b"\x00",
    )
    yield from (b'{"texts": [NaN]}', b'{"texts": ["a"], "texts": ["b"]}', b"'a'")
    yield from (b'{"texts": ["a\nb"]}', b'{"texts": ["\x01"]}', b'{"texts": ["\\x"]}')
    yield from (c * 100_000 for c in (b"[", b'{"a":', b'["', b"1", b"-", b"]"))
    yield b'{"texts": ' + b"[" * 5000 + b"]" * 5000 + b"}"
    yield b'{"texts": ["' + b"a" * (1 << 20) + b'"]}'  # huge
    yield b" " * (3 << 20)
    good = json.dumps({"texts": ["abc", "de"], "n_best": 2}).encode()
    for _ in range(150):  # cut, or with a byte that JSON has no place for
        place = draw.randrange(1, len(good) - 1)
        yield good[:place]
        yield (
            good[:place] + bytes([draw.choice((0, 1, 0x80, 0xC0, 0xFF))]) + good[place:]
        )
    for _ in range(60):
        yield draw.randbytes(draw.randint(1, 300))


def requests(seed=0):
    """`(body, headers)` of at least 500 requests."""
    for value in bad_values():
        yield json.dumps(value).encode(), JSON
    for body in bad_bodies(random.Random(seed)):
        yield body, JSON
    for kind in ("text/plain", "application/x-www-form-urlencoded", "x", "", "json"):
        yield b'{"texts": ["abc"]}', {"Content-Type": kind}
