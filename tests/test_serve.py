"""`seq2seq-jax serve` as a process on loopback: its answers, its load and its end."""

import itertools
import json
import threading
import time

import malformed
import pytest
from command_line import LINES, refusal, succeed
from servers import Server, ask, in_threads, serving

CLIENTS, SECONDS = 64, 2.0
PATIENCE = 120  # seconds that a stop may take with all the load before it


@pytest.fixture(scope="module")
def server(trained):
    with serving("--workdir", trained, "--max-beam-size", 6) as server:
        yield server


def test_answers_are_what_the_command_line_prints(server, capitals, trained):
    flags = ["--n-best", 3, "--scores", "--alignments"]
    path = capitals / "in.txt"
    printed = succeed("translate", "--workdir", trained, "-i", path, *flags)
    body = {"texts": LINES, "n_best": 3, "alignments": True}
    status, _, said = ask(server.connect(), "/translate", body)
    assert status == 200
    lines = [line.split(" ||| ") for line in printed.split("\n")[:-1]]
    answered = [
        (number, one) for number, n in enumerate(said["translations"]) for one in n
    ]
    assert len(lines) == len(answered)
    for line, (number, one) in zip(lines, answered, strict=True):
        assert line[:2] == [str(number), one["text"]]
        assert float(line[2]) == pytest.approx(one["score"], abs=1e-5)
        assert line[3] == one["alignment"]
        assert len(one["weights"]) == len(one["pieces"])
    files = ["--source", capitals / "dev.source", "--target", capitals / "dev.target"]
    printed = succeed("score", "--workdir", trained, *files).splitlines()
    sources, targets = (path.read_text("utf-8").splitlines() for path in files[1::2])
    body = {"sources": sources, "targets": targets, "tokens": True}
    status, _, said = ask(server.connect(), "/score", body)
    for line, one in zip(printed, said["scores"], strict=True):
        assert float(line) == pytest.approx(one["log_prob"], abs=1e-5)
        assert sum(one["token_log_probs"]) == pytest.approx(one["log_prob"], abs=1e-4)


def test_many_clients_at_once_get_the_answers_of_one(server, capitals):
    words = (capitals / "dev.source").read_text("utf-8").splitlines()
    body = {"texts": words}
    _, _, said = ask(server.connect(), "/translate", body)
    texts = [found[0]["text"] for found in said["translations"]]
    expected = dict(zip(words, texts, strict=True))
    end = time.monotonic() + SECONDS

    def client(number):
        connection, answered = server.connect(), 0
        while not answered or time.monotonic() < end:
            word = words[(number + answered) % len(words)]
            status, _, said = ask(connection, "/translate", {"texts": [word]})
            assert status == 200
            assert said["translations"][0][0]["text"] == expected[word]
            answered += 1
        return answered

    in_threads(CLIENTS, client)
    # They shared batches: with one text each there would be as many as answers.
    _, sizes = metrics(server)
    assert sizes["sum"] > 2 * sizes["count"]


def test_no_malformed_request_gets_anything_but_a_refusal(server):
    connection, every = server.connect(), list(malformed.requests())
    assert len(every) >= 500
    for body, headers in every:
        try:
            connection.request("POST", "/translate", body, headers)
            answer = connection.getresponse()
            said = json.loads(answer.read())
        except OSError as error:
            raise AssertionError((body[:80], headers)) from error
        assert 400 <= answer.status < 500, (body[:80], said)
        assert said["error"] and said["request_id"]
        if answer.will_close:
            connection.close()
    assert ask(connection, "/translate", {"texts": ["abc"]})[0] == 200
    counts, _ = metrics(server)
    assert not any(status.startswith("5") for status in counts)


def metrics(server):
    """Answers by status, and the sum and number of batches' sizes."""
    connection = server.connect()
    connection.request("GET", "/metrics")
    counts, sizes = {}, {}
    for line in connection.getresponse().read().decode().splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith("seq2seq_requests_total"):
            status = name.split('status="')[1].rstrip('"}')
            counts[status] = counts.get(status, 0) + float(value)
        elif name.startswith("seq2seq_batch_texts_"):
            sizes[name.removeprefix("seq2seq_batch_texts_")] = float(value)
    return counts, sizes


def test_a_stop_under_load_loses_no_accepted_request(trained):
    server = Server("--workdir", trained, "--batch", 8)
    answers, stopping, codes = {}, threading.Event(), []
    end = time.monotonic() + PATIENCE

    def client(number):
        for turn in itertools.count():
            assert time.monotonic() < end
            name = f"{number}-{turn}"
            connection = server.connect()
            try:
                headers = {"X-Request-ID": name}
                status, _, _ = ask(
                    connection, "/translate", {"texts": LINES}, **headers
                )
            except OSError:  # it listens no more
                if stopping.is_set():
                    return
                raise
            answers[name] = status
            connection.close()
            if number == 0 and turn == 5:
                stopping.set()
                codes.append(server.stop())

    try:
        in_threads(16, client)
    finally:
        server.process.kill()
    assert codes == [0]
    logged = [line.split() for line in server.log if " /translate " in line]
    accepted = {words[1] for words in logged if words[4] == "200"}
    assert len(accepted) > 16
    assert {words[4] for words in logged} <= {"200", "503"}
    assert accepted == {name for name, status in answers.items() if status == 200}


def test_a_server_that_cannot_start_says_why_at_once(server, trained):
    here = "serve", "--workdir", trained
    assert "in use" in refusal(*here, "--port", server.port)
    assert "expected 0 to 65535" in refusal(*here, "--port", 99999)
    assert "--host nowhere.invalid is no" in refusal(*here, "--host", "nowhere.invalid")
    assert "expected --beam-size (5) or" in refusal(*here, "--max-beam-size", 3)
    assert "expected --max-texts (128) or" in refusal(*here, "--max-queue", 9)
    assert "does not exist" in refusal("serve", "--workdir", "nowhere")
