"""Refuse a setting that nothing reads: it would be ignored without a word."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from seq2seq_jax.errors import InputError
from seq2seq_jax.extending import check_table


class Readers(NamedTuple):
    """Who reads a field that not every config has a use for.

    Attributes:
        read: `(section of the config) -> bool`, whether anything reads it there.
        named: who does, as words that follow "it serves".
    """

    read: Callable[[Any], bool]
    named: str


def by_tables(
    section: str, tables: Mapping[str, Mapping[str, Any]]
) -> dict[str, Readers]:
    """The readers of every field that an entry of some tables has in its `settings`.

    Args:
        section: `model` or `training`.
        tables: by the field that chooses one of a table's entries.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for choice, table in tables.items():
        check_table(table, f"{section}.{choice}")
        for name, entry in table.items():
            for field in entry.settings:
                found.setdefault(field, {}).setdefault(choice, []).append(name)

    def readers(names: Mapping[str, list[str]]) -> Readers:
        return Readers(
            lambda config: any(getattr(config, c) in names[c] for c in names),
            " and ".join(f"{section}.{c} {either(names[c])}" for c in names),
        )

    return {field: readers(names) for field, names in found.items()}


def either(names: Iterable[str]) -> str:
    """A choice of names, in words.

    >>> either(["gnmt"]), either("abc")
    ('gnmt', 'a, b or c')
    """
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def check(section: str, config: Any, table: Mapping[str, Readers]) -> None:
    """Refuse a field of a config's section that is set, though nothing reads it.

    Raises:
        InputError: naming its value, who would read it, and its default.
    """
    default = type(config)()
    for field, readers in table.items():
        value, unset = getattr(config, field), getattr(default, field)
        if value != unset and not readers.read(config):
            raise InputError(
                f"{section}.{field} is {value!r}, but nothing reads it: it serves "
                f"{readers.named}; leave it out, or set it to {unset!r}"
            )
