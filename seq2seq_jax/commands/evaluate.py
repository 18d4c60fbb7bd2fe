"""`evaluate`: translate, and measure against references."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from seq2seq_jax import flags
from seq2seq_jax.commands import decoding, streams
from seq2seq_jax.errors import InputError
from seq2seq_jax.evaluation import metrics
from seq2seq_jax.evaluation.metrics import METRICS, Measured
from seq2seq_jax.evaluation.summaries import lead

DESCRIPTION = """Translate sources and measure the outputs by references, in percent.

exact match: lines that equal a reference, white space at ends and runs aside.

token error rate: tokens to change, divided by tokens of the references.

Tokens are characters or bytes where the target's tokeniser says so, else words.

word error rate: lines that equal no reference, where a line is a word.

BLEU and chrF2: by sacrebleu, with the signature to cite.

With --rouge: ROUGE-1, -2 and -L by rouge-score, mean F1 of lines, unstemmed.

Then also repeated: the share of trigrams that an output has said before.

With --lead N: all of it of the first N words of a source, a baseline."""


# Options that as_json repeats.
SAID = (*decoding.SEARCH, "shortlist", "replace_unk", "also", "mix")


@dataclass(frozen=True, kw_only=True)
class Options(decoding.Text, decoding.Together):
    """Translate and measure against references."""

    source: str
    """file of sources, one sequence a line"""
    reference: tuple[str, ...]
    """file of references, line by line; of several files the closest line counts"""
    lowercase: flags.Switch = False
    """compare without case; always so where the workdir has data.lowercase"""
    tokenize: str | None = None
    """sacrebleu's tokenisation for BLEU: 13a, none, intl, zh, char ...; None: 13a"""
    rouge: flags.Switch = False
    """ROUGE and repeated trigrams as well, for summaries"""
    lead: int | None = None
    """compare with a baseline: that many words of the source's first sentence"""
    json: flags.Switch = False
    """print one JSON object"""


def main(args: Sequence[str], prog: str) -> None:
    """Evaluate as the arguments say.

    Raises:
        InputError: where the arguments, the workdir or a line cannot be used.
    """
    options = flags.parse(Options, args, prog=prog, description=DESCRIPTION)
    if options.lead is not None and options.lead < 1:
        raise InputError(f"--lead is {options.lead}, expected 1 or more words")
    decoding.check_source(options.workdir, "evaluate")
    decoding.check_dictionary(options)
    streams.count([options.source, *options.reference])
    files = (streams.lines(path) for path in options.reference)
    references = list(zip(*files, strict=True))
    from seq2seq_jax.data.kinds import own_units  # JAX

    data = decoding.run_config(options.workdir).data
    kind = data.target_tokenizer
    comparison = metrics.Options(
        units=metrics.units_of(kind, own_units(kind)),
        lowercase=options.lowercase or data.lowercase,
        tokenize=options.tokenize,
    )
    # A wrong tokenisation or a missing package must not be told after an hour.
    names = metrics.chosen("rougeL") if options.rouge else metrics.chosen()
    metrics.measure(names, [""], [[""]], comparison)
    sources = streams.lines(options.source)
    predictor = decoding.load(options)
    replacement = decoding.replacement(predictor, options)
    results = decoding.translate(predictor, sources, options, **replacement)
    hypotheses = [best.text for best, *_ in results]
    measured = metrics.measure(names, hypotheses, references, comparison)
    first: dict[str, Measured] = {}
    if options.lead is not None:
        said = [lead(text, options.lead) for text in streams.lines(options.source)]
        first = metrics.measure(names, said, references, comparison)
    if options.json:
        print(as_json(measured, first, len(hypotheses), options))
    else:
        show(measured, first, len(hypotheses))


def as_json(
    measured: dict[str, Measured],
    first: dict[str, Measured],
    lines: int,
    options: Options,
) -> str:
    """One JSON object: a number for each metric, and what is needed to repeat it."""
    return json.dumps(
        {name: value for name, (value, _) in measured.items()}
        | {"signatures": {name: s for name, (_, s) in measured.items() if s}}
        | ({"lead": {n: value for n, (value, _) in first.items()}} if first else {})
        | {"lines": lines, "checkpoint": options.checkpoint}
        | {name: getattr(options, name) for name in SAID},
        default=str,  # paths
    )


def show(measured: dict[str, Measured], first: dict[str, Measured], lines: int) -> None:
    """A table on a terminal, else `name<TAB>value<TAB>signature` a line.

    What the baseline reaches stands beside it, or in lines of its own, `lead_name`.
    """
    if not sys.stdout.isatty():
        both = measured | {f"lead_{name}": value for name, value in first.items()}
        for name, (value, signature) in both.items():
            print(name, f"{value:.2f}", signature or "", sep="\t")
        return
    from rich.console import Console
    from rich.table import Table

    titles = ["metric", "%", *["lead, %"] * bool(first), "signature"]
    table = Table(*titles, title=f"{lines:,} lines")
    for column in table.columns[1:-1]:
        column.justify = "right"
    table.columns[-1].overflow = "fold"
    for name, (value, signature) in measured.items():
        beside = [f"{first[name].value:.2f}"] if first else []
        table.add_row(METRICS[name].title, f"{value:.2f}", *beside, signature or "")
    Console().print(table)
