"""`export`: a folder that translates without this package."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from seq2seq_jax import flags
from seq2seq_jax.commands import decoding
from seq2seq_jax.errors import InputError

DESCRIPTION = """Export a model: one folder of programs, weights and tokenisers.

A script in it runs them where there are jax and numpy (sentencepiece too,

where it is used), on CPUs, GPUs and TPUs. What is searched for is baked in."""


@dataclass(frozen=True, kw_only=True)
class Options(decoding.Search):
    """Export a model that runs without this package."""

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """folder to make"""
    n_best: int = 1
    """hypotheses for each line, at most the beam size"""
    max_output_length: int | None = None
    """tokens of an output at most, EOS included; None: by the line's length"""
    alignments: bool = True
    """whether the program tells where it looked, if the model has attention"""
    weights: Literal["float32", "bfloat16", "int8"] = "float32"
    """how matrices are stored; computed is in the model's own precision"""
    rows: int = 32
    """lines that the program works off at a time, one line no faster than all of them;
    1: for one line at a time"""
    platforms: tuple[Literal["cpu", "cuda", "tpu"], ...] = ("cpu", "cuda", "tpu")
    """what the programs run on"""


def main(args: Sequence[str], prog: str) -> None:
    """Export as the arguments say.

    Raises:
        InputError: where the arguments or the workdir cannot be used, the folder is
            there, or a package is missing.
    """
    options = flags.parse(Options, args, prog=prog, description=DESCRIPTION)
    if importlib.util.find_spec("flatbuffers") is None:
        raise InputError("export needs flatbuffers: pip install 'seq2seq-jax[export]'")
    if options.rows < 1:
        raise InputError(f"--rows is {options.rows}, expected 1 or more")
    reads = decoding.reads_source(options.workdir)
    decoding.check_texts(options.workdir, "export")
    from seq2seq_jax.training.averaging import check_output

    check_output(options.output)
    predictor = decoding.load(options)
    from seq2seq_jax.exporting import folder
    from seq2seq_jax.inference import options as searches
    from seq2seq_jax.nn.scores import SCORES

    attention = predictor.config.attention
    search = searches.Search(
        n_best=options.n_best,
        max_output_length=options.max_output_length,
        alignments=options.alignments and SCORES[attention].looks,
        **decoding.search_options(options),
    )
    searches.check(search, predictor.target_tokenizer.size, attention)
    sizes = folder.write(
        options.output,
        predictor,
        search if reads else None,
        options.weights,
        tuple(dict.fromkeys(options.platforms)),
        options.rows,
    )
    for name, size in sizes.items():
        print(f"{size:>12,}  {options.output / name}")
