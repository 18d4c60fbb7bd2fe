"""`translate`: an output line for every input line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from seq2seq_jax import flags
from seq2seq_jax.commands import decoding, streams
from seq2seq_jax.errors import InputError

if TYPE_CHECKING:
    from seq2seq_jax.inference.results import Hypothesis

DESCRIPTION = """Translate lines of text: one output line for each input line, in order.

With --scores and --alignments a line is `text<TAB>score<TAB>alignment`.

With --n-best N there are N lines for each input line, the best one first, as

number ||| text ||| score ||| alignment, where numbers count from 0.

With --sample they are drawn at random instead, and stand in the order drawn."""


@dataclass(frozen=True, kw_only=True)
class Options(decoding.Text, decoding.Together):
    """Translate lines of text."""

    input: Annotated[str | None, tyro.conf.arg(aliases=["-i"])] = None
    """file to read, one sequence a line (.gz, .bz2, .xz too); None: standard input"""
    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"])] = None
    """file to write, whole or not at all; None: standard output"""
    n_best: int = 1
    """hypotheses said for each line, at most the beam size; samples with --sample"""
    sample: flags.Switch = False
    """draw outputs as probable as the model finds them, in place of a search"""
    temperature: float = 1.0
    """t: samples are drawn from p^(1/t): below 1 safer, above 1 wilder; 0: greedy"""
    top_k: int | None = None
    """draw each token from so many of the most probable; None: all"""
    top_p: float | None = None
    """draw each token from the fewest most probable that have this share; None: all"""
    seed: int = 0
    """of the samples: the same seed and lines give the same ones"""
    prefixes: str | None = None
    """file whose lines the outputs begin with, one for each input line; may be empty"""
    scores: flags.Switch = False
    """add the score by which hypotheses are ordered, in nats"""
    alignments: flags.Switch = False
    """add alignments i-j: output token j attended most to source token i (from 0)"""


def main(args: Sequence[str], prog: str) -> None:
    """Translate as the arguments say.

    Raises:
        InputError: where the arguments, the workdir or a line cannot be used.
    """
    options = flags.parse(Options, args, prog=prog, description=DESCRIPTION)
    check(options)
    with streams.writer(options.output, [options.input, options.prefixes]) as write:
        lines = streams.lines(options.input)
        begun = None
        if options.prefixes is not None:
            files = (options.input, options.prefixes)
            streams.count([path for path in files if path is not None])
            begun = streams.lines(options.prefixes)
        predictor = decoding.load(options)
        results = decoding.translate(
            predictor,
            lines,
            options,
            n_best=options.n_best,
            alignments=options.alignments,
            temperature=options.temperature if options.sample else None,
            top_k=options.top_k,
            top_p=options.top_p,
            seed=options.seed,
            prefixes=begun,
            **decoding.replacement(predictor, options),
            window=1 if streams.is_terminal(options.input) else decoding.WINDOW,
        )
        for number, hypotheses in enumerate(results):
            for line in format_lines(number, hypotheses, options):
                write(line)


def check(options: Options) -> None:
    """Refuse options that do not go together, or not with the model."""
    decoding.check_source(options.workdir, "translate")
    if options.sample and options.beam_size != Options.beam_size:
        raise InputError(
            f"--beam-size is {options.beam_size}, but with --sample nothing is "
            f"searched for: leave one of them out; --n-best is the number of samples"
        )
    if not options.sample:
        if not 1 <= options.n_best <= options.beam_size:
            raise InputError(
                f"--n-best is {options.n_best}, expected 1 to --beam-size "
                f"({options.beam_size})"
            )
        for name in ("temperature", "top_k", "top_p", "seed"):
            value = getattr(options, name)
            if value != getattr(Options, name):
                raise InputError(
                    f"--{name.replace('_', '-')} is {value} without --sample, expected "
                    f"both: a search draws nothing"
                )
    if options.alignments:
        decoding.check_attention(options.workdir, "--alignments", options.also)
    decoding.check_dictionary(options)


def format_lines(
    number: int, hypotheses: "list[Hypothesis]", options: Options
) -> Iterator[str]:
    """The output lines for one input line."""
    for hypothesis in hypotheses:
        parts = [decoding.one_line(hypothesis.text)]
        if options.scores or options.n_best > 1:
            parts.append(f"{hypothesis.score:.6f}")
        if options.alignments:
            parts.append(decoding.pharaoh(hypothesis))
        if options.n_best > 1:
            yield " ||| ".join([str(number), *parts])
        else:
            yield "\t".join(parts)
