"""A headless Chromium, driven over two pipes by its DevTools protocol: no package."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FOUND = next(filter(None, map(shutil.which, NAMES)), None)
PATIENCE = 120  # seconds for an answer
# Chromium reads its orders from descriptor 3 and answers on 4.
SHIM = (
    "import os, sys; r, w = map(int, sys.argv[1:3]); os.dup2(r, 3); os.dup2(w, 4); "
    "os.execv(sys.argv[3], sys.argv[3:])"
)
FLAGS = (
    "--headless=new --remote-debugging-pipe --no-sandbox --disable-gpu "
    "--no-first-run --disable-dev-shm-usage --disable-background-networking "
    "--hide-scrollbars"
).split()
KEYS = {"Enter": ("\r", 13), " ": (" ", 32), "Tab": ("", 9), "Escape": ("", 27)}
KEYS |= {"ArrowLeft": ("", 37), "ArrowUp": ("", 38), "ArrowRight": ("", 39)}
KEYS |= {"ArrowDown": ("", 40), "Home": ("", 36), "End": ("", 35)}


class Page:
    """One tab; `trouble` and `requests` fill up with what its page does."""

    def __init__(self, orders, answers):
        self.orders, self.answers, self.rest = orders, answers, b""
        self.number, self.session, self.trouble, self.requests = 0, None, [], []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method, **params):
        """The result of an order."""
        self.number += 1
        order = {"id": self.number, "method": method, "params": params}
        if self.session:
            order["sessionId"] = self.session
        os.write(self.orders, json.dumps(order).encode() + b"\0")
        while True:
            said = self.read()
            if said.get("id") == self.number:
                assert "error" not in said, said
                return said["result"]

    def read(self):
        """The next thing that the browser tells."""
        end = time.monotonic() + PATIENCE
        while b"\0" not in self.rest:
            assert select.select([self.answers], [], [], end - time.monotonic())[0]
            part = os.read(self.answers, 1 << 20)
            assert part, "the browser has ended"
            self.rest += part
        line, _, self.rest = self.rest.partition(b"\0")
        said = json.loads(line)
        kind, params = said.get("method"), said.get("params", {})
        if kind == "Runtime.exceptionThrown" or (
            kind == "Log.entryAdded" and params["entry"]["level"] != "info"
        ):
            self.trouble.append(params)
        elif kind == "Runtime.consoleAPICalled":
            self.trouble.append(params["args"])
        elif kind == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        return said

    def open(self, url, width=1280, height=900, dark=False, touch=False):
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=touch,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.trouble.clear()
        self.requests.clear()
        self.send("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def value(self, expression):
        """What an expression of JavaScript comes to, as JSON."""
        said = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def wait(self, expression, seconds=PATIENCE):
        end = time.monotonic() + seconds
        while not self.value(expression):
            assert time.monotonic() < end, expression
            time.sleep(0.02)

    def key(self, name):
        """Press a key and let it go."""
        text, code = KEYS[name]
        key = {"key": name, "code": name, "windowsVirtualKeyCode": code}
        for kind in ("keyDown" if text else "rawKeyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            self.send("Input.dispatchKeyEvent", type=kind, **key, **more)

    def hover(self, selector):
        """Move the mouse to the middle of an element."""
        self.mouse("mouseMoved", *self.middle(selector))

    def click(self, selector):
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.mouse(kind, *self.middle(selector), button="left", clickCount=1)

    def touch(self, selector):
        x, y = self.middle(selector)
        points = [{"x": x, "y": y}]
        self.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=points)
        self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def mouse(self, kind, x, y, **more):
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def middle(self, selector):
        found = f"document.querySelector({json.dumps(selector)})"
        self.value(f"{found}.scrollIntoView({{block: 'center'}})")
        box = self.value(f"{found}.getBoundingClientRect().toJSON()")
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def picture(self, path, whole=False):
        """A PNG of what is seen, or of the whole page."""
        said = self.send("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(said["data"]))


@contextmanager
def browsing():
    """A page of a browser of its own."""
    (theirs, orders), (answers, told) = os.pipe(), os.pipe()
    # Above 3 and 4, which the shim writes over.
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs, told)]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [sys.executable, "-c", SHIM, *map(str, ends), FOUND, *FLAGS]
        process = subprocess.Popen(
            [*command, f"--user-data-dir={profile}"],
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (theirs, told, *ends):
            os.close(end)
        try:
            yield Page(orders, answers)
        finally:
            process.kill()
            process.wait()
            os.close(orders)
            os.close(answers)
