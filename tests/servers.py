"""Servers as processes on loopback, and clients that ask them."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

from command_line import ENVIRONMENT, ROOT

JSON = {"Content-Type": "application/json"}


class Server:
    """A process that serves; `log` fills up with its lines."""

    def __init__(self, *args):
        command = [sys.executable, "-m", "seq2seq_jax.cli", "serve", "--port", "0"]
        self.process = subprocess.Popen(
            [*command, *map(str, args)],
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | ENVIRONMENT,
        )
        self.log, self.listening = [], threading.Event()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        assert self.listening.wait(300) and self.port, self.log

    def read(self):
        self.port = None
        for line in self.process.stderr:
            self.log.append(line.rstrip("\n"))
            if found := re.match(r"serving .* on http://127.0.0.1:(\d+)", line):
                self.port = int(found[1])
                self.listening.set()
        self.listening.set()

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def stop(self, number=signal.SIGTERM):
        """Its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(120)
        self.reader.join(10)
        return code


@contextmanager
def serving(*args):
    """A server that is stopped in order at the end."""
    server = Server(*args)
    try:
        yield server
        assert server.stop() == 0, server.log
    finally:
        server.process.kill()


def ask(connection, path, body, **headers):
    """Status, headers and JSON of a `POST`; the body as JSON, or bytes as they are."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("POST", path, data, JSON | headers)
    answer = connection.getresponse()
    return answer.status, answer.headers, json.loads(answer.read())


def in_threads(count, act):
    """`[act(0), act(1), ...]`, all at once; the first failure, if there was one."""
    results, failures = [None] * count, []

    def run(number):
        try:
            results[number] = act(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results
