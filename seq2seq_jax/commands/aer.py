"""`aer`: alignments against those made by hand."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seq2seq_jax import flags
from seq2seq_jax.commands import decoding, streams
from seq2seq_jax.errors import InputError
from seq2seq_jax.evaluation import aer

DESCRIPTION = """Alignment error rate, precision and recall in percent (Och & Ney 2003).

Gold lines hold links i-j of words, from 0, source word first, and i?j where

a link is possible alone. With --workdir, --source and --target a model is forced

to say the targets, and words are linked where any of their tokens look at each

other most."""


@dataclass(frozen=True, kw_only=True)
class Asked(decoding.Model, decoding.Together):
    """The model, or the ensemble."""


@dataclass(frozen=True, kw_only=True)
class Options(decoding.Together):
    """Measure alignments against alignments by hand."""

    gold: str
    """file of links, line by line"""
    possible: str | None = None
    """file of more links that are possible, line by line"""
    alignments: str | None = None
    """file of links i-j to measure; None: those of a model"""
    workdir: Path | None = None
    """folder of the training run"""
    checkpoint: str = "best"
    """best, latest, or the number of a step"""
    source: str | None = None
    """file of sources, words with spaces between them"""
    target: str | None = None
    """file of targets, line by line with the sources"""


def main(args: Sequence[str], prog: str) -> None:
    """Measure as the arguments say.

    Raises:
        InputError: where the arguments, the workdir or a line cannot be used.
    """
    options = flags.parse(Options, args, prog=prog, description=DESCRIPTION)
    check(options)
    files = (options.gold, options.possible, options.alignments)
    given = [*files, options.source, options.target]
    streams.count([path for path in given if path is not None])
    more = None if options.possible is None else streams.lines(options.possible)
    gold = aer.read(streams.lines(options.gold), options.gold, more)
    if options.alignments is not None:
        lines = streams.lines(options.alignments)
        found = [one.possible for one in aer.read(lines, options.alignments)]
    else:
        found = list(forced(options))
    for name, value in aer.rates(found, gold)._asdict().items():
        print(f"{name}\t{value:.2f}")


def check(options: Options) -> None:
    """Refuse options of a model beside a file of alignments, and neither of them."""
    names = ("workdir", "source", "target")
    if options.alignments is not None and options.also:
        raise InputError("--also is given, but --alignments too: leave one out")
    for name in names:
        value = getattr(options, name)
        if options.alignments is not None and value is not None:
            raise InputError(
                f"--{name} is {value}, but --alignments is given: leave one out"
            )
        if options.alignments is None and value is None:
            raise InputError(
                f"--{name} is missing, expected --alignments FILE, or all of "
                f"--workdir, --source and --target"
            )
    if options.workdir is not None:
        decoding.check_source(options.workdir, "aer")
        decoding.check_texts(options.workdir, "aer")
        decoding.check_attention(options.workdir, "aer", options.also)


def forced(options: Options) -> Iterator[aer.Links]:
    """The links of a model that is forced to say the targets."""
    assert options.workdir is not None and options.target is not None
    predictor = decoding.load(
        Asked(
            workdir=options.workdir,
            checkpoint=options.checkpoint,
            also=options.also,
            mix=options.mix,
        )
    )
    sides = options.source, options.target
    scores = predictor.score(*map(streams.lines, sides))
    for *texts, score in zip(*map(streams.lines, sides), scores, strict=True):
        words = (
            aer.words_of(one.written(text), "▁" if one.units is None else "")
            for one, text in zip(predictor.tokenizers, texts, strict=True)
        )
        assert score.alignment is not None
        yield aer.hard(score.alignment, *words)
