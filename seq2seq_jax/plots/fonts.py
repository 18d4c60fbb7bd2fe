"""Labels that can be drawn: which installed fonts have which characters."""

import unicodedata
import warnings
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from matplotlib import font_manager, ft2font

FIRST = "DejaVu Sans"  # comes with matplotlib
# Symbol fonts of matplotlib that give other shapes to ordinary code points, and the one
# that has a placeholder box for every code point there is.
UNUSABLE = ("cm", "STIX", "Last Resort")
SIGNS = {" ": "␣", "\t": "⇥", "\n": "⏎", "\r": "␍", "\u00a0": "⍽", "\u3000": "□"}


class MissingFont(UserWarning):
    """Characters are drawn as code points, since no installed font has them."""


class Labels(NamedTuple):
    """Texts that can be drawn, and the font families that draw them."""

    texts: list[str]
    families: list[str]


def drawable(pieces: Iterable[str]) -> Labels:
    """Labels for pieces of any script, with what is invisible made visible.

    White space becomes a sign for it, control characters and characters that no
    installed font has become `U+XXXX`. The latter gives one `MissingFont` warning a
    script and process, which says what to install.

    >>> drawable(["a b", "", "\\x07"]).texts
    ['a␣b', '∅', 'U+0007']
    """
    texts = [visible(piece) for piece in pieces]
    wanted = {ord(character) for text in texts for character in text}
    families, missing = _cover(frozenset(wanted))
    for script in sorted({_script(chr(code)) for code in missing}):
        _warn(script)
    return Labels([_spell(text, missing) for text in texts], families)


@cache  # once a script: a thousand pictures must not say it a thousand times
def _warn(script: str) -> None:
    warnings.warn(
        f"no installed font has some {script} characters, the labels show their code "
        "points; install the script's Noto font, on Debian and Ubuntu by "
        "`apt-get install fonts-noto-core fonts-noto-cjk`",
        MissingFont,
        stacklevel=3,
    )


def visible(piece: str) -> str:
    """A piece with signs for white space and code points for control characters.

    >>> visible("a\\u200bb")
    'aU+200Bb'
    """
    if not piece:
        return "∅"
    shown = "".join(
        SIGNS.get(c) or (_code_point(c) if _is_hidden(c) else c) for c in piece
    )
    # A mark that combines with nothing is drawn on the dotted circle, as in grammars.
    return f"◌{shown}" if unicodedata.combining(shown[0]) else shown


def _is_hidden(character: str) -> bool:
    joiners = "\u200c\u200d"  # they belong to the spelling of Persian and Indic words
    category = unicodedata.category(character)
    return category[0] in "CZ" and category != "Co" and character not in joiners


def _code_point(character: str) -> str:
    return f"U+{ord(character):04X}"


def _spell(text: str, missing: frozenset[int]) -> str:
    """Code points for the missing characters; of a long word three parts at most."""
    if missing.isdisjoint(map(ord, text)):
        return text
    parts = [_code_point(c) if ord(c) in missing else c for c in text]
    return " ".join(parts[:3]) + (" …" if len(parts) > 3 else "")


def _script(character: str) -> str:
    """The first word of a letter's name, which is its script's.

    >>> _script("あ")
    'HIRAGANA'
    """
    if unicodedata.category(character)[0] not in "LM":
        return "symbol"
    return unicodedata.name(character, "unnamed").partition(" ")[0]


@cache
def _cover(wanted: frozenset[int]) -> tuple[list[str], frozenset[int]]:
    """Families that have the characters between them, and the characters none has."""
    missing = wanted - _characters(font_manager.findfont(FIRST))
    families = [FIRST]
    fonts = _plain_fonts() if missing else {}
    while missing and fonts:
        # Ties go to the first name: the choice must not depend on the files' order.
        best = max(sorted(fonts), key=lambda name: len(missing & fonts[name]))
        if not missing & fonts[best]:
            break
        families.append(best)
        missing -= fonts[best]
    return families, missing


@cache
def _plain_fonts() -> dict[str, frozenset[int]]:
    """The characters of every installed family, by an upright face of it."""
    fonts: dict[str, frozenset[int]] = {}
    for entry in font_manager.fontManager.ttflist:
        usable = entry.style == "normal" and not entry.name.startswith(UNUSABLE)
        if usable and entry.name not in fonts:
            fonts[entry.name] = _characters(entry.fname, entry.index)
    return fonts


@cache
def _characters(path: str, index: int = 0) -> frozenset[int]:
    try:
        font = ft2font.FT2Font(path, face_index=index)
    except (OSError, RuntimeError):  # a font that was removed, or that FreeType refuses
        return frozenset()
    # Colour bitmaps of emoji come in one size only and cannot be drawn in ours.
    return frozenset(font.get_charmap() if font.scalable else ())
