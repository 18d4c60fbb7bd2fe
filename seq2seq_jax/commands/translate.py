"""`translate`: an output line for every input line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from seq2seq_jax import flags
from seq2seq_jax.commands import decoding, formats, streams
from seq2seq_jax.errors import InputError

DESCRIPTION = """Translate lines of text: one output line for each input line, in order.

With --scores and --alignments a line is `text<TAB>score<TAB>alignment`.

With --n-best N there are N lines for each input line, the best one first, as

number ||| text ||| score ||| alignment, where numbers count from 0.

With --sample they are drawn at random instead, and stand in the order drawn.

--format moses and json tell more of each."""


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
    mbr: int = 0
    """candidates, samples or the best of the beam: outputs are those of them that serve
    best on average (minimum Bayes risk), and scores their utility in %; 0: off"""
    utility: Literal["chrf", "bleu", "exact"] = "chrf"
    """of --mbr: sentence chrF2 or BLEU of a candidate by another, or their equality"""
    prefixes: str | None = None
    """file whose lines the outputs begin with, one for each input line; may be empty"""
    required: str | None = None
    """file of texts that the outputs hold: a line for each input line, tabs between
    them, empty: none; needs a beam of 2 or more"""
    scores: flags.Switch = False
    """add the score by which hypotheses are ordered, in nats"""
    alignments: flags.Switch = False
    """add alignments i-j: output token j attended most to source token i (from 0)"""
    format: Literal["text", "moses", "json"] = "text"
    """text; moses: lines of an n-best list; json: an object for each input line, with
    log-probabilities of tokens, and all weights with --alignments"""


def main(args: Sequence[str], prog: str) -> None:
    """Translate as the arguments say.

    Raises:
        InputError: where the arguments, the workdir or a line cannot be used.
    """
    options = flags.parse(Options, args, prog=prog, description=DESCRIPTION)
    check(options)
    files = [options.input, options.prefixes, options.required]
    with streams.writer(options.output, files) as write:
        lines = streams.lines(options.input)
        begun, holding = (x and streams.lines(x) for x in files[1:])
        if begun or holding:
            streams.count([path for path in files if path is not None])
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
            required=holding and (line.split("\t") for line in holding),
            mbr=options.mbr,
            utility=options.utility,
            token_log_probs=options.format == "json",
            **decoding.replacement(predictor, options),
            window=1 if streams.is_terminal(options.input) else decoding.WINDOW,
        )
        shown = formats.Shown(options.n_best > 1, options.scores, options.alignments)
        for number, hypotheses in enumerate(results):
            for line in formats.FORMATS[options.format](number, hypotheses, shown):
                write(line)


def check(options: Options) -> None:
    """Refuse options that do not go together, or not with the model."""
    decoding.check_source(options.workdir, "translate")
    if options.sample and options.beam_size != Options.beam_size:
        raise InputError(
            f"--beam-size is {options.beam_size}, but with --sample nothing is "
            f"searched for: leave one of them out; --n-best is the number of samples"
        )
    if not options.mbr and options.utility != Options.utility:
        raise InputError(
            f"--utility is {options.utility} without --mbr, expected both or neither"
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
