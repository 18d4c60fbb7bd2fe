"""`score`: how probable given targets are."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from seq2seq_jax import flags
from seq2seq_jax.commands import decoding, streams
from seq2seq_jax.errors import InputError

DESCRIPTION = """Score targets: log p(target | source) of each pair, in nats, by line.

The end of the target counts as a token. --summary perplexity says one number,

exp(-sum of log-probabilities / number of target tokens), instead.

With --nbest it reads an n-best list in Moses' format, whose numbers count the

lines of --source from 0, and writes it with log p(target | source) as one more

feature."""


@dataclass(frozen=True, kw_only=True)
class Options(decoding.Model, decoding.Together):
    """Score given targets by their log-probability."""

    source: str | None = None
    """file of sources, one sequence a line; None: the model is a language model"""
    target: str | None = None
    """file of targets, line by line with the sources"""
    nbest: str | None = None
    """file of an n-best list, in place of --target"""
    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"])] = None
    """file to write, whole or not at all; None: standard output"""
    summary: Literal["none", "perplexity"] = "none"
    """say only the perplexity of all targets together"""
    feature: str = "Seq2Seq0"
    """of --nbest: the name of the new feature"""
    rank: Literal["none", "feature", "sum"] = "none"
    """of --nbest: none leaves scores and order; feature: by the new feature, which
    becomes the score; sum: by the score and --weight times the new feature"""
    weight: float = 1.0
    """for --rank sum"""


def main(args: Sequence[str], prog: str) -> None:
    """Score as the arguments say.

    Raises:
        InputError: where the arguments, the workdir or a line cannot be used.
    """
    options = flags.parse(Options, args, prog=prog, description=DESCRIPTION)
    check(options)
    check_source(options)
    given = options.nbest or options.target
    with streams.writer(options.output, [options.source, given]) as write:
        said = rescored(options) if options.nbest is not None else scored(options)
        for line in said:
            write(line)


def scored(options: Options) -> Iterator[str]:
    """A number for each pair, or one for all."""
    # A language model's encoder reads nothing: its targets stand in for sources.
    source = options.source or options.target
    streams.count([source, options.target])
    predictor = decoding.load(options)
    sources, targets = streams.lines(source), streams.lines(options.target)
    log_prob, tokens = 0.0, 0
    for score in predictor.score(sources, targets):
        log_prob += score.log_prob
        tokens += len(score.token_log_probs)
        if options.summary == "none":
            yield f"{score.log_prob:.6f}"
    if options.summary == "perplexity":
        yield f"{math.exp(-log_prob / tokens):.6f}"


def rescored(options: Options) -> Iterator[str]:
    """The lines of the n-best list with the new feature."""
    from seq2seq_jax.inference import nbest

    lines = streams.lines(options.nbest)
    entries = nbest.read(lines, str(options.nbest))
    predictor = decoding.load(options)
    if options.source is None:  # of a language model, which reads nothing
        sources: Iterator[str] = itertools.repeat("")
    else:
        sources = streams.lines(options.source)
    for entry in nbest.rescored(
        predictor,
        entries,
        sources,
        feature=options.feature,
        rank=options.rank,
        weight=options.weight,
    ):
        yield nbest.line_of(entry)


def check(options: Options) -> None:
    """Refuse files that do not go together, and options that nothing would read."""
    if (options.target is None) == (options.nbest is None):
        both = "are both given" if options.nbest is not None else "are both missing"
        raise InputError(f"--target and --nbest {both}, expected one of them")
    if options.nbest is not None and options.summary != "none":
        raise InputError(
            f"--summary is {options.summary} with --nbest, expected one of them"
        )
    for name in ("feature", "rank", "weight"):
        value = getattr(options, name)
        if options.nbest is None and value != getattr(Options, name):
            raise InputError(f"--{name} is {value} without --nbest, expected both")
    if options.rank != "sum" and options.weight != Options.weight:
        raise InputError(
            f"--weight is {options.weight} without --rank sum, expected both"
        )


def check_source(options: Options) -> None:
    """Refuse sources for a model that reads none, and the reverse."""
    reads = decoding.reads_source(options.workdir)
    if reads and options.source is None:
        raise InputError(
            f"--source is missing, expected a file of sources: the model of "
            f"{options.workdir} reads them"
        )
    if not reads and options.source is not None:
        raise InputError(
            f"--source is {options.source}, but the model of {options.workdir} is a "
            f"language model and reads no sources: leave it out"
        )
