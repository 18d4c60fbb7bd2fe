"""Units of text: how it is cut into letters, features or words, and how they show."""

import re
from collections.abc import Iterable

JOINED = "￭"  # before a unit that no space parts from the one before
WORD_OR_MARK = re.compile(r"\w+|[^\w\s]")


def show_character(character: str) -> str:
    """A character as something that is seen: `␣` for a space.

    >>> show_character(" "), show_character("é"), show_character("\\u2028")
    ('␣', 'é', 'U+2028')
    """
    if character == " ":
        return "␣"
    return character if character.isprintable() else f"U+{ord(character):04X}"


def cut_features(text: str) -> list[str]:
    """Characters up to the first tab, then features that `;` parts, each a unit.

    A unit has the tab, or the `;`, that stands before it: together they are the text,
    and no feature is taken for a character.

    >>> cut_features("ab\\tN;PL")
    ['a', 'b', '\\tN', ';PL']
    """
    word, tab, features = text.partition("\t")
    first, *others = features.split(";")
    return [*word, *[tab + first] * bool(tab), *[f";{each}" for each in others]]


def show_unit(unit: str) -> str:
    """A character as `show_character` has it, a feature with the `;` before it.

    >>> show_unit(" "), show_unit("\\tN")
    ('␣', ';N')
    """
    return show_character(unit) if len(unit) == 1 else f";{unit[1:]}"


def cut_marks(text: str) -> list[str]:
    """Words, and marks of punctuation each for itself.

    `￭` stands before what no space parts from the unit before it, so that the text can
    be put together again, but for the length of its spaces.

    >>> cut_marks("It's (not) so.")
    ['It', "￭'", '￭s', '(', '￭not', '￭)', 'so', '￭.']
    """
    units, end = [], -1
    for found in WORD_OR_MARK.finditer(text):
        joined = JOINED if found.start() == end else ""
        units.append(joined + found.group())
        end = found.end()
    return units


def join_marks(units: Iterable[str]) -> str:
    """What `cut_marks` has cut; a `￭` alone is one of the text's own.

    >>> join_marks(cut_marks("It's (not)  so.")), join_marks(cut_marks("a ￭ b￭"))
    ("It's (not) so.", 'a ￭ b￭')
    """
    text = ""
    for unit in units:
        joined = len(unit) > 1 and unit[0] == JOINED
        text += unit[1:] if joined else " " * bool(text) + unit
    return text


def show_word(unit: str) -> str:
    """A unit of `cut_marks` as something that is seen, with `·` for `￭`.

    >>> show_word("￭b"), show_word("￭\\x00"), show_word("￭")
    ('·b', '·U+0000', '￭')
    """
    joined = len(unit) > 1 and unit[0] == JOINED
    shown = "".join(map(show_character, unit[joined:]))
    return "·" * joined + shown
