"""The server's routes, and what surrounds each request: its id, its log line, its end.

    POST /translate   texts to translations
    POST /score       pairs to log-probabilities
    GET  /health      whether requests are taken
    GET  /metrics     counters, for Prometheus

and, where there is a page, `GET /` for it and `POST /view` for what it shows.

Answers are JSON, refusals too: `{"error": ..., "request_id": ...}`.
"""

import asyncio
import dataclasses
import re
import threading
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from seq2seq_jax.errors import InputError
from seq2seq_jax.serving import requests
from seq2seq_jax.serving.batcher import Batcher, Full
from seq2seq_jax.serving.connections import is_known
from seq2seq_jax.serving.limits import Limits, Refused
from seq2seq_jax.serving.metrics import CONTENT_TYPE, Metrics
from seq2seq_jax.serving.requests import Asked

ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
POLITE = 16  # times the largest body are read to the end, so that the refusal arrives
GONE = 499  # the client went away before it was answered; for the log alone
PAGE = {  # of the page's answer: in no other page, and read anew each time
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Model(NamedTuple):
    """What is served.

    Attributes:
        work: `(asked, values) -> answers`: of `translate` a list of objects for each
            text, of `score` an object for each pair, of `view` one for each text.
        source_length, target_length: tokens of a text, without EOS.
        longest: tokens, EOS included, that the model takes on either side.
        beam_size: where a request does not say.
        reads: whether it reads sources; a language model does not, and only scores.
        looks: whether it has alignments.
    """

    work: Callable[[Asked, Sequence[Any]], Sequence[Any]]
    source_length: Callable[[str], int]
    target_length: Callable[[str], int]
    longest: int
    beam_size: int
    reads: bool
    looks: bool


class App:
    """An ASGI application around one model.

    Args:
        model: what is served.
        limits: what a request may ask for.
        rows: texts worked off at once, at most.
        wait: seconds that a text waits for others.
        log: called with a line for each request.
        log_texts: whether the lines have the request's texts.
        hosts: names that requests may call this server by, beside those of a machine
            for itself; None: any.
        page: of HTML; None: there is none.
    """

    def __init__(
        self,
        model: Model,
        limits: Limits,
        *,
        rows: int,
        wait: float,
        log: Callable[[str], None],
        log_texts: bool = False,
        hosts: Collection[str] | None = None,
        page: str | None = None,
    ):
        self.hosts, self.page = hosts, page
        self.model, self.limits = model, limits
        self.log, self.log_texts = log, log_texts
        self.metrics = Metrics()
        self.batcher = Batcher(
            model.work,
            rows=rows,
            wait=wait,
            room=limits.queue,
            seen=self.metrics.batch,
        )
        self.idle = threading.Condition()
        self.accepted = 0
        self.draining = False
        self.metrics.gauge("queue_texts", "Texts waiting", lambda: self.batcher.waiting)
        self.metrics.gauge("accepted", "Requests at work", lambda: self.accepted)
        self.metrics.gauge("draining", "1 while stopping", lambda: self.draining)
        routes = [
            Route("/translate", self.post(self.translate), methods=["POST"]),
            Route("/score", self.post(self.score), methods=["POST"]),
            Route("/health", self.health),
            Route("/metrics", self.tell_metrics),
        ]
        if page is not None:
            view = Route("/view", self.post(self.view), methods=["POST"])
            routes += [Route("/", self.show_page), view]
        self.routes = Starlette(
            routes=routes,
            exception_handlers={
                HTTPException: no_route,
                Refused: refusal,
                Exception: failure,
            },
        )
        self.paths = {route.path for route in self.routes.routes}  # type: ignore[attr-defined]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request; log and count it."""
        begun, status = time.monotonic(), GONE
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        name = given if ID.fullmatch(given) else uuid.uuid4().hex[:16]
        scope.setdefault("state", {})["request_id"] = name
        state = scope["state"]
        note: dict[str, Any] = {}
        state["note"] = note
        state["accepted"] = False

        async def told(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", name.encode()))
            await send(message)

        try:
            await self.entry(scope)(scope, receive, told)
        except ClientDisconnect:
            status = GONE
        except Exception:
            self.log(f"{stamp()} {name} failed\n{traceback.format_exc().rstrip()}")
        finally:
            if state["accepted"]:
                self.release()
        route = scope["path"] if scope["path"] in self.paths else "other"
        took = time.monotonic() - begun
        self.metrics.answer(route, status, took)
        parts = [stamp(), name, scope["method"][:10], route, str(status)]
        parts += [f"{key}={value}" for key, value in note.items()]
        self.log(" ".join([*parts, f"{1000 * took:.0f}ms"]))

    def entry(self, scope: Any) -> Any:
        """Where a request goes on: to the routes, if it names this server."""
        host = dict(scope["headers"]).get(b"host", b"localhost").decode("latin-1")
        if self.hosts is None or is_known(host, self.hosts):
            return self.routes
        said = f"Host is {host[:99]!r}, expected localhost or a name of --allow-host"
        error = {"error": said, "request_id": scope["state"]["request_id"]}
        return JSONResponse(error, 421, {"Connection": "close"})

    def post(
        self, answer: Callable[[Request, bytes], Awaitable[Any]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint that reads a body of JSON and answers with JSON in time."""

        async def endpoint(request: Request) -> Response:
            if not self.accept(request):
                await self.body(request)
                raise Refused(
                    503,
                    "the server is stopping and takes no more requests",
                    {"Retry-After": "5", "Connection": "close"},
                )
            if self.accepted > 2 * self.limits.queue:
                raise Refused(
                    429,
                    f"{self.accepted:,} requests are under way, too many: try again",
                    {"Retry-After": "1", "Connection": "close"},
                )
            seconds = self.limits.seconds
            try:
                async with asyncio.timeout(seconds):
                    said = await answer(request, await self.body(request))
                    return JSONResponse(said)
            except TimeoutError:
                raise Refused(
                    504, f"not done after {seconds:g} s: ask for fewer texts"
                ) from None

        return endpoint

    def accept(self, request: Request) -> bool:
        """Whether the request will be answered, whatever comes, or the server stops."""
        with self.idle:
            request.state.accepted = not self.draining
            self.accepted += request.state.accepted
            return request.state.accepted

    def release(self) -> None:
        """An accepted request was answered to its last byte."""
        with self.idle:
            self.accepted -= 1
            self.idle.notify_all()

    def drain(self) -> None:
        """Take no more requests, wait for those that were accepted."""
        with self.idle:
            self.draining = True
            self.idle.wait_for(lambda: not self.accepted)
        self.batcher.stop()

    async def body(self, request: Request) -> bytes:
        """The body, if it says that it is JSON and is not too long."""
        kind = request.headers.get("content-type", "")
        longest, size, parts = self.limits.body, 0, []
        try:
            async with asyncio.timeout(self.limits.upload):
                async for part in request.stream():
                    size += len(part)
                    if size > POLITE * longest:
                        break
                    if size <= longest:
                        parts.append(part)
        except TimeoutError:
            raise Refused(
                408, f"the body did not arrive in {self.limits.upload:g} s"
            ) from None
        if size > longest:
            raise Refused(413, f"the body has over {longest:,} bytes, the most taken")
        if kind.partition(";")[0].strip().lower() != "application/json":
            raise Refused(415, "expected Content-Type: application/json")
        return b"".join(parts)

    async def translate(self, request: Request, body: bytes) -> Any:
        """Answer `POST /translate`."""
        model = self.model
        if not model.reads:
            raise Refused(422, "the model is a language model: it only scores")
        asked, lines = requests.translation(
            body, self.limits, model.beam_size, model.looks
        )
        length_of, longest = model.source_length, model.longest
        lengths = requests.check_tokens(lines, "texts", length_of, longest)
        # The best of a list are the same however many are asked for: one key for all.
        most = 1 if asked.n_best == 1 else asked.beam_size
        alike = dataclasses.replace(asked, n_best=most)
        every = await self.result(request, alike, lines, lengths)
        return {"translations": [found[: asked.n_best] for found in every]}

    async def score(self, request: Request, body: bytes) -> Any:
        """Answer `POST /score`."""
        model, check = self.model, requests.check_tokens
        asked, pairs = requests.scoring(body, self.limits, model.reads)
        sources, targets = zip(*pairs, strict=True)
        read = check(sources, "sources", model.source_length, model.longest)
        said = check(targets, "targets", model.target_length, model.longest)
        lengths = list(map(max, read, said))
        return {"scores": await self.result(request, asked, pairs, lengths)}

    async def view(self, request: Request, body: bytes) -> Any:
        """Answer `POST /view`: all that the page shows of one text."""
        model = self.model
        asked, text = requests.viewing(body, self.limits, model.beam_size)
        length_of, longest = model.source_length, model.longest
        lengths = requests.check_tokens([text], "text", length_of, longest)
        (said,) = await self.result(request, asked, [text], lengths)
        return said

    async def show_page(self, request: Request) -> Response:
        """The page, which asks `/view`."""
        return HTMLResponse(self.page, headers=PAGE)

    async def result(
        self, request: Request, asked: Asked, values: Sequence[Any], lengths: list[int]
    ) -> Sequence[Any]:
        """Queue the values and wait for their answers."""
        note = request.state.note
        note |= {"texts": len(values), "tokens": sum(lengths)}
        if self.log_texts:
            note["said"] = ascii(values)
        try:
            promise = self.batcher.submit(asked, values, lengths)
        except Full as full:
            raise Refused(
                429,
                f"{self.batcher.waiting} texts are waiting, at most "
                f"{self.limits.queue} may: {full}",
                {"Retry-After": str(full.seconds)},
            ) from None
        self.metrics.accept(request.url.path, len(values), sum(lengths))
        try:
            return await asyncio.wrap_future(promise)
        except InputError as error:  # options that do not go with the server's own
            raise Refused(422, str(error)) from None

    async def health(self, request: Request) -> Response:
        """`ready` with 200, or `draining` with 503."""
        said = {"status": "draining" if self.draining else "ready"}
        return JSONResponse(said, 503 if self.draining else 200)

    async def tell_metrics(self, request: Request) -> Response:
        """The counters in Prometheus's text format."""
        return Response(self.metrics.text(), media_type=CONTENT_TYPE)


def refused(request: Request, status: int, message: str, headers: Any) -> Response:
    """A refusal as JSON."""
    said = {"error": message, "request_id": request.state.request_id}
    return JSONResponse(said, status, headers)


def refusal(request: Request, error: Exception) -> Response:
    """What a `Refused` says."""
    assert isinstance(error, Refused)
    return refused(request, error.status, error.message, error.headers)


def no_route(request: Request, error: Exception) -> Response:
    """No such path, or not with this method."""
    assert isinstance(error, HTTPException)
    wants = "expected POST /translate, POST /score, GET /health or GET /metrics"
    message = f"{error.detail}: {wants}"
    return refused(request, error.status_code, message, error.headers)


def failure(request: Request, error: Exception) -> Response:
    """A defect of ours; the log has more."""
    return refused(request, 500, "the server failed; its log tells why", None)


def stamp() -> str:
    """The time, for a line of the log."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
