"""Laws of the server's application, asked without a network, for a model of words."""

import asyncio
import json
import socket
import threading

import pytest

from seq2seq_jax.serving import connections, server
from seq2seq_jax.serving.app import App, Model
from seq2seq_jax.serving.limits import Limits

JSON = "application/json"


class Fake:
    """Says texts in capitals; waits for `going`, fails for "bad"."""

    def __init__(self):
        self.going = threading.Event()
        self.going.set()

    def __call__(self, asked, values):
        assert self.going.wait(20)
        if asked.kind == "score":
            return [{"log_prob": -len(target)} for _, target in values]
        if "bad" in values:
            raise ValueError("the text is a secret")
        return [[{"text": text.upper()}] * asked.n_best for text in values]


def make(reads=True, looks=True, rows=4, log_texts=False, **limits):
    """An application, its model's work and its log."""
    fake, log = Fake(), []
    length = lambda text: len(text.split())  # noqa: E731
    model = Model(fake, length, length, 6, 2, reads, looks)
    limits = {"beam_size": 4, "texts": 3, "characters": 50, "body": 1000} | limits
    app = App(
        model, Limits(**limits), rows=rows, wait=0.001, log=log.append,
        log_texts=log_texts,
    )  # fmt: skip
    return app, fake, log


async def ask(
    app, path, body=None, method="POST", kind=JSON, name=None, ends=True, host=None
):
    """Status, headers and body of an answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = [(b"content-type", kind.encode())]
    headers += [(b"x-request-id", name.encode())] if name else []
    headers += [(b"host", host.encode())] if host else []
    scope = {
        "type": "http", "method": method, "path": path, "headers": headers,
        "query_string": b"", "http_version": "1.1", "scheme": "http",
        "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1), "root_path": "",
    }  # fmt: skip
    pieces = [data[:5], data[5:]]
    sent = []

    async def receive():
        if not pieces:
            await asyncio.sleep(1000)  # a client that says no more
        more = len(pieces) > 1 or not ends
        return {"type": "http.request", "body": pieces.pop(0), "more_body": more}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    headers = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    answer = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], headers, answer


def answer(app, path, body, **more):
    """Status and JSON of one request, whose headers are as they should be."""
    status, headers, said = asyncio.run(ask(app, path, body, **more))
    said = json.loads(said)
    assert headers["content-type"] == JSON
    assert headers["x-request-id"]
    if status != 200:
        assert said["request_id"] == headers["x-request-id"]
        assert len(said["error"].splitlines()) == 1
    return status, said


def test_what_is_asked_for_is_answered_in_order():
    app, _, _ = make()
    texts = {"texts": ["a", "", "b c"], "n_best": 2}
    status, said = answer(app, "/translate", texts)
    assert status == 200
    assert [[one["text"] for one in every] for every in said["translations"]] == [
        ["A", "A"], ["", ""], ["B C", "B C"]
    ]  # fmt: skip
    status, said = answer(app, "/score", {"sources": ["a"], "targets": ["bcd"]})
    assert (status, said) == (200, {"scores": [{"log_prob": -3}]})
    assert answer(app, "/translate", {"sources": ["x"]})[0] == 200


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"texts": ["a"] * 4}, 422, "texts has 4 texts, expected 1 to 3"),
        ({"texts": []}, 422, "texts has 0 texts"),
        ({"texts": "a"}, 422, "texts is a string, expected a list"),
        ({"texts": ["a", 1]}, 422, "texts[1] is 1, expected a string"),
        ({"texts": ["x" * 51]}, 422, "texts[0] has 51 characters"),
        ({"texts": ["a b c d e f"]}, 422, "texts[0] has 6 tokens, expected at most 5"),
        ({"texts": ["a\u0007"]}, 422, "texts[0] has U+0007 at character 1"),
        ({"texts": ["a"], "beam_size": 5}, 422, "beam_size is 5, expected 1 to 4"),
        ({"texts": ["a"], "n_best": 3}, 422, "n_best is 3, expected 1 to 2"),
        ({"texts": ["a"], "n_best": True}, 422, "n_best is true or false"),
        ({"texts": ["a"], "nbest": 1}, 422, "did you mean 'n_best'?"),
        ({"file": "/etc/passwd"}, 422, "unknown field 'file'"),
        ({"texts": ["a" * 40] * 3 + ["b" * 2000]}, 413, "over 1,000 bytes"),
        (b"[" * 900, 400, "the body is not JSON"),
        (b"\xff", 400, "the body is not UTF-8, at byte 0"),
    ],
)
def test_a_refusal_says_what_was_expected(body, status, message):
    app, _, _ = make()
    got, said = answer(app, "/translate", body)
    assert got == status
    assert message in said["error"]


def test_pairs_must_be_pairs_and_a_language_model_reads_none():
    app, _, _ = make()
    status, said = answer(app, "/score", {"sources": ["a"], "targets": ["b", "c"]})
    assert (status, "1 sources and 2 targets" in said["error"]) == (422, True)
    app, _, _ = make(reads=False)
    assert answer(app, "/score", {"targets": ["b"]})[0] == 200
    assert answer(app, "/score", {"targets": ["b"], "sources": ["a"]})[0] == 422
    assert "only scores" in answer(app, "/translate", {"texts": ["a"]})[1]["error"]
    app, _, _ = make(looks=False)
    status, said = answer(app, "/translate", {"texts": ["a"], "alignments": True})
    assert (status, "no attention" in said["error"]) == (422, True)


def test_other_paths_methods_and_kinds_are_refused():
    app, _, _ = make()
    assert answer(app, "/../etc/passwd", b"")[0] == 404
    assert answer(app, "/translate", b"", method="GET")[0] == 405
    for kind in ("text/plain", ""):  # a page in a browser may send these unasked
        assert answer(app, "/translate", {"texts": ["a"]}, kind=kind)[0] == 415


def test_a_request_by_another_name_is_refused():
    app, _, _ = make()
    wish = "/translate", {"texts": ["a"]}
    assert answer(app, *wish, host="evil.example:8000")[0] == 200  # any is taken
    app.hosts = ["box"]
    for host in ("localhost:8000", "127.0.0.1", "127.1.2.3:80", "[::1]:8000", "BOX:1"):
        assert answer(app, *wish, host=host)[0] == 200
    for host in ("evil.example:8000", "10.0.0.1", "localhost.evil", "[::2]", "::1", ""):
        status, said = answer(app, *wish, host=host or " ")
        assert status == 421 and "--allow-host" in said["error"]


def test_a_connection_that_says_no_request_in_time_is_closed(monkeypatch):
    monkeypatch.setattr(connections, "HEAD", 0.3)
    app, _, _ = make()
    sock = server.bound("127.0.0.1", 0)
    config = server.configured(app)
    running = server.uvicorn.Server(config)
    thread = threading.Thread(
        target=running.run, kwargs={"sockets": [sock]}, daemon=True
    )
    sock.listen()
    thread.start()
    get = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
    for said, answers in ((b"", 0), (get, 0), (get + b"\r\n", 1)):
        with socket.create_connection(sock.getsockname(), timeout=20) as client:
            client.sendall(said)
            heard = b""
            while part := client.recv(1000):  # ends when the server closes
                heard += part
        assert heard.count(b"200 OK") == answers
    running.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def test_what_is_too_much_for_the_queue_is_told_to_come_back():
    app, fake, _ = make(rows=1, queue=2)

    async def many():
        fake.going.clear()
        first = []
        for text, waiting in (("a", 0), ("b", 1), ("c", 2)):
            asking = ask(app, "/translate", {"texts": [text]})
            first.append(asyncio.create_task(asking))
            while len(first) > app.accepted or app.batcher.waiting != waiting:
                await asyncio.sleep(0.001)
        refused = await ask(app, "/translate", {"texts": ["d"]})
        fake.going.set()
        return refused, await asyncio.gather(*first)

    (status, headers, said), others = asyncio.run(many())
    assert status == 429 and int(headers["retry-after"]) >= 1
    assert "2 texts are waiting" in json.loads(said)["error"]
    assert [status for status, _, _ in others] == [200, 200, 200]


def test_requests_whose_bodies_do_not_end_are_not_without_number():
    app, _, _ = make(queue=3)

    async def many():
        slow = [
            asyncio.create_task(ask(app, "/translate", {"texts": ["a"]}, ends=False))
            for _ in range(6)
        ]
        while app.accepted < 6:
            await asyncio.sleep(0.001)
        refused = await ask(app, "/translate", {"texts": ["b"]})
        for one in slow:
            one.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        return refused

    status, _, said = asyncio.run(many())
    assert status == 429 and "requests are under way" in json.loads(said)["error"]
    assert app.accepted == 0


def test_a_request_that_takes_too_long_is_given_up():
    app, fake, _ = make(seconds=0.05)
    fake.going.clear()
    status, said = answer(app, "/translate", {"texts": ["a"]})
    fake.going.set()
    assert (status, "not done after 0.05 s" in said["error"]) == (504, True)
    app, _, _ = make(upload=0.05)
    status, said = answer(app, "/translate", {"texts": ["a"]}, ends=False)
    assert (status, "did not arrive" in said["error"]) == (408, True)


def test_a_defect_is_told_in_the_log_alone():
    app, _, log = make()
    status, said = answer(app, "/translate", {"texts": ["bad"]})
    assert status == 500 and "secret" not in said["error"]
    assert any("ValueError" in line for line in log)
    assert answer(app, "/translate", {"texts": ["good"]})[0] == 200


def test_the_log_has_ids_and_no_texts_unless_asked():
    app, _, log = make()
    asyncio.run(ask(app, "/translate", {"texts": ["hush hush"]}, name="me-1"))
    status, headers, _ = asyncio.run(ask(app, "/translate", b"{}", name="a\nb"))
    assert status == 422 and headers["x-request-id"] != "a\nb"
    assert " me-1 POST /translate 200 texts=1 tokens=3 " in log[0]
    assert "hush" not in "".join(log)
    app, _, log = make(log_texts=True)
    asyncio.run(ask(app, "/translate", {"texts": ["say\u2028it"]}))
    assert "said=['say\\u2028it']" in log[0] and len(log[0].splitlines()) == 1


def test_health_and_metrics_tell_how_it_is():
    app, _, _ = make()
    assert answer(app, "/health", b"", method="GET") == (200, {"status": "ready"})
    answer(app, "/translate", {"texts": ["a", "b c"]})
    answer(app, "/translate", {"texts": []})
    _, headers, said = asyncio.run(ask(app, "/metrics", b"", method="GET"))
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = said.decode().splitlines()
    assert 'seq2seq_requests_total{route="/translate",status="200"} 1.0' in lines
    assert 'seq2seq_requests_total{route="/translate",status="422"} 1.0' in lines
    assert 'seq2seq_texts_total{route="/translate"} 2.0' in lines
    assert "seq2seq_queue_texts 0.0" in lines


def test_to_drain_is_to_finish_what_was_accepted_and_take_no_more():
    app, fake, _ = make()

    async def drained():
        fake.going.clear()
        begun = asyncio.create_task(ask(app, "/translate", {"texts": ["a"]}))
        while not app.accepted:
            await asyncio.sleep(0.001)
        ending = asyncio.create_task(asyncio.to_thread(app.drain))
        while not app.draining:
            await asyncio.sleep(0.001)
        refused = await ask(app, "/translate", {"texts": ["b"]})
        health = await ask(app, "/health", b"", method="GET")
        fake.going.set()
        await ending
        return await begun, refused, health

    begun, refused, health = asyncio.run(drained())
    assert (begun[0], refused[0], health[0]) == (200, 503, 503)
    assert json.loads(health[2]) == {"status": "draining"}
    assert int(refused[1]["retry-after"]) >= 1
    assert not app.batcher.thread.is_alive()
