"""Recipes: Python files whose `get_config()` returns a `Config`."""

import dataclasses
import difflib
import importlib.util
import inspect
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import seq2seq_jax
from seq2seq_jax import config as configs
from seq2seq_jax import flags
from seq2seq_jax.config import Config
from seq2seq_jax.errors import InputError, choose

PACKAGE = Path(seq2seq_jax.__file__).parent
# Installed, the recipes lie inside the package; in a checkout, beside it.
SHIPPED = (PACKAGE / "configs", PACKAGE.parent / "configs")


def parse(
    options: type[Any],
    args: Sequence[str],
    prog: str,
    description: str,
    example: str,
    **more: Any,
) -> tuple[Any, str]:
    """What `CONFIG [--section.field value ...]` asks for, and the recipe's name.

    Args:
        options: a dataclass with the fields of `Config` and its command's own.
        args: after the command's name.
        prog: the command, for help and errors.
        description: for help.
        example: what should have stood after `prog` where nothing does.
        more: the command's own fields that have no default.

    Raises:
        InputError: where the recipe or the flags cannot be used.
    """
    read = flags.split(options, args)
    if not read.positional and not read.help:
        raise InputError(f"a recipe is missing, expected `{prog} {example}`")
    name = read.positional[0] if read.positional else ""
    recipe = load(name) if name else Config()
    defaults = options(**sections(recipe), **more)
    rest = read._replace(positional=read.positional[1:])
    return flags.make(options, rest, defaults, f"{prog} CONFIG", description), name


def sections(options: Config) -> dict[str, Any]:
    """The sections of a config, by name; of options that have its fields among them."""
    names = (field.name for field in dataclasses.fields(Config))
    return {name: getattr(options, name) for name in names}


def load(recipe: str) -> Config:
    """The config of a recipe: `FILE.py`, the name of one of ours, or `...:VARIANT`.

    The variant is handed to `get_config` as its one argument; where the file has a
    table `VARIANTS`, it must be one of its names.

    Raises:
        InputError: where the file is missing (with the nearest recipe), is no Python,
            has no `get_config` or returns something else.
    """
    name, _, variant = recipe.partition(":")
    path = _find(name)
    if not path.is_file():
        raise InputError(f"recipe {name} does not exist{_nearest(path)}")
    module = _run(path, lambda: _module(path))
    get_config = getattr(module, "get_config", None)
    if not callable(get_config):
        raise InputError(
            f"{path} has no function get_config, expected one: is it a recipe?"
        )
    parameters = inspect.signature(get_config).parameters.values()
    takes = len(parameters)
    if not variant and any(each.default is each.empty for each in parameters):
        raise InputError(
            f"get_config of {path} takes a variant without a default: name one, as in "
            f"{path}:VARIANT"
        )
    if variant and not takes:
        raise InputError(f"{path} has no variants, but {variant!r} was asked for")
    if variant and hasattr(module, "VARIANTS"):
        choose(module.VARIANTS, variant, f"the variant of {path}")
    config = _run(path, lambda: get_config(*[variant] * bool(variant)))
    if not isinstance(config, Config):
        raise InputError(
            f"get_config() of {path} returned {type(config).__name__}, expected "
            "seq2seq_jax.config.Config"
        )
    check_values(path, config)
    return config


def check_values(path: Path, config: Config) -> None:
    """Refuse what `config.json` could not hold: other types, fields of one's own."""
    try:
        configs.from_json(configs.to_json(config))
    except (InputError, TypeError) as error:
        raise InputError(
            f"get_config() of {path}: {error} (settings are those of "
            f"seq2seq_jax.config; what else varies is a constant of your file, or a "
            f"variant)"
        ) from None


def _find(name: str) -> Path:
    """The file itself, or for a bare name the recipe of ours that is called so."""
    if Path(name).name == name and not name.endswith(".py"):
        for folder in SHIPPED:
            if (folder / f"{name}.py").is_file():
                return folder / f"{name}.py"
    return Path(name)


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"recipe_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is no Python file, expected a recipe such as FILE.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run(path: Path, code: Callable[[], Any]) -> Any:
    """Run a recipe's code; its errors tell the recipe's line, not our stack."""
    try:
        return code()
    except InputError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [
            frame.lineno for frame in frames if Path(frame.filename) == path.absolute()
        ]
        line = own[-1] if own else getattr(error, "lineno", None)
        where = f"{path}, line {line}" if line else str(path)
        what = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InputError(f"{where}: {type(error).__name__}: {what}") from None


def _nearest(path: Path) -> str:
    """The recipe most like a missing one, among its neighbours and ours."""
    found = {p.stem: p.stem for folder in SHIPPED for p in folder.glob("*.py")}
    for folder in dict.fromkeys([Path("configs"), path.parent]):
        found |= {p.stem: str(p) for p in folder.glob("*.py")}
    close = difflib.get_close_matches(path.stem, found, n=1)
    if close:
        return f"; did you mean {found[close[0]]}?"
    ours = sorted(p.stem for folder in SHIPPED for p in folder.glob("*.py"))
    return f", expected a file such as configs/NAME.py or one of {', '.join(ours)}"
