"""The program `seq2seq-jax`: its commands by name."""

from collections.abc import Sequence
from typing import Any

from seq2seq_jax import __version__, flags, program
from seq2seq_jax.commands import (
    aer,
    align,
    average,
    backtest,
    encode,
    evaluate,
    export,
    forecast,
    info,
    interactive,
    parameters,
    plan,
    plot,
    score,
    serve,
    shortlist,
    train,
    translate,
    view,
)

PROG = "seq2seq-jax"
DESCRIPTION = """Recurrent sequence-to-sequence models with attention.

What a command takes: `seq2seq-jax COMMAND -h`. Which version: --version."""
COMMANDS: dict[str, Any] = {
    "train": train,
    "translate": translate,
    "forecast": forecast,
    "backtest": backtest,
    "interactive": interactive,
    "score": score,
    "serve": serve,
    "evaluate": evaluate,
    "align": align,
    "view": view,
    "encode": encode,
    "aer": aer,
    "average": average,
    "export": export,
    "info": info,
    "shortlist": shortlist,
    "parameters": parameters,
    "plan": plan,
    "plot": plot,
}


def run_command(args: Sequence[str]) -> int | None:
    """Run the command that the first argument names.

    Returns:
        The process's exit code; None for success.

    Raises:
        InputError: on an unknown command, and whatever the command refuses.
    """
    if list(args) == ["--version"]:
        print(f"{PROG} {__version__}")
        return 0
    options = {name: module.Options for name, module in COMMANDS.items()}
    name = flags.command(args, options, prog=PROG, description=DESCRIPTION)
    return COMMANDS[name].main(args[1:], f"{PROG} {name}")


def main() -> None:
    """The installed program."""
    program.run(run_command)


if __name__ == "__main__":
    main()
