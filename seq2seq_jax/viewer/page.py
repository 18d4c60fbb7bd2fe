"""The page, put together: one file that asks nobody for anything."""

import base64
import hashlib
import html
import json
import re
from importlib.resources import files
from typing import Any

# What would end a script, or a line of one; and halves of characters, no text by UTF-8.
UNSAFE = re.compile("[<>&\u2028\u2029\ud800-\udfff]")
SCRIPTS = ("page.js", "tree.js", "steps.js", "events.js")  # one, in this order
PLACE = re.compile(r"\{\{(\w+)\}\}")


def page(title: str, data: dict[str, Any]) -> str:
    """A page of HTML that shows sentences and where a model looked.

    Nothing is loaded, and its policy lets nothing be: the one style and the one script
    are named by their digests. Where `data["live"]` is true it may ask the server that
    it came from, no other.

    Args:
        title: of the page, any text.
        data: `live`; `beam_size`; `model` with `facts` (a line of text), `attention`,
            `bidirectional` and `reads` (what the attention reads of the decoder);
            `sentences`, each as `commands.view.sentence` makes it.

    >>> "<b>" in page("<b>", {"live": False, "sentences": []})
    False
    """
    style, script = own("style.css"), "\n".join(map(own, SCRIPTS))
    sources = {
        "default-src": "'none'",
        "script-src": digest(script),
        "style-src": digest(style),
        "img-src": "data:",
        "connect-src": "'self'" if data["live"] else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    parts = {
        "policy": "; ".join(" ".join(pair) for pair in sources.items()),
        "title": html.escape(title),
        "style": style,
        "data": as_json(data),
        "script": script,
    }
    # In one pass: what a text holds is never taken for a place.
    return PLACE.sub(lambda found: parts[found[1]], own("page.html"))


def own(name: str) -> str:
    """The text of a file beside this one."""
    return (files(__package__) / name).read_text(encoding="utf-8")


def digest(text: str) -> str:
    """What a policy calls a script or a style by."""
    value = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(value).decode()}'"


def as_json(value: Any) -> str:
    """JSON that may stand in a script of HTML.

    >>> as_json("</script>")
    '"\\\\u003c/script\\\\u003e"'
    """
    said = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", said)
