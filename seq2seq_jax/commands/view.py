"""`view`: a page of HTML that shows where the model looked, and how it searched."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from seq2seq_jax import flags
from seq2seq_jax.commands import decoding, streams
from seq2seq_jax.errors import InputError

if TYPE_CHECKING:
    from seq2seq_jax.inference.predictor import Predictor

DESCRIPTION = """Write one page of HTML that shows where each output token looked.

It has a heat map, the n-best outputs, the tree of hypotheses that the beam

followed, and the model's steps one by one: docs/viewer.md.

The page is one file that loads nothing: open it in any browser."""
MOST = 500  # lines of a page: a browser holds all of it
DIGITS = 4  # of a weight
# What the attention reads of the decoder, by the decoder's kind; of others: its state.
READS = {"luong": "new state", "bahdanau": "state before this step"}


@dataclass(frozen=True, kw_only=True)
class Options(decoding.Search):
    """Write a page that shows where the model looked."""

    input: Annotated[str | None, tyro.conf.arg(aliases=["-i"])] = None
    """file of sources, one sequence a line; None: standard input"""
    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"])] = None
    """the page to write, whole or not at all; None: standard output"""
    n_best: int | None = None
    """outputs to choose from for each line; None: the beam size"""
    title: str | None = None
    """of the page; None: the name of the workdir"""


def main(args: Sequence[str], prog: str) -> None:
    """Write the page as the arguments say.

    Raises:
        InputError: where the arguments, the workdir or a line cannot be used.
    """
    options = flags.parse(Options, args, prog=prog, description=DESCRIPTION)
    decoding.check_source(options.workdir, "view")
    decoding.check_texts(options.workdir, "view")
    decoding.check_attention(options.workdir, "view")
    best = options.beam_size if options.n_best is None else options.n_best
    if not 1 <= best <= options.beam_size:
        raise InputError(
            f"--n-best is {best}, expected 1 to --beam-size ({options.beam_size})"
        )
    with streams.writer(options.output, [options.input]) as write:
        lines = few(streams.lines(options.input))
        predictor = decoding.load(options)
        from seq2seq_jax.viewer.page import page

        data = {
            "live": False,
            "beam_size": options.beam_size,
            "model": about(predictor),
            "sentences": [sentence(predictor, line, options, best) for line in lines],
        }
        title = options.title or options.workdir.resolve().name
        write(page(title, data).rstrip("\n"))


def few(lines: Iterator[str]) -> list[str]:
    """All lines, if a page can hold them.

    Raises:
        InputError: there are too many.
    """
    kept = [line for _, line in zip(range(MOST + 1), lines, strict=False)]
    if len(kept) > MOST:
        raise InputError(
            f"the input has over {MOST} lines, expected at most {MOST} for a page: "
            f"give fewer (`head -n {MOST}`)"
        )
    return kept


def about(predictor: "Predictor") -> dict[str, Any]:
    """What the page tells of the model."""
    config = predictor.config
    both = config.bidirectional and config.encoder == "recurrent"
    facts = (
        f"{config.cell}, {config.hidden_size} wide, encoder "
        f"{'in both directions' if both else 'in one direction'}, "
        f"attention {config.attention}, decoder {config.decoder}"
    )
    return {
        "facts": facts,
        "attention": config.attention,
        "bidirectional": both,
        "reads": READS.get(config.decoder.partition("_")[0], "state"),
    }


def sentence(
    predictor: "Predictor", text: str, options: decoding.Search, n_best: int
) -> dict[str, Any]:
    """What the page shows of a text: plain values, as the page reads them."""
    from seq2seq_jax.inference.history import search_tree

    wishes = decoding.search_options(options)
    found = search_tree(predictor, text, n_best=n_best, **wishes)
    outputs = [
        {
            "text": decoding.one_line(one.text),
            "pieces": one.pieces,
            "score": round(one.score, DIGITS),
            "log_prob": round(one.log_prob, DIGITS),
            "token_log_probs": rounded(log_probs),
            "weights": rounded(one.alignment),
        }
        for one, log_probs in zip(found.hypotheses, found.token_log_probs, strict=True)
    ]
    source = found.hypotheses[0].source_pieces if found.hypotheses else []
    tree = [
        [
            node.step,
            node.parent,
            node.piece,
            round(node.log_prob, DIGITS),
            node.ended,
            node.rank,
        ]
        for node in found.tree
    ]
    return {"text": text, "source": source, "outputs": outputs, "tree": tree}


def rounded(numbers: Any) -> Any:
    """An array as lists of numbers that a page has room for."""
    import numpy as np

    return np.round(np.asarray(numbers, np.float64), DIGITS).tolist()
