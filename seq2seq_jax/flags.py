"""The command line's flags and help, made from dataclasses.

tyro makes the help and the value. What is wrong with the arguments is found before it
sees them, so that an error is one line that names the flag, what came and what was
expected. The flag of a config's field reads as the field (`--model.hidden_size`), that
of a command has hyphens (`--beam-size`); either spelling serves, and `--flag=value`.
A field that is true or false takes `True`, `False` or, for true, nothing.
"""

import dataclasses
import difflib
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import tyro

from seq2seq_jax.errors import InputError, choose

T = TypeVar("T")

HELP = {"-h", "--help"}
REQUIRED = (
    tyro.MISSING
)  # the value, in a default instance, of a field that must be given
# A flag that stands alone: it takes True and False, but its help need not say so.
Switch = Annotated[bool, tyro.conf.arg(metavar="")]


class Flag(NamedTuple):
    """What a flag takes.

    Attributes:
        name: as help and messages write it, with its dashes.
        kinds: the types, or literal values, of one value.
        many: it takes one value or more.
        required: it has no default.
    """

    name: str
    kinds: tuple[Any, ...]
    many: bool
    required: bool


class Arguments(NamedTuple):
    """A command line that was read: what stands at no flag, and each flag's values."""

    positional: list[str]
    values: dict[str, list[str]]
    help: bool


def parse(
    cls: type[T],
    args: Sequence[str],
    default: T | None = None,
    *,
    prog: str,
    description: str | None = None,
) -> T:
    """An instance of a dataclass from command-line arguments; `-h` prints the help.

    The fields of a nested dataclass are `--field.name`; the docstring below a field is
    its help; `Annotated[..., tyro.conf.arg(aliases=["-i"])]` gives it a short name.
    A field without a default, or whose default is `REQUIRED`, must be given.

    Raises:
        InputError: on an unknown flag (with the nearest name), a missing or wrong
            value, a missing flag or an argument that belongs to no flag.
        SystemExit: with code 0, after the help.

    >>> from seq2seq_jax.config import ModelConfig
    >>> parse(ModelConfig, ["--cell=gru", "--hidden-size", "8"], prog="x").hidden_size
    8
    >>> parse(ModelConfig, ["--drop_out", "0"], prog="x")
    Traceback (most recent call last):
        ...
    seq2seq_jax.errors.InputError: unknown flag --drop_out; did you mean --dropout?
    """
    return make(cls, split(cls, args, default), default, prog, description)


def make(
    cls: type[T],
    read: Arguments,
    default: T | None,
    prog: str,
    description: str | None = None,
) -> T:
    """The second half of `parse`: the instance, or the help, for what `split` read."""
    if read.help:
        _tyro(cls, ["--help"], default, prog, description)
    if read.positional:
        raise InputError(
            f"unexpected argument {read.positional[0]!r}; `{prog} -h` lists the flags"
        )
    for flag in table_of(cls, default).values():
        if flag.required and flag.name not in read.values:
            raise InputError(f"{flag.name} is missing, expected {_usage(flag)}")
    tokens = [token for name in read.values for token in (name, *read.values[name])]
    return _tyro(cls, tokens, default, prog, description)


def split(cls: type, args: Sequence[str], default: Any = None) -> Arguments:
    """Part the arguments into flags of `cls` and others, and check every flag's value.

    Raises:
        InputError: on an unknown flag, or a missing or wrong value; not where the help
            is asked for.
    """
    rest = [argument for argument in args if argument not in HELP]
    wants_help = len(rest) < len(args)
    read = Arguments([], {}, wants_help)
    table = table_of(cls, default)
    try:
        while rest:
            if _is_flag(rest[0]):
                _read_flag(table, rest, read.values)
            else:
                read.positional.append(rest.pop(0))
    except InputError:
        if not wants_help:
            raise
    return read


def command(
    args: Sequence[str], commands: Mapping[str, type], *, prog: str, description: str
) -> str:
    """The name of the command that the first argument asks for.

    Raises:
        InputError: where it is missing or unknown.
        SystemExit: with code 0, after the help that lists the commands.
    """
    if args and args[0] in HELP:
        listed = [
            Annotated[cls, tyro.conf.subcommand(name, description=_summary(cls))]
            for name, cls in commands.items()
        ]
        _tyro(Union[tuple(listed)], ["--help"], None, prog, description)  # noqa: UP007
    if not args:
        raise InputError(
            f"a command is missing, expected {prog} {{{','.join(commands)}}} ...; "
            f"`{prog} -h` says what they do"
        )
    return choose(commands, args[0], "command")


def _summary(cls: type) -> str:
    return (cls.__doc__ or "").partition("\n")[0]


def table_of(cls: type, default: Any = None) -> dict[str, Flag]:
    """Every flag of `cls` by its names, with underscores throughout.

    >>> from seq2seq_jax.config import Config
    >>> table_of(Config)["--model.hidden_size"].kinds
    (<class 'int'>,)
    """
    return dict(_flags(cls, default, "--"))


def _flags(cls: type, default: Any, prefix: str) -> Iterator[tuple[str, Flag]]:
    hints = get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        kind, *notes = _bare(hints[field.name])
        value = _default(field) if default is None else getattr(default, field.name)
        if dataclasses.is_dataclass(kind):
            yield from _flags(kind, value, f"{prefix}{field.name}.")  # type: ignore[arg-type]
            continue
        many = get_origin(kind) is tuple
        kinds = _alternatives(get_args(kind)[0] if many else kind)
        name = prefix + field.name
        shown = name if "." in name else name.replace("_", "-")
        flag = Flag(shown, kinds, many, value is REQUIRED)
        yield name, flag
        for note in notes:
            for alias in getattr(note, "aliases", None) or ():
                yield alias, flag


def _bare(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) is Annotated else (hint,)


def _default(field: dataclasses.Field) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return REQUIRED if field.default is dataclasses.MISSING else field.default


def _alternatives(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) in (Union, types.UnionType):
        return sum((_alternatives(k) for k in get_args(kind)), ())
    return get_args(kind) if get_origin(kind) is Literal else (kind,)


def _is_flag(argument: str) -> bool:
    return argument.startswith("-") and argument != "-" and not _fits(argument, float)


def _read_flag(
    table: Mapping[str, Flag], rest: list[str], values: dict[str, list[str]]
) -> None:
    """Move one flag and its values from the front of `rest` to `values`."""
    written, equals, joined = rest.pop(0).partition("=")
    flag = table.get(_canonical(written))
    if flag is None:
        raise InputError(f"unknown flag {written}{_nearest(written, table)}")
    if equals:
        given = [joined]
    elif bool in flag.kinds:
        given = [rest.pop(0)] if rest and _fits(rest[0], bool) else ["True"]
    else:
        given = []
        while rest and not _is_flag(rest[0]) and (flag.many or not given):
            given.append(rest.pop(0))
    if not given:
        raise InputError(f"{written} has no value, expected {_usage(flag)}")
    for value in given:
        if not any(_fits(value, kind) for kind in flag.kinds):
            raise InputError(f"{written} is {value!r}, expected {_says(flag)}")
    if bool in flag.kinds:
        given = [given[0].capitalize()]
    values[flag.name] = values.get(flag.name, []) + given if flag.many else given


def _fits(text: str, kind: Any) -> bool:
    if kind in (str, Path):
        return True
    if kind is bool:
        return text.lower() in ("true", "false")
    if kind in (int, float):
        try:
            kind(text)
        except ValueError:
            return False
        return True
    return text == str(None if kind is type(None) else kind)


def _says(flag: Flag) -> str:
    """The values that a flag takes, in words.

    >>> _says(Flag("--n", (int, type(None)), False, False))
    'int or None'
    """
    words = {bool: "True or False", str: "text", Path: "a path", type(None): "None"}
    return " or ".join(words.get(k, getattr(k, "__name__", k)) for k in flag.kinds)


def _usage(flag: Flag) -> str:
    kinds = [k for k in flag.kinds if k is not type(None)]
    names = "|".join(getattr(kind, "__name__", str(kind)).upper() for kind in kinds)
    return f"{flag.name} {names}"


def _nearest(written: str, table: Mapping[str, Flag]) -> str:
    """The flag most like it: that it begins, by its whole name, by its last part."""
    name = _canonical(written)
    tails: dict[str, str] = {}
    for flag in table:
        tails.setdefault(flag.rpartition(".")[2].lstrip("-"), flag)
    tail = name.rpartition(".")[2].lstrip("-")
    close = [flag for flag in table if flag.startswith(name)]
    close = close or difflib.get_close_matches(name, table, n=1, cutoff=0.8)
    close = close or [
        tails[t] for t in difflib.get_close_matches(tail, tails, n=1, cutoff=0.7)
    ]
    return f"; did you mean {table[close[0]].name}?" if close else ""


def _canonical(written: str) -> str:
    """A flag with underscores; its dashes in front stay.

    >>> _canonical("--beam-size"), _canonical("-i")
    ('--beam_size', '-i')
    """
    name = written.lstrip("-")
    return written[: len(written) - len(name)] + name.replace("-", "_")


def _tyro(
    cls: Any, args: list[str], default: Any, prog: str, description: str | None
) -> Any:
    """Let tyro make the value, or print the help; its own errors become one line."""
    sections = isinstance(cls, type) and any("." in f for f in table_of(cls))
    said = StringIO()
    try:
        with redirect_stderr(said):
            return tyro.cli(
                cls,
                args=args,
                default=tyro.MISSING_NONPROP if default is None else default,
                prog=prog,
                description=description,
                use_underscores=sections,
                config=(tyro.conf.FlagConversionOff,),
            )
    except SystemExit as end:
        if not end.code:
            raise
        text = said.getvalue().translate(dict.fromkeys(range(0x2500, 0x2580), " "))
        raise InputError(" ".join(text.split())) from None
