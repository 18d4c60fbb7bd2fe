"""Dataclasses from what JSON holds, every field checked, and as flat names."""

import dataclasses
from collections.abc import Iterator
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from seq2seq_jax.errors import InputError, nearest

T = TypeVar("T")


def from_dict(cls: type[T], values: Any, where: str) -> T:
    """A dataclass from nested dicts; unknown fields and wrong types are refused.

    Raises:
        InputError: naming the field, what came and what was expected.
    """
    if not isinstance(values, dict):
        raise InputError(f"{where} holds {type(values).__name__}, expected an object")
    hints = get_type_hints(cls)
    made: dict[str, Any] = {}
    for name, value in values.items():
        if name not in hints:
            raise InputError(f"{where} has no field {name!r}{nearest(name, hints)}")
        kind = hints[name]
        if dataclasses.is_dataclass(kind):
            made[name] = from_dict(kind, value, f"{where}.{name}")  # type: ignore[arg-type]
        elif fits(value, kind):
            made[name] = tuple(value) if get_origin(kind) is tuple else value
        else:
            raise InputError(f"{where}.{name} is {value!r}, expected {kind}")
    return cls(**made)


def fits(value: Any, kind: Any) -> bool:
    """Whether a JSON value is of a field's type (an int passes for a float).

    A tuple of any length stands there as a list.

    >>> fits({"loss": 1}, dict[str, float]), fits({"loss": "1"}, dict[str, float])
    (True, False)
    """
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        return isinstance(value, list) and all(fits(x, inner) for x in value)
    if get_origin(kind) is dict:
        inner = get_args(kind)[1]
        return isinstance(value, dict) and all(fits(x, inner) for x in value.values())
    kinds = get_args(kind) or (kind,)
    if isinstance(value, bool):
        return bool in kinds
    return isinstance(value, kinds) or (isinstance(value, int) and float in kinds)


def flatten(record: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield `("section.field", value)` for every field of a dataclass of dataclasses.

    >>> from seq2seq_jax.config import Config
    >>> dict(flatten(Config()))["model.cell"]
    'lstm'
    """
    for item in dataclasses.fields(record):
        value = getattr(record, item.name)
        if dataclasses.is_dataclass(value):
            yield from flatten(value, f"{prefix}{item.name}.")
        else:
            yield f"{prefix}{item.name}", value
