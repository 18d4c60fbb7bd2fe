"""What a user's file adds to tables: told apart from ours, and checked for its type."""

import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from seq2seq_jax.errors import InputError

# For names that a workdir has: it holds no code.
FILE_FIRST = (
    "; an entry of your own is known once its file has run: `python FILE.py COMMAND "
    "...` (docs/your-own-task.md)"
)


def ours(function: Callable[..., Any]) -> bool:
    """Whether a function is this package's, whose behaviour the tests hold.

    >>> ours(ours), ours(len), ours(partial(partial(called), "name"))
    (True, False, True)
    """
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__module__", "")).startswith("seq2seq_jax.")


def check_entry(table: Mapping[str, Any], name: str, what: str) -> None:
    """Refuse an entry of another type than the table's first, which is ours.

    >>> class Score(tuple): ...
    >>> check_entry({"dot": Score(), "mine": min}, "mine", "model.attention")
    Traceback (most recent call last):
        ...
    seq2seq_jax.errors.InputError: model.attention 'mine' is a
    builtin_function_or_method, expected a Score: its table takes nothing else
    """
    expected = type(next(iter(table.values())))
    if issubclass(expected, tuple) and not isinstance(table[name], expected):
        raise InputError(
            f"{what} {name!r} is a {type(table[name]).__name__}, expected a "
            f"{expected.__name__}: its table takes nothing else"
        )


def check_table(table: Mapping[str, Any], what: str) -> None:
    """Refuse a table with such an entry."""
    for name in table:
        check_entry(table, name, what)


def called(name: str, function: Callable[..., Any], *args: Any) -> Any:
    """What an entry's function gives; one that takes other arguments is told of.

    What its own code raises passes, with a trace that says where.

    >>> called("metric 'mine'", lambda one: one, 1, 2)
    Traceback (most recent call last):
        ...
    seq2seq_jax.errors.InputError: metric 'mine': <lambda>() takes 1 positional argument
    but 2 were given
    """
    try:
        return function(*args)
    except TypeError as error:
        if traceback.extract_tb(error.__traceback__)[-1].name != "called":
            raise
        raise InputError(f"{name}: {error}") from None
