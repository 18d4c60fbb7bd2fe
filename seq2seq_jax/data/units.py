"""Units of text: how it is cut into letters and features, and how they are shown."""


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
