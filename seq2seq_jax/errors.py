"""The one exception that means "what you gave is wrong", and helpers to word it."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """What a user gave cannot be used; the message is one line.

    It says what came, what was expected and what to do. The command line prints it
    without a traceback and exits with code 2.
    """


class TrainingFailed(RuntimeError):
    """A training cannot go on, by no fault of what was given; the message is one line.

    The command line prints it without a traceback and exits with code 1.
    """


def nearest(name: str, choices: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` for the closest choice, or an empty string.

    >>> nearest("additve", ["dot", "general", "additive"])
    "; did you mean 'additive'?"
    >>> nearest("--beam", ["--batch", "--beam-size"])
    "; did you mean '--beam-size'?"
    """
    known = list(choices)
    begun = [choice for choice in known if name and choice.startswith(name)]
    found = begun[:1] or difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def choose(table: Iterable[str], name: str, what: str, more: str = "") -> str:
    """`name` where the table has it, else an `InputError` with the choices, and more.

    >>> choose(["lstm", "gru"], "lstm", "model.cell")
    'lstm'
    """
    choices = list(table)
    if name in choices:
        return name
    raise InputError(
        f"{what} is {name!r}, expected one of {', '.join(sorted(choices))}"
        f"{nearest(name, choices)}{more}"
    )
