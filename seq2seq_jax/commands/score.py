"""`score`: how probable given targets are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from seq2seq_jax import flags
from seq2seq_jax.commands import decoding, streams
from seq2seq_jax.errors import InputError

DESCRIPTION = """Score targets: log p(target | source) of each pair, in nats, by line.

The end of the target counts as a token. --summary perplexity says one number,

exp(-sum of log-probabilities / number of target tokens), instead."""


@dataclass(frozen=True, kw_only=True)
class Options(decoding.Model, decoding.Together):
    """Score given targets by their log-probability."""

    source: str | None = None
    """file of sources, one sequence a line; None: the model is a language model"""
    target: str
    """file of targets, line by line with the sources"""
    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"])] = None
    """file to write, whole or not at all; None: standard output"""
    summary: Literal["none", "perplexity"] = "none"
    """say only the perplexity of all targets together"""


def main(args: Sequence[str], prog: str) -> None:
    """Score as the arguments say.

    Raises:
        InputError: where the arguments, the workdir or a line cannot be used.
    """
    options = flags.parse(Options, args, prog=prog, description=DESCRIPTION)
    check_source(options)
    # A language model's encoder reads nothing: its targets stand in for sources.
    source = options.source or options.target
    with streams.writer(options.output, [source, options.target]) as write:
        streams.count([source, options.target])
        predictor = decoding.load(options)
        sources, targets = streams.lines(source), streams.lines(options.target)
        log_prob, tokens = 0.0, 0
        for score in predictor.score(sources, targets):
            log_prob += score.log_prob
            tokens += len(score.token_log_probs)
            if options.summary == "none":
                write(f"{score.log_prob:.6f}")
        if options.summary == "perplexity":
            write(f"{math.exp(-log_prob / tokens):.6f}")


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
