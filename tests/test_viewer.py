"""The page in a browser: what it shows is the predictor's, and it asks nobody."""

import json
import re

import browser
import pytest
from command_line import succeed
from servers import serving

from seq2seq_jax.commands import view
from seq2seq_jax.errors import InputError
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.viewer.page import page

NASTY = "</script><img src=x onerror=alert(1)>\u2028&amp;{{data}}"
MODEL = {"facts": "x", "attention": "dot", "bidirectional": True, "reads": "state"}
needs_browser = pytest.mark.skipif(
    browser.FOUND is None, reason=f"none of {', '.join(browser.NAMES)} is installed"
)


@pytest.fixture(scope="module")
def tab():
    with browser.browsing() as tab:
        yield tab


@pytest.fixture(scope="module")
def written(trained, tmp_path_factory):
    """The page that the command writes for two words and an empty line."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    wish = ["view", "--workdir", trained, "-i", "-", "-o", path, "--title", NASTY]
    succeed(*wish, "--beam-size", 3, stdin="badcab\n\néd\n")
    return path


def shown(tab, side):
    """The weights that a row of tokens shows, in percent."""
    said = tab.value(
        f"[...document.querySelectorAll('#{side} small')].map(x => x.textContent)"
    )
    return [float(text.removesuffix(" %")) for text in said]


def colours(tab):
    said = tab.value(
        "[...document.querySelectorAll('#source button')]"
        ".map(x => x.style.getPropertyValue('--w'))"
    )
    return [float(weight) for weight in said]


def pieces(tab, side):
    return tab.value(
        f"[...document.querySelectorAll('#{side} span')].map(x => x.textContent)"
    )


def at(tab, side, place):
    return f"#{side} button:nth-child({place + 1})"


@needs_browser
def test_what_is_pointed_at_shows_the_predictors_weights(tab, trained, written):
    every = next(Predictor.load(trained).translate(["badcab"], 3, 3))
    tab.open(written.as_uri())
    for rank, one in enumerate(every):
        tab.click(f"#outputs label:nth-child({rank + 1}) input")
        assert pieces(tab, "output") == one.pieces
        assert pieces(tab, "source") == one.source_pieces
        weights = 100 * one.alignment
        for t in (0, len(one.pieces) - 1):
            tab.hover(at(tab, "output", t))
            assert shown(tab, "source") == pytest.approx(weights[t], abs=0.06)
            assert colours(tab) == pytest.approx(one.alignment[t], abs=1e-4)
        tab.hover(at(tab, "source", 1))
        assert shown(tab, "output") == pytest.approx(weights[:, 1], abs=0.06)
    tab.value("document.querySelector('#output [tabindex=\"0\"]').focus()")
    for key, t in (("Home", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1)):
        tab.key(key)
        assert shown(tab, "source") == pytest.approx(weights[t], abs=0.06)
    tab.key("ArrowUp")
    best = weights[1].argmax()
    assert shown(tab, "output") == pytest.approx(weights[:, best], abs=0.06)
    rows = tab.value("document.querySelectorAll('#heat .on').length")
    assert rows == len(every[-1].pieces) + 1  # a column and its head
    assert (tab.trouble, tab.requests) == ([], [written.as_uri()])


@needs_browser
def test_the_model_is_played_step_by_step(tab, written):
    tab.open(written.as_uri())
    source, output = (len(pieces(tab, side)) for side in ("source", "output"))
    last = tab.value("Number(place.max)")
    assert last + 1 == source + 2 + 3 * output  # both directions and the hand-over
    caption = "caption.textContent"
    assert f"step 1 of {source}: it reads" in tab.value(caption)
    tab.click("#last")
    assert f"step {output} of {output}" in tab.value(caption)
    assert "the end marker" in tab.value(caption)
    tab.click("#first")
    tab.value("play()")
    tab.wait("now.frame >= 1")
    assert tab.value("document.getElementById('play').textContent") == "Pause"
    tab.click("#play")
    frame = tab.value("now.frame")
    tab.value("step.focus()")
    tab.key("Enter")
    assert tab.value("now.frame") == frame + 1
    tab.value("place.focus()")
    tab.key("ArrowLeft")
    assert tab.value("now.frame") == frame
    assert tab.trouble == []


@needs_browser
def test_the_tree_chooses_outputs_by_mouse_and_keys(tab, written):
    tab.open(written.as_uri())
    tab.value("document.querySelector('#tree [data-rank=\"2\"]').focus()")
    tab.key("Enter")
    assert tab.value("now.output") == 2
    assert tab.value("document.querySelector('#outputs input:checked').value") == "2"
    chosen = tab.value("document.querySelectorAll('#tree g.chosen').length")
    assert chosen == len(pieces(tab, "output"))
    tab.click('#tree [data-rank="1"]')
    assert tab.value("now.output") == 1


@needs_browser
def test_help_opens_and_closes_by_keys(tab, written):
    tab.open(written.as_uri())
    for key in ("Escape", "Enter"):  # the button to close has the focus
        tab.value("help.focus()")
        tab.key("Enter")
        assert tab.value("keys.open")
        tab.key(key)
        tab.wait("!keys.open")
    assert tab.trouble == []


@needs_browser
def test_a_phone_needs_no_scrolling_aside_and_takes_touches(tab, written):
    tab.open(written.as_uri(), width=375, height=812, touch=True)
    for number in range(3):  # the second line is empty
        tab.value(f"showSentence({number})")
        assert tab.value("document.documentElement.scrollWidth") == 375
    tab.touch(at(tab, "output", 1))
    tab.wait("now.side === 'output' && now.token === 1")
    tab.value("showSentence(1)")
    assert "empty" in tab.value("told.textContent")
    assert tab.trouble == []


@needs_browser
def test_texts_are_texts_in_any_script_and_any_light(tab, tmp_path):
    hebrew = ["שלום", "עולם", NASTY]
    one = {
        "text": NASTY,
        "pieces": [NASTY, "b"],
        "score": -1.0,
        "log_prob": -1.0,
        "token_log_probs": [-0.5, -0.5],
        "weights": [[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]],
    }
    tree = [[0, None, NASTY, -0.5, False, None], [1, 0, "b", -1.0, True, 0]]
    sentence = {"text": NASTY, "source": hebrew, "outputs": [one], "tree": tree}
    data = {"live": False, "beam_size": 1, "model": MODEL, "sentences": [sentence]}
    path = tmp_path / "page.html"
    path.write_text(page(NASTY, data), encoding="utf-8")
    grounds = []
    for dark in (False, True):
        tab.open(path.as_uri(), dark=dark)
        grounds.append(tab.value("getComputedStyle(document.body).backgroundColor"))
        assert pieces(tab, "source") == hebrew
        assert tab.value("document.querySelector('h1').textContent") == NASTY
        assert tab.value("document.querySelectorAll('img').length") == 0
        assert (tab.trouble, tab.requests) == ([], [path.as_uri()])
    assert len(set(grounds)) == 2
    tab.click("#theme")
    assert tab.value("getComputedStyle(document.body).backgroundColor") == grounds[0]
    # From right to left the next token is at the left.
    assert tab.value("getComputedStyle(source).direction") == "rtl"
    tab.value("document.querySelector('#source button').focus()")
    tab.key("ArrowLeft")
    assert (tab.value("now.side"), tab.value("now.token")) == ("source", 1)


@needs_browser
def test_a_server_has_the_page_too(tab, trained):
    few = ["--page", "--beam-size", 2, "--batch", 1]  # little to compile
    with serving("--workdir", trained, *few) as server:
        url = f"http://127.0.0.1:{server.port}/"
        tab.open(url)
        seen = "document.querySelector('main').checkVisibility()"
        assert not tab.value(seen)  # there is nothing to show yet
        tab.value("text.value = 'éd\\n'")
        tab.click("#ask button")
        tab.wait("DATA.sentences.length === 1")
        assert tab.value(seen)
        one = next(Predictor.load(trained).translate(["éd"], 2, 2))[0]
        assert pieces(tab, "output") == one.pieces
        assert shown(tab, "source") == pytest.approx(100 * one.alignment[0], abs=0.06)
        assert tab.requests == [url, f"{url}view"]
        assert tab.trouble == []
        tab.value("text.value = 'a'.repeat(50)")
        tab.click("#ask button")
        tab.wait("refusal.textContent")
        assert "expected at most 9" in tab.value("refusal.textContent")
        connection = server.connect()
        connection.request("GET", "/health", headers={"Host": "evil.example"})
        answer = connection.getresponse()
        assert answer.status == 421
        assert "expected localhost or a name" in json.loads(answer.read())["error"]


def test_the_page_says_what_it_may_do_and_holds_what_it_needs(written):
    text = written.read_text("utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert "connect-src 'none'" in policy
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "<img" not in text.replace("&lt;img", "")


def test_what_no_page_can_be_made_of_is_refused(trained, tmp_path):
    path = tmp_path / "in.txt"
    path.write_text("a\n" * 501, "utf-8")
    for flags, message in (
        (["--n-best", "6"], "--n-best is 6, expected 1 to --beam-size"),
        ([], "over 500 lines"),
        (["-o", str(tmp_path / "no" / "x")], "cannot be written"),
        (["-o", str(path)], "is also the input"),
    ):
        with pytest.raises(InputError, match=message):
            view.main(["--workdir", str(trained), "-i", str(path), *flags], "prog")
