"""Measures of outputs against references, by name in `METRICS`.

Every value is in percent, 0 to 100 (an error rate may exceed 100: a hypothesis can be
longer than its reference). `references[i]` holds the accepted references of line `i`;
where there are several, the closest one counts.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rapidfuzz.distance import Levenshtein

from seq2seq_jax.errors import InputError, choose
from seq2seq_jax.evaluation.summaries import repeated_trigrams, rouge_scorer
from seq2seq_jax.extending import called

Lines = Sequence[str]
References = Sequence[Sequence[str]]
Units = Callable[[str], Sequence[Hashable]]


@dataclass(frozen=True)
class Options:
    """How lines are compared.

    Attributes:
        units: cuts a line into the tokens that `token_error_rate` counts.
        lowercase: compare without case.
        tokenize: sacrebleu's tokenisation for BLEU; None: sacrebleu's default.
    """

    units: Units = str.split
    lowercase: bool = False
    tokenize: str | None = None


class Metric(NamedTuple):
    """One measure.

    Attributes:
        function: (hypotheses, references, options) -> percent.
        higher_is_better: False for error rates.
        title: what a table calls it.
        signature: options -> sacrebleu's signature; None where there is none.
        extra: measured only where it is asked for.
        unit: of its values, as tables show it; empty: they have none.
    """

    function: Callable[[Lines, References, Options], float]
    higher_is_better: bool
    title: str
    signature: Callable[[References, Options], str] | None = None
    extra: bool = False
    unit: str = "%"


class Measured(NamedTuple):
    """A metric's value in percent, with sacrebleu's signature where it has one."""

    value: float
    signature: str | None


def measure(
    names: Sequence[str],
    hypotheses: Lines,
    references: References,
    options: Options = Options(),
) -> dict[str, Measured]:
    """Measure the hypotheses by each of the named metrics.

    Raises:
        InputError: on an unknown name, no lines at all, numbers of lines that differ, a
            line without a reference, or a tokenisation that sacrebleu does not have.

    >>> measured = measure(["exact_match"], ["a b", "c"], [["a b"], ["d"]])
    >>> measured["exact_match"].value
    50.0
    """
    check(hypotheses, references)
    results = {}
    for name in names:
        metric = METRICS[choose(METRICS, name, "metric")]
        value = number(name, metric, hypotheses, references, options)
        signature = metric.signature and metric.signature(references, options)
        results[name] = Measured(value, signature)
    return results


def number(name: str, metric: Metric, *args: Any) -> float:
    """What a metric gives, as a Python number: NumPy's and JAX's are no JSON."""
    value = called(f"metric {name!r}", metric.function, *args)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"metric {name!r} gave {value!r}, expected a number") from None


def chosen(*asked: str) -> list[str]:
    """Names of what is always measured, and of what is asked for, ROUGE as a whole.

    >>> "rouge1" in chosen("bleu"), "rouge1" in chosen("rougeL")
    (False, True)
    """
    extra = any(METRICS[name].extra for name in asked if name in METRICS)
    return [name for name, metric in METRICS.items() if extra or not metric.extra]


def check(hypotheses: Lines, references: References) -> None:
    """Refuse what cannot be compared line by line.

    >>> check(["a"], [["a"], ["b"]])
    Traceback (most recent call last):
        ...
    seq2seq_jax.errors.InputError: 1 hypotheses and 2 references, expected as many...
    """
    if len(hypotheses) != len(references):
        raise InputError(
            f"{len(hypotheses)} hypotheses and {len(references)} references, expected "
            "as many of one as of the other"
        )
    if not hypotheses:
        raise InputError("there is no line to measure, expected at least one")
    for number, accepted in enumerate(references, 1):
        if not accepted:
            raise InputError(f"line {number} has no reference, expected at least one")


def units_of(tokenizer: str, own: Units | None = None) -> Units:
    """What `token_error_rate` counts where the target's tokeniser is of this kind.

    Characters or bytes, else words: models with different subwords compare, and words'
    rates are speech recognition's. Of a kind that is not this package's, its `own`.

    >>> list(units_of("char")("ab c")), units_of("sentencepiece")("ab c")
    (['a', 'b', ' ', 'c'], ['ab', 'c'])
    """
    if own is not None:
        return own
    if tokenizer.startswith("char"):
        return list
    return str.encode if tokenizer == "byte" else str.split


def exact_match(
    hypotheses: Lines, references: References, options: Options = Options()
) -> float:
    """Percent of lines that equal a reference, white space at ends and runs aside.

    >>> exact_match(["a  b", "c"], [["x", "a b"], ["C"]])
    50.0
    """
    check(hypotheses, references)
    right = sum(
        _plain(hypothesis, options) in {_plain(text, options) for text in accepted}
        for hypothesis, accepted in zip(hypotheses, references, strict=True)
    )
    return 100.0 * right / len(hypotheses)


def word_error_rate(
    hypotheses: Lines, references: References, options: Options = Options()
) -> float:
    """Percent of lines that equal no reference: 100 - `exact_match`.

    This is the field's word error rate for pronunciation, inflection and
    transliteration, where a line is one word. (Speech recognition's, edits over words,
    is `token_error_rate` over words.)

    >>> word_error_rate(["AH P R IY", "B"], [["AH P R IY"], ["D"]])
    50.0
    """
    return 100.0 - exact_match(hypotheses, references, options)


def token_error_rate(
    hypotheses: Lines, references: References, options: Options = Options()
) -> float:
    """Percent of tokens to insert, delete or replace; over all lines together.

    sum of Levenshtein distances / sum of reference lengths (micro average), with
    `options.units` as tokens: the phoneme error rate where tokens are phonemes, the
    character error rate where they are characters. Of several references the one with
    the smallest distance / length counts. Where all references are empty, 0 for
    hypotheses that are empty too, else 100.

    >>> token_error_rate(["a b c", "x"], [["a b d e"], ["x"]])
    40.0
    """
    check(hypotheses, references)
    edits = length = 0
    for hypothesis, accepted in zip(hypotheses, references, strict=True):
        said = options.units(_plain(hypothesis, options))
        wanted = (options.units(_plain(text, options)) for text in accepted)
        closest = min(((distance(said, w), len(w)) for w in wanted), key=_rate)
        edits, length = edits + closest[0], length + closest[1]
    if not length:
        return 100.0 if edits else 0.0
    return 100.0 * edits / length


def distance(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """Fewest insertions, deletions and replacements that make `a` into `b`.

    >>> distance("kitten", "sitting")
    3
    """
    return Levenshtein.distance(a, b)


def bleu(
    hypotheses: Lines, references: References, options: Options = Options()
) -> float:
    """Corpus BLEU by sacrebleu (Papineni et al. 2002; Post 2018).

    >>> bleu(["the cat sat on the mat"], [["the cat sat on the mat"]])
    100.0
    """
    return _corpus(_bleu, hypotheses, references, options)


def chrf(
    hypotheses: Lines, references: References, options: Options = Options()
) -> float:
    """Corpus chrF2 by sacrebleu (Popovic 2015).

    >>> chrf(["the cat"], [["the cat"]])
    100.0
    """
    return _corpus(_chrf, hypotheses, references, options)


def rouge(kind: str) -> Callable[[Lines, References, Options], float]:
    """ROUGE by rouge-score (Lin 2004): the mean over lines of F1, not stemmed.

    Of several references the one with the largest F1 counts. Words are runs of letters
    and digits of any script, in lower case; of English text, those of rouge-score.

    Args:
        kind: rouge1 or rouge2 (n-grams), or rougeL (longest common subsequence).

    >>> rouge("rougeL")(["the cat sat"], [["a dog", "The cat, it sat"]], Options())
    85.71428571428571
    """

    def measured(hypotheses: Lines, references: References, options: Options) -> float:
        check(hypotheses, references)
        scorer = rouge_scorer(kind)
        total = sum(
            scorer.score_multi(accepted, hypothesis)[kind].fmeasure
            for hypothesis, accepted in zip(hypotheses, references, strict=True)
        )
        return 100.0 * total / len(hypotheses)

    return measured


def repeats(
    hypotheses: Lines, references: References, options: Options = Options()
) -> float:
    """Percent of trigrams that their line had before: `summaries.repeated_trigrams`.

    >>> repeats(["a b c a b c"], [["a b c"]])
    25.0
    """
    check(hypotheses, references)
    return repeated_trigrams(hypotheses)


def _plain(text: str, options: Options) -> str:
    text = " ".join(text.split())
    return text.lower() if options.lowercase else text


def _rate(counts: tuple[int, int]) -> tuple[float, int]:
    # An empty reference must not divide by zero, and must lose against a shorter way.
    edits, length = counts
    return edits / max(length, 1), edits


def _bleu(options: Options) -> Any:
    import sacrebleu  # a quarter of a second that most commands need not wait for

    tokenizers = sacrebleu.metrics.bleu.BLEU.TOKENIZERS
    if options.tokenize is not None:
        choose(tokenizers, options.tokenize, "tokenize")
    try:
        return sacrebleu.BLEU(
            lowercase=options.lowercase, tokenize=options.tokenize, force=True
        )
    except (ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"tokenize is {options.tokenize!r}: {reason}") from None


def _chrf(options: Options) -> Any:
    import sacrebleu

    return sacrebleu.CHRF(lowercase=options.lowercase)


def _corpus(
    make: Callable[[Options], Any],
    hypotheses: Lines,
    references: References,
    options: Options,
) -> float:
    check(hypotheses, references)
    scorer = make(options)
    score = scorer.corpus_score(hypotheses, list(_streams(references))).score
    return min(float(score), 100.0)  # rounding takes sacrebleu a little above


def _signature(make: Callable[[Options], Any]) -> Callable[[References, Options], str]:
    def signature(references: References, options: Options) -> str:
        # It tells the number of references, which sacrebleu takes from the last score:
        # one short line for each number that occurs does.
        counts = sorted({len(accepted) for accepted in references})
        scorer = make(options)
        scorer.corpus_score(
            ["a"] * len(counts), [*_streams([["a"] * n for n in counts])]
        )
        return str(scorer.get_signature())

    return signature


def _streams(references: References) -> Iterator[list[str | None]]:
    """sacrebleu's layout: one list for each reference, None where a line has fewer."""
    most = max(len(accepted) for accepted in references)
    for n in range(most):
        yield [texts[n] if n < len(texts) else None for texts in references]


METRICS: dict[str, Metric] = {
    "exact_match": Metric(exact_match, True, "exact match"),
    "token_error_rate": Metric(token_error_rate, False, "token error rate"),
    "word_error_rate": Metric(word_error_rate, False, "word error rate"),
    "bleu": Metric(bleu, True, "BLEU", _signature(_bleu)),
    "chrf": Metric(chrf, True, "chrF2", _signature(_chrf)),
    "rouge1": Metric(rouge("rouge1"), True, "ROUGE-1", extra=True),
    "rouge2": Metric(rouge("rouge2"), True, "ROUGE-2", extra=True),
    "rougeL": Metric(rouge("rougeL"), True, "ROUGE-L", extra=True),
    "repeated_trigrams": Metric(repeats, False, "repeated", extra=True),
}
