"""`shortlist`: which target tokens `translate --shortlist` may say."""

import dataclasses
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seq2seq_jax import flags
from seq2seq_jax.commands import decoding, streams
from seq2seq_jax.errors import InputError

DESCRIPTION = """Find which target tokens each source token may become.

A search with --shortlist says only these and the most frequent ones (Jean et

al. 2015): its output layer is a fraction of the whole, which makes it faster.

By IBM Model 1 on the training's own pairs, or on those of two files; written

into the workdir, as shortlist.npz."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Find which target tokens each source token may become."""

    workdir: Path
    """folder of the training run"""
    source: str | None = None
    """file of sources, line by line; None: what the training read"""
    target: str | None = None
    """file of their targets"""
    frequent: int = 100
    """target tokens that any output may say: the most frequent"""
    likely: int = 30
    """target tokens of each source token, at most: the likeliest"""
    pairs: int = 100_000
    """pairs that are counted, drawn from all; more take more memory"""


def main(args: Sequence[str], prog: str) -> None:
    """Write a shortlist as the arguments say.

    Raises:
        InputError: where the arguments, the workdir or the pairs cannot be used.
    """
    options = flags.parse(Options, args, prog=prog, description=DESCRIPTION)
    for name in ("frequent", "likely", "pairs"):
        if getattr(options, name) < 1:
            value = getattr(options, name)
            raise InputError(f"--{name} is {value}, expected 1 or more")
    if (options.source is None) != (options.target is None):
        given = "source" if options.target is None else "target"
        raise InputError(f"--{given} is given alone, expected --source and --target")
    decoding.check_source(options.workdir, "shortlist")
    decoding.check_texts(options.workdir, "shortlist")
    from seq2seq_jax.data import pipeline, sources
    from seq2seq_jax.inference import batching, shortlist, workdir
    from seq2seq_jax.nn import checks

    config = checks.load(options.workdir / "config.json")
    workdir.check_narrow(config.model)
    both = pipeline.load_tokenizers(config.data, options.workdir / "tokenizers")
    if both is None:
        raise InputError(f"{options.workdir} has no tokenizers, expected a training's")
    both = dataclasses.replace(both[0], parts=config.model.sources), both[1]
    texts: Iterable[tuple[str, str]] | None
    if options.source is not None and options.target is not None:
        streams.count([options.source, options.target])
        texts = sources.file_pairs(options.source, options.target)
    else:
        texts = sources.open_pairs(config.data, "train", decoding.warn)
    drawn = sample(texts or [], options.pairs)
    pairs = [(both[0].encode(said), both[1].encode(meant)) for said, meant in drawn]
    edges = batching.length_edges(config.data.max_length)
    found = shortlist.made(pairs, both, options.frequent, options.likely, edges)
    path = found.save(options.workdir)
    each = zip(batching.FEW, found.widths.max(axis=1), strict=True)
    widths = ", ".join(f"{width:,} for {rows}" for rows, width in each)
    print(
        f"{path}: from {len(pairs):,} pairs; of {both[1].size:,} target tokens a batch "
        f"searches about, by its lines: {widths}",
        file=sys.stderr,
    )
    if found.widths.min() >= found.size:
        decoding.warn("that is no fewer than there are: searches will be no faster")


def sample(
    pairs: Iterable[tuple[str, str]], most: int, seed: int = 0
) -> list[tuple[str, str]]:
    """At most so many of a stream, drawn evenly; the same ones each time.

    >>> len(sample([("a", "b")] * 9, 4))
    4
    """
    draw, kept = random.Random(seed), []
    for number, pair in enumerate(pairs):
        if number < most:
            kept.append(pair)
        elif (place := draw.randrange(number + 1)) < most:
            kept[place] = pair
    return kept
