"""`align`: pictures of where the decoder looked."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from seq2seq_jax import flags
from seq2seq_jax.commands import decoding, streams
from seq2seq_jax.errors import InputError

DESCRIPTION = """Draw a heat map of the attention for each line, 00001.png and so on.

The source is above, the target at the left; dark is where the decoder looked.

A model of pictures has its picture once for each token, lit where it looked.

Prints the path of each picture. Empty lines have none."""


@dataclass(frozen=True, kw_only=True)
class Options(decoding.Search, decoding.Together):
    """Draw alignments as heat maps."""

    input: Annotated[str | None, tyro.conf.arg(aliases=["-i"])] = None
    """file of sources, one sequence a line; None: standard input"""
    target: str | None = None
    """file of targets to align, line by line; None: what the model translates"""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """folder for the pictures; made if need be"""
    format: Literal["png", "svg", "pdf"] = "png"
    """of the pictures"""


def main(args: Sequence[str], prog: str) -> None:
    """Draw as the arguments say.

    Raises:
        InputError: where the arguments, the workdir or a line cannot be used.
    """
    options = flags.parse(Options, args, prog=prog, description=DESCRIPTION)
    decoding.check_source(options.workdir, "align")
    decoding.check_attention(options.workdir, "align", options.also)
    check_search(options)
    if options.target is not None and options.input not in streams.STREAM:
        streams.count([options.input, options.target])
    sources = streams.lines(options.input)
    check_folder(options.output)
    predictor = decoding.load(options)
    options.output.mkdir(exist_ok=True)
    skipped = 0
    texts, sources = itertools.tee(sources)
    found = zip(texts, alignments(predictor, sources, options), strict=True)
    for number, (text, said) in enumerate(found, 1):
        if len(said.source_pieces) < 2:  # nothing but its end
            skipped += 1
            continue
        path = options.output / f"{number:05}.{options.format}"
        draw(predictor, text, said, path)
        print(path, flush=True)
    if skipped:
        decoding.warn(f"lines without a picture, since they are empty: {skipped:,}")


def draw(predictor: Any, text: str, said: Any, path: Path) -> None:
    """A heat map; of a model of pictures, the picture lit for each token."""
    from seq2seq_jax.data.arrays import ARRAYS
    from seq2seq_jax.nn import ends
    from seq2seq_jax.plots import heatmap, looking  # matplotlib takes half a second

    reader = predictor.source_tokenizer
    if reader.kind in ARRAYS and (group := ARRAYS[reader.kind].group):
        rows = reader.raw(text)
        grid = ends.grid(predictor.config, rows.shape)
        if len(grid) == 2:
            picture = rows.reshape(len(rows), -1, group)
            looking.draw(picture, said.alignment, grid, said.pieces, path)
            return
    heatmap.draw(said.alignment, said.source_pieces, said.pieces, path)


def alignments(
    predictor: Any, sources: Iterator[str], options: Options
) -> Iterator[Any]:
    """What has `alignment`, `source_pieces` and `pieces` for each line."""
    if options.target is not None:
        return predictor.score(sources, streams.lines(options.target))
    results = decoding.translate(predictor, sources, options, alignments=True)
    return (best for best, *_ in results)


def check_search(options: Options) -> None:
    """Refuse options of a search where there is none."""
    for name in decoding.SEARCH:
        value = getattr(options, name)
        if options.target is not None and value != getattr(Options, name):
            raise InputError(
                f"--{name.replace('_', '-')} is {value}, but --target is given and "
                f"nothing searched for: leave one of them out"
            )


def check_folder(folder: Path) -> None:
    """Refuse a folder for pictures that is a file or whose parent is not there."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, expected a folder for pictures")
    if not folder.absolute().parent.is_dir():
        raise InputError(f"{folder} cannot be made: its parent folder does not exist")
