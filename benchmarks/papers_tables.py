"""The tables of docs/papers.md: the models, and what the papers found, tried again."""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

BEGIN, END = "<!-- made by benchmarks/papers.py -->", "<!-- end -->"
PARTS = ("all", "long", "short")
Results = list[dict[str, Any]]
Measure = Callable[[dict[str, Any]], float]


def bleu(search: str, part: str) -> Measure:
    """BLEU of a result."""
    return lambda result: result["bleu"][search][part]


def perplexities(part: str) -> Measure:
    """Perplexity of a result."""
    return lambda result: result["perplexity"][part]


def perplexity(sums: Sequence[tuple[float, int]]) -> float:
    """exp(nats / tokens) of `(nats, tokens)` of each sentence.

    >>> perplexity([(0.0, 1), (math.log(4.0), 1)])
    2.0
    """
    nats, tokens = map(sum, zip(*sums, strict=True))
    return math.exp(nats / tokens)


COLUMNS: dict[str, Measure] = {
    "BLEU": bleu("beam 5", "all"),
    "long": bleu("beam 5", "long"),
    "others": bleu("beam 5", "short"),
    "perplexity": perplexities("all"),
    "long ": perplexities("long"),
}
SEARCHES: dict[str, Measure] = {
    name: bleu(name, "compared")
    for name in (
        "greedy",
        "beam 5",
        "beam 5, no penalty",
        "beam 25",
        "beam 25, no penalty",
    )
}


class Finding(NamedTuple):
    """A claim of a paper, as a difference that ought to be positive, or about 0.

    Attributes:
        claim: what the papers say.
        better, worse: names of two rows and what is measured of each.
        alike: whether the claim is that there is no difference.
    """

    claim: str
    better: tuple[str, Measure]
    worse: tuple[str, Measure]
    alike: bool = False


def between(claim: str, better: str, worse: str, part: str = "all") -> Finding:
    """Of two models by beam 5."""
    return Finding(claim, (better, bleu("beam 5", part)), (worse, bleu("beam 5", part)))


def searched(claim: str, name: str, better: str, worse: str) -> Finding:
    """Of two searches with one model."""
    return Finding(claim, (name, SEARCHES[better]), (name, SEARCHES[worse]))


LUONG, SEARCH = "Luong 2015", "Bahdanau 2014, RNNsearch"
SEARCHED = (LUONG, SEARCH)  # decoded by every search, the others by beam 5 alone
FINDINGS = [
    between("attention over none (Bahdanau)", SEARCH, "Bahdanau 2014, RNNencdec"),
    between(
        "the same, sentences over 20 words",
        SEARCH,
        "Bahdanau 2014, RNNencdec",
        "long",
    ),
    between("attention over none (Luong)", LUONG, "Luong 2015, no attention"),
    between(
        "the same, sentences over 20 words", LUONG, "Luong 2015, no attention", "long"
    ),
    between(
        "reversal helps a unidirectional encoder without attention",
        "Sutskever 2014",
        "Sutskever 2014, source not reversed",
    ),
    between(
        "reversal helps a unidirectional encoder with attention",
        LUONG,
        "Luong 2015, source not reversed",
    ),
    between(
        "a bidirectional one gains nothing by it",
        "RNNsearch, source reversed",
        SEARCH,
    )._replace(alike=True),
    between("input feeding (Luong)", LUONG, "Luong 2015, no input feeding"),
    between("content over location (Luong)", LUONG, "Luong 2015, location"),
    between("local-m over global (Luong)", "Luong 2015, local-m", LUONG),
    between("local-p over global (Luong)", "Luong 2015, local-p", LUONG),
    between(
        "residual connections in deep stacks (GNMT)",
        "GNMT 2016",
        "GNMT 2016, no residual",
    ),
    between(
        "additive over general at 512 units",
        "512 units, additive",
        "512 units, general",
    ),
    between(
        "additive and scaled general are alike at 512 units",
        "512 units, additive",
        "512 units, scaled_general",
    )._replace(alike=True),
    between(
        "additive over dot at 512 units",
        "512 and 2 x 256 units, additive",
        "512 and 2 x 256 units, dot",
    ),
    between(
        "additive and scaled dot are alike at 512 units",
        "512 and 2 x 256 units, additive",
        "512 and 2 x 256 units, scaled_dot",
    )._replace(alike=True),
    searched("beam over greedy (Luong's model)", LUONG, "beam 5", "greedy"),
    searched("beam over greedy (RNNsearch)", SEARCH, "beam 5", "greedy"),
    searched(
        "length penalty, beam 25 (Luong's model)",
        LUONG,
        "beam 25",
        "beam 25, no penalty",
    ),
    searched(
        "length penalty, beam 25 (RNNsearch)", SEARCH, "beam 25", "beam 25, no penalty"
    ),
]


def into(page: str, results: Results) -> str:
    """The page with new tables between its markers."""
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    text = (
        f"{models(results, COLUMNS)}\n"
        "The searches, on the first test set:\n\n"
        f"{models([r for r in results if r['name'] in SEARCHED], SEARCHES)}\n"
        "What the papers found, as differences in BLEU, seed by seed:\n\n"
        f"{findings(results)}"
    )
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"


def models(results: Results, columns: dict[str, Measure]) -> str:
    """A row a model: mean and spread over the seeds."""
    lines = [
        f"| model | {' | '.join(title.strip() for title in columns)} | seeds |",
        "|---" * (len(columns) + 2) + "|",
    ]
    for name in dict.fromkeys(result["name"] for result in results):
        mine = [result for result in results if result["name"] == name]
        cells = [spread([measure(r) for r in mine]) for measure in columns.values()]
        lines.append(f"| {name} | {' | '.join(cells)} | {len(mine)} |")
    return "\n".join(lines) + "\n"


def findings(results: Results) -> str:
    """A row a claim: the difference over the seeds that both rows have."""
    lines = ["| claim | difference in BLEU | seeds | seen here |", "|---|---|---|---|"]
    there = {(result["name"], result["seed"]): result for result in results}
    seeds = sorted({seed for _, seed in there})
    for claim, (better, measure), (worse, other), alike in FINDINGS:
        gaps = [
            measure(there[better, seed]) - other(there[worse, seed])
            for seed in seeds
            if (better, seed) in there and (worse, seed) in there
        ]
        if gaps:
            told = f"{spread(gaps)} | {len(gaps)} | {verdict(gaps, alike)}"
            lines.append(f"| {claim} | {told} |")
    return "\n".join(lines) + "\n"


def verdict(gaps: list[float], alike: bool = False) -> str:
    """Whether a difference has one sign over all seeds and stands out of their spread.

    A few seeds may show a difference; that there is none they cannot.

    >>> verdict([1.0, 1.2, 0.9]), verdict([-1.0, 1.0]), verdict([-2.0, -2.1])
    ('yes', 'not clear', 'the opposite')
    >>> verdict([1.0, 1.2, 0.9], alike=True), verdict([-1.0, 1.0], alike=True)
    ('no, more', 'no difference seen')
    """
    if len(gaps) < 2:
        return "one seed"
    error = statistics.stdev(gaps) / math.sqrt(len(gaps))
    mean = statistics.mean(gaps)
    if min(gaps) * max(gaps) <= 0 or abs(mean) < 2 * error:
        return "no difference seen" if alike else "not clear"
    if alike:
        return "no, more" if mean > 0 else "no, less"
    return "yes" if mean > 0 else "the opposite"


def spread(values: list[float]) -> str:
    """Mean and standard deviation.

    >>> spread([1.0, 3.0])
    '2.0 ± 1.4'
    """
    mean = f"{statistics.mean(values):.1f}"
    return f"{mean} ± {statistics.stdev(values):.1f}" if len(values) > 1 else mean
