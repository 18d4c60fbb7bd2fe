"""`interactive`: ask a model line by line, and see where it looks."""

import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.cells import cell_len

from seq2seq_jax import flags
from seq2seq_jax.commands import decoding
from seq2seq_jax.errors import InputError, choose

if TYPE_CHECKING:
    from seq2seq_jax.inference.predictor import Predictor
    from seq2seq_jax.inference.results import Hypothesis

DESCRIPTION = """Ask a model line by line: hypotheses, and where it looked.

Lines that begin with a colon are commands: :help lists them. Up and down go

through what was asked. Ctrl-C gives up a line, Ctrl-D ends it."""
HELP = """A line is translated. Commands:
  :set NAME VALUE   change an option; :set alone shows them all
  :score TEXT       how probable TEXT is for the last line, token by token
  :quit             end (or Ctrl-D)
  ::TEXT            translate a line that begins with a colon"""
NUMBERS = (
    *("beam_size", "n_best", "length_penalty", "coverage_penalty"),
    *("min_output_length", "no_repeat_ngram"),
)
SHADES = " ░▒▓█"  # of weights up to 5, 25, 50, 75 and 100 %
STEPS = (0.05, 0.25, 0.5, 0.75)
PROMPT = "> "


@dataclass(frozen=True, kw_only=True)
class Options(decoding.Text):
    """Ask a model line by line."""

    n_best: int = 3
    """hypotheses shown for each line, at most the beam size"""


def main(args: Sequence[str], prog: str) -> None:
    """Talk until the end of the input.

    Raises:
        InputError: where the arguments or the workdir cannot be used, or nobody types.
    """
    options = flags.parse(Options, args, prog=prog, description=DESCRIPTION)
    decoding.check_source(options.workdir, "interactive")
    decoding.check_texts(options.workdir, "interactive")
    decoding.check_dictionary(options)
    if not 1 <= options.n_best <= options.beam_size:
        raise InputError(
            f"--n-best is {options.n_best}, expected 1 to --beam-size "
            f"({options.beam_size})"
        )
    if not sys.stdin.isatty():
        raise InputError(
            "interactive needs a terminal, but standard input is none: `seq2seq-jax "
            "translate` reads lines"
        )
    predictor = decoding.load(options)
    import readline  # noqa: F401, gives `input` its history and its editing

    print(f"{options.workdir}; :help tells what can be asked", flush=True)
    talk = Talk(predictor, options)
    while (line := asked()) is not None:
        try:
            for said in talk.answer(line):
                print(said, flush=True)
        except KeyboardInterrupt:
            print("given up")
        if talk.over:
            return


def asked() -> str | None:
    """The next line that somebody types; None: there are no more."""
    while True:
        try:
            return input(PROMPT)
        except EOFError:
            print()
            return None
        except KeyboardInterrupt:
            print()


class Talk:
    """What is said to each line.

    Args:
        predictor: the model.
        options: of the search, which commands change.
    """

    def __init__(self, predictor: "Predictor", options: Options):
        self.predictor, self.options = predictor, options
        self.last: str | None = None
        self.over = False
        self.commands: dict[str, Callable[[str], Iterator[str]]] = {
            "help": lambda rest: iter([HELP]),
            "quit": self.quit,
            "score": self.score,
            "set": self.set,
        }

    def answer(self, line: str) -> Iterator[str]:
        """Lines in answer to one; a refusal is one of them."""
        try:
            if not line.strip():
                return
            if line.startswith(":") and not line.startswith("::"):
                name, _, rest = line[1:].partition(" ")
                choose(self.commands, name, "the command")
                yield from self.commands[name](rest.strip())
                return
            self.last = line[1:] if line.startswith("::") else line
            yield from self.translate(self.last)
        except InputError as error:
            yield f"error: {error}"

    def translate(self, text: str) -> Iterator[str]:
        """Hypotheses, best first, and where the best one looked."""
        (found,) = decoding.translate(
            self.predictor,
            [text],
            self.options,
            n_best=self.options.n_best,
            alignments=True,
            **decoding.replacement(self.predictor, self.options),
        )
        for number, one in enumerate(found, 1):
            numbers = f"score {one.score:.3f}, log p {one.log_prob:.3f}"
            yield f"{number}. {decoding.one_line(one.text)}   ({numbers})"
        yield from drawn(found[0])

    def score(self, text: str) -> Iterator[str]:
        """The log-probability of a target of the last line, and of its tokens."""
        if self.last is None:
            raise InputError("there is no line yet that a text could be scored for")
        (found,) = self.predictor.score([self.last], [text])
        parts = zip(found.pieces, found.token_log_probs, strict=True)
        yield "  ".join(f"{piece} {value:.3f}" for piece, value in parts)
        yield f"log p {found.log_prob:.3f} for {self.last!r}"

    def set(self, rest: str) -> Iterator[str]:
        """Change an option, or show all."""
        if not rest:
            yield "  ".join(f"{name} {getattr(self.options, name)}" for name in NUMBERS)
            return
        name, _, value = rest.partition(" ")
        name = choose(NUMBERS, name.replace("-", "_"), "the option")
        kind = type(getattr(self.options, name))
        try:
            changes: dict[str, Any] = {name: kind(value)}
        except ValueError:
            raise InputError(
                f"{name} is {value!r}, expected a number, as in :set {name} "
                f"{getattr(self.options, name)}"
            ) from None
        new = dataclasses.replace(self.options, **changes)
        if not 1 <= new.n_best <= new.beam_size:
            raise InputError(
                f"n_best is {new.n_best} and beam_size {new.beam_size}, expected at "
                f"least as large a beam, and 1 or more"
            )
        self.options = new
        yield f"{name} {changes[name]}"

    def quit(self, rest: str) -> Iterator[str]:
        """End."""
        self.over = True
        return iter(())


def drawn(hypothesis: "Hypothesis") -> Iterator[str]:
    """Where an output looked: a row a token of it, a column a token of the source."""
    weights = hypothesis.alignment
    if weights is None or not hypothesis.pieces:
        return
    sides = hypothesis.source_pieces, hypothesis.pieces
    columns = [max(cell_len(piece), 1) for piece in sides[0]]
    margin = max(map(cell_len, sides[1]))
    yield f"{' ' * margin}  {' '.join(sides[0])}"
    for piece, row in zip(sides[1], weights, strict=True):
        marks = zip(np.searchsorted(STEPS, row), columns, strict=True)
        cells = " ".join(SHADES[shade] * width for shade, width in marks)
        yield f"{' ' * (margin - cell_len(piece))}{piece}  {cells}".rstrip()
