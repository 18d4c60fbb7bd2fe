"""Heat maps are written whole, for labels of any script, or not at all."""

import warnings
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pytest

from seq2seq_jax.errors import InputError
from seq2seq_jax.plots import fonts, heatmap

PRIVATE = "\U0010fffd"  # a private-use code point, which no font has


@pytest.fixture(autouse=True)
def forget_warnings():
    fonts._warn.cache_clear()


def size(path):
    height, width = matplotlib.image.imread(path).shape[:2]
    return width, height


def draw(path, rows, columns, **kwargs):
    weights = np.full((rows, columns), 1 / columns)
    source = [f"s{i}" for i in range(columns)]
    target = [f"t{i}" for i in range(rows)]
    return heatmap.draw(weights, source, target, path, **kwargs)


def test_the_picture_grows_with_the_tokens(tmp_path):
    one = size(draw(tmp_path / "one.png", 1, 1))
    small = size(draw(tmp_path / "small.png", 3, 5))
    large = size(draw(tmp_path / "large.png", 12, 5))
    wide = size(draw(tmp_path / "wide.png", 3, 20))
    assert small[0] > one[0]
    assert large[1] > small[1]
    assert abs(large[0] - small[0]) <= 10  # only the labels at the left are wider
    assert wide[0] > small[0]


def test_dark_is_where_the_decoder_looked(tmp_path):
    letters = list("abcdef")
    for weights, sign in ((np.eye(6), 1), (np.eye(6)[::-1], -1)):
        path = heatmap.draw(weights, letters, letters, tmp_path / "a.png")
        grey = matplotlib.image.imread(path)[..., :3].mean(-1)
        dark = np.argwhere(grey[:, : int(grey.shape[1] * 0.75)] == 0)
        # From the top left to the bottom right, or from the bottom left up.
        assert sign * np.corrcoef(dark.T)[0, 1] > 0.5


@pytest.mark.parametrize("kind", heatmap.FORMATS)
def test_every_format_is_written_and_is_the_same_every_time(tmp_path, kind):
    first = draw(tmp_path / f"a.{kind}", 2, 3, title="1: a title").read_bytes()
    second = draw(tmp_path / f"b.{kind}", 2, 3, title="1: a title").read_bytes()
    assert first == second
    assert len(list(tmp_path.iterdir())) == 2


def test_svg_is_well_formed_whatever_the_tokens_are(tmp_path):
    pieces = ["<s>", "&", "$x$", '"', "\x00", "\n", "é", "▁der"]
    path = heatmap.draw(np.eye(8), pieces, pieces, tmp_path / "a.svg")
    assert ElementTree.parse(path).getroot().tag.endswith("svg")


@pytest.mark.parametrize(
    "pieces",
    [
        ["the", "cat", "</s>"],
        ["▁ein", "e", "▁Katze"],
        ["ʃ", "ɔ̃", "ʁ"],
        ["القط", "يجلس", "ج"],
        ["חתול", "ש", "ל"],
        ["猫", "が", "座った"],
        ["बिल्ली", "पर", "है"],
        ["고양이", "가", "앉"],
        ["😀", "\u0301", "\u200b"],
        [" ", "\t", ""],
    ],
)
def test_labels_of_any_script_can_be_drawn(tmp_path, pieces):
    with warnings.catch_warnings():
        # Our own warning may come, where fonts lack; matplotlib's about glyphs never.
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", fonts.MissingFont)
        path = heatmap.draw(np.eye(3), pieces, pieces, tmp_path / "a.png")
    assert size(path) > (60, 60)


def test_what_is_invisible_is_made_visible():
    pieces = [" ", "\t", "\n", "", "\x07", "a b", "\u200b", "e\u0301", "\u0301"]
    assert fonts.drawable(pieces).texts == [
        "␣",
        "⇥",
        "⏎",
        "∅",
        "U+0007",
        "a␣b",
        "U+200B",
        "e\u0301",
        "◌\u0301",
    ]


def test_a_character_of_no_font_becomes_its_code_point_with_one_warning():
    with pytest.warns(fonts.MissingFont, match="symbol") as caught:
        labels = fonts.drawable([PRIVATE, "a", f"b{PRIVATE}"])
    assert labels.texts == ["U+10FFFD", "a", "b U+10FFFD"]
    assert len(caught) == 1


def test_the_warning_is_shown_once_for_many_pictures(tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for number in range(3):
            path = tmp_path / f"{number}.png"
            heatmap.draw(np.eye(1), [f"{number}{PRIVATE}"], ["a"], path)
    assert [w.category for w in caught] == [fonts.MissingFont]


def test_a_font_that_covers_the_characters_is_added(monkeypatch):
    fonts._cover.cache_clear()
    have = {"Aaa": frozenset({0x10FFFD}), "Bbb": frozenset({0x10FFFD, 0x10FFFC})}
    monkeypatch.setattr(fonts, "_plain_fonts", lambda: have)
    labels = fonts.drawable([PRIVATE, "\U0010fffc", "x"])
    assert labels.families == [fonts.FIRST, "Bbb"]
    assert labels.texts == [PRIVATE, "\U0010fffc", "x"]
    fonts._cover.cache_clear()


@pytest.mark.parametrize(
    ("weights", "source", "target", "name", "message"),
    [
        (np.eye(2), ["a"], ["b", "c"], "a.png", "expected one row and one column"),
        (np.zeros((0, 2)), ["a", "b"], [], "a.png", "expected one row"),
        (np.eye(1), ["a"], ["b"], "a.jpg", "expected one of pdf, png, svg"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    tmp_path, weights, source, target, name, message
):
    with pytest.raises(InputError, match=message):
        heatmap.draw(weights, source, target, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_where_drawing_fails(tmp_path, monkeypatch):
    def fail(self, path, **kwargs):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(heatmap.Figure, "savefig", fail)
    with pytest.raises(OSError, match="No space"):
        draw(tmp_path / "a.png", 1, 1)
    assert not list(tmp_path.iterdir())
