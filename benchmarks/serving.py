"""What `seq2seq-jax serve` answers a second, beside requests served one by one.

    python benchmarks/serving.py --workdir runs/cmudict --lines words.txt

First one client asks a server whose batches are of 1, and which waits for nobody, one
line at a time. Then many clients ask one that gathers batches, each of them one line at
a time too. Every answer is held against what `seq2seq-jax translate` prints for its
line. The clients run on the same machine and take their share of it.
"""

import asyncio
import http.client
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import tyro

PROGRAM = [sys.executable, "-m", "seq2seq_jax.cli"]
HEAD = (
    "POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "Content-Length: {}\r\n\r\n"
)


@dataclass(frozen=True)
class Options:
    """What to ask, and for how long."""

    workdir: Path
    """folder of a training run"""
    lines: Path
    """file of lines to translate"""
    most: int = 2000
    """lines of it"""
    clients: int = 64
    """at once"""
    seconds: float = 60.0
    """for the many clients"""
    alone: float = 20.0
    """seconds for the one client"""
    beam_size: int = 5
    """of all requests"""
    dtype: str = "float32"
    """of products"""
    shortlist: bool = False
    """search by the workdir's shortlist"""

    @property
    def flags(self) -> list[str]:
        """Of all commands."""
        flags = ["--workdir", self.workdir, "--beam-size", self.beam_size]
        flags += ["--dtype", self.dtype, *["--shortlist"] * self.shortlist]
        return list(map(str, flags))


@dataclass
class Tally:
    """What a client has met."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0
    wrong: int = 0


def main() -> None:
    """Ask both servers and print what they did."""
    options = tyro.cli(Options, description=__doc__)
    lines = options.lines.read_text("utf-8").splitlines()[: options.most]
    answers = printed(options, lines)
    with server(options, "--batch", "1", "--wait", "0") as port:
        one = load(port, lines, answers, 1, options.alone)
    tell("one by one", one, options.alone)
    with server(options) as port:
        many = load(port, lines, answers, options.clients, options.seconds)
        batches = sizes(port)
    tell(f"{options.clients} clients", many, options.seconds)
    print(f"texts in a batch    {batches:.1f}")
    ratio = rate(many, options.seconds) / rate(one, options.alone)
    print(f"times as many       {ratio:.1f}")


def printed(options: Options, lines: Sequence[str]) -> list[str]:
    """What the command line says for each line."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))
        file.flush()
        command = [*PROGRAM, "translate", *options.flags, "-i", file.name]
        done = subprocess.run(command, capture_output=True, check=True)
    return done.stdout.decode().split("\n")[:-1]


@contextmanager
def server(options: Options, *more: str) -> Iterator[int]:
    """A server's port; at the end it must stop in order."""
    command = [*PROGRAM, "serve", *options.flags, "--port", "0", *more]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.match(r"serving .*:(\d+), ended", line):
                break
        else:
            sys.exit("the server did not start")
        # Its log must be read, or it waits for that.
        rest = threading.Thread(target=process.stderr.read, daemon=True)
        rest.start()
        yield int(found[1])
        process.terminate()
        assert process.wait(60) == 0, "the server did not stop in order"
    finally:
        process.kill()


def load(
    port: int,
    lines: Sequence[str],
    answers: Sequence[str],
    clients: int,
    seconds: float,
) -> list[Tally]:
    """What each of the clients meets in that time."""

    async def all_of_them() -> list[Tally]:
        end = time.monotonic() + seconds
        begins = (number * len(lines) // clients for number in range(clients))
        each = (client(port, lines, answers, begin, end) for begin in begins)
        return list(await asyncio.gather(*each))

    return asyncio.run(all_of_them())


async def client(
    port: int, lines: Sequence[str], answers: Sequence[str], place: int, end: float
) -> Tally:
    """Ask one line after another over one connection, until the end."""
    tally = Tally()
    streams = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < end:
        place = (place + 1) % len(lines)
        begun = time.monotonic()
        try:
            said = await translated(*streams, lines[place])
        except (OSError, EOFError, ValueError, LookupError):
            said = None
            streams[1].close()
            streams = await asyncio.open_connection("127.0.0.1", port)
        tally.seconds.append(time.monotonic() - begun)
        tally.errors += said is None
        tally.wrong += said is not None and said != answers[place]
    streams[1].close()
    return tally


async def translated(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: str
) -> str | None:
    """The answer for a line; None: another one than 200."""
    body = json.dumps({"texts": [line]}).encode()
    writer.write(HEAD.format(len(body)).encode() + body)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    size = int(head.partition("content-length:")[2].split()[0])
    said = json.loads(await reader.readexactly(size))
    if not head.startswith("http/1.1 200 "):
        return None
    return said["translations"][0][0]["text"]


def sizes(port: int) -> float:
    """The mean number of texts in a batch so far."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    total, count = (
        float(found[1])
        if (found := re.search(rf"_batch_texts_{name} (\S+)", text))
        else 0
        for name in ("sum", "count")
    )
    return total / max(count, 1)


def rate(tallies: Sequence[Tally], seconds: float) -> float:
    """Right answers a second."""
    return sum(len(t.seconds) - t.errors - t.wrong for t in tallies) / seconds


def tell(name: str, tallies: Sequence[Tally], seconds: float) -> None:
    """A line for the clients together."""
    every = sorted(took for tally in tallies for took in tally.seconds)
    late = every[int(0.99 * len(every))]
    print(
        f"{name:<20}{rate(tallies, seconds):.1f} answers/s, median "
        f"{1000 * statistics.median(every):.0f} ms, 99 % in {1000 * late:.0f} ms; "
        f"{sum(t.errors for t in tallies)} errors, "
        f"{sum(t.wrong for t in tallies)} other answers of {len(every):,}",
        flush=True,
    )


if __name__ == "__main__":
    main()
