"""Train the small variant of every paper's model on the same data, and compare them.

    python benchmarks/papers.py --data DIR --source en --target de --runs runs/papers

DIR holds parallel text: `train.en`, `train.de`, `val.*` and any number of `test*.*`.
Every model gets the same number of updates of the same size, over the same subwords;
only what the row names differs. All numbers go to docs/papers.json, the tables between
the markers of docs/papers.md. What docs/papers.json has with the same flags and recipe
is not made again: the command may be interrupted, and given more seeds or rows later.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import papers_tables as tables
import sacrebleu
import tyro
from jobs import call, cores_each

from seq2seq_jax.commands import recipes
from seq2seq_jax.config import Config
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.training.workdirs import differences

ROOT = Path(__file__).resolve().parent.parent
NUMBERS, PAGE = ROOT / "docs" / "papers.json", ROOT / "docs" / "papers.md"
LONG = 20  # words: a source with more is a long sentence
COMPARED = 1000  # sentences, from the first test file on, that all searches decode
MAIN = "beam 5"
SEARCHES = {
    "greedy": (1, 0.0),
    MAIN: (5, 1.0),
    "beam 5, no penalty": (5, 0.0),
    "beam 25": (25, 1.0),
    "beam 25, no penalty": (25, 0.0),
}

# Each row: a recipe's small variant, and what is changed in it.
REVERSED, ATTENTION = "--model.reverse_source=", "--model.attention="
ROWS: dict[str, list[str]] = {
    "Sutskever 2014": ["sutskever2014"],
    "Sutskever 2014, source not reversed": ["sutskever2014", f"{REVERSED}False"],
    "Cho 2014": ["cho2014"],
    "Bahdanau 2014, RNNencdec": ["bahdanau2014:rnnencdec_small"],
    "Bahdanau 2014, RNNsearch": ["bahdanau2014"],
    "RNNsearch, source reversed": ["bahdanau2014", f"{REVERSED}True"],
    "Luong 2015": ["luong2015"],
    "Luong 2015, no attention": [
        "luong2015",
        "--model.decoder=plain",
        f"{ATTENTION}none",
    ],
    "Luong 2015, source not reversed": ["luong2015", f"{REVERSED}False"],
    "Luong 2015, no input feeding": ["luong2015", "--model.input_feeding=False"],
    "Luong 2015, dot": ["luong2015", f"{ATTENTION}dot"],
    "Luong 2015, concat": ["luong2015", f"{ATTENTION}concat"],
    "Luong 2015, location": ["luong2015", f"{ATTENTION}location"],
    "Luong 2015, local-m": ["luong2015", "--model.alignment=local_m"],
    "Luong 2015, local-p": ["luong2015", "--model.alignment=local_p"],
    "GNMT 2016": ["gnmt2016"],
    "GNMT 2016, no residual": ["gnmt2016", "--model.residual=none"],
    "GNMT 2016, tensorflow/nmt's gnmt": ["gnmt2016", "--model.decoder=gnmt"],
    "GNMT 2016, tensorflow/nmt's gnmt_v2": ["gnmt2016", "--model.decoder=gnmt_v2"],
    "RNMT+ 2018": ["rnmt_plus2018"],
    "tensorflow/nmt": ["tensorflow_nmt"],
    "tensorflow/nmt, not scaled": ["tensorflow_nmt", f"{ATTENTION}general"],
}
BUDGET = [
    "--data.vocab_size=2000",
    "--training.batch_tokens=1024",
    "--training.eval_examples=50",
]
LARGE = [
    "tensorflow_nmt",
    "--model.hidden_size=512",
    "--model.embedding_size=128",
    "--model.init_scale=0.14",
    "--training.learning_rate=3e-3",
]
ROWS |= {
    f"512 units, {score}": [*LARGE, f"{ATTENTION}{score}"]
    for score in ("additive", "general", "scaled_general")
}
# As large, but annotations of 512 too, which a dot product needs.
EQUAL = [
    *LARGE,
    "--model.hidden_size=256",
    "--model.decoder_hidden_size=512",
    "--model.bridge=pass",
]
ROWS |= {
    f"512 and 2 x 256 units, {score}": [*EQUAL, f"{ATTENTION}{score}"]
    for score in ("additive", "dot", "scaled_dot")
}


@dataclass(frozen=True)
class Options:
    """What to train, on what, and where."""

    data: Path
    """folder of parallel text: train.X, val.X, test*.X"""
    source: str = "en"
    """ending of the source files"""
    target: str = "de"
    """ending of the target files"""
    runs: Path = Path("runs/papers")
    """folder of the runs"""
    seeds: tuple[int, ...] = (1, 2, 3)
    """seeds of each model"""
    steps: int = 1200
    """updates of each run"""
    only: tuple[str, ...] = ()
    """names of rows; none: all of them"""
    jobs: int = 1
    """runs at a time, each on its share of the processor's cores"""
    decode: Path | None = None
    """only decode with this workdir, and print the numbers as JSON"""
    search: tuple[str, ...] = (MAIN,)
    """with --decode: the searches"""


def main() -> None:
    """Make what runs are missing, then the tables."""
    options = tyro.cli(Options, description=__doc__)
    if options.decode:
        print(json.dumps(measure(options.decode, options)))
        return
    unknown = set(options.only) - set(ROWS)
    if unknown:
        sys.exit(f"--only {unknown.pop()!r}: expected one of {', '.join(ROWS)}")
    results = json.loads(NUMBERS.read_text()) if NUMBERS.exists() else []
    there = {(result["flags"], result["recipe"]) for result in results}
    wanted = [
        (name, seed)
        for seed in options.seeds
        for name in options.only or ROWS
        if (flags(name, seed, options), fingerprint(name)) not in there
    ]
    with cores_each(options.jobs) as pool:
        made = [pool.submit(run, *which, options) for which in wanted]
        for future in as_completed(made):
            results.append(future.result())
            save(results, options)
    save(results, options)


def fingerprint(name: str) -> str:
    """Of a row's recipe as it is now: after a change its numbers are made again."""
    path, _, variant = ROWS[name][0].partition(":")
    recipe = recipes.load(f"{ROOT}/configs/{path}.py:{variant or 'small'}")
    chosen = "\n".join(differences(Config(), recipe))
    return hashlib.sha256(chosen.encode()).hexdigest()[:12]


def flags(name: str, seed: int, options: Options) -> str:
    """What decides a run's numbers, files and recipe aside."""
    recipe, *changes = ROWS[name]
    path, _, variant = recipe.partition(":")
    return " ".join(
        [
            f"configs/{path}.py:{variant or 'small'}",
            *changes,
            *BUDGET,
            f"--training.steps={options.steps}",
            f"--training.eval_every={options.steps}",
            f"--training.seed={seed}",
        ]
    )


def run(name: str, seed: int, options: Options) -> dict[str, Any]:
    """Train and decode one model, each in a process of its own."""
    print(f"{name}, seed {seed}", flush=True)
    slug = "".join(
        c if c.isalnum() else "-" for c in f"{name}-{seed}-{fingerprint(name)}".lower()
    )
    workdir = options.runs / slug
    files = [
        f"--data.{split}_{side}={options.data / f'{file}.{ending}'}"
        for split, file in (("train", "train"), ("dev", "val"))
        for side, ending in (("source", options.source), ("target", options.target))
    ]
    said = flags(name, seed, options)
    call(["train.py", *said.split(), f"--workdir={workdir}", *files], workdir, "train")
    shared = [f"--{k}={getattr(options, k)}" for k in ("data", "source", "target")]
    searches = SEARCHES if name in tables.SEARCHED else [MAIN]
    wanted = [f"--decode={workdir}", *shared, "--search", *searches]
    printed = call([__file__, *wanted], workdir, "decode")
    made = {"name": name, "seed": seed, "flags": said, "recipe": fingerprint(name)}
    return made | json.loads(printed.splitlines()[-1])


def measure(workdir: Path, options: Options) -> dict[str, Any]:
    """BLEU by search and perplexity: all sentences, the long ones, and the others."""
    sources, references = test_set(options)
    predictor = Predictor.load(workdir)
    bleus = dict(decode(predictor, sources, references, options.search))
    scores = list(predictor.score(sources, references))
    nats = [
        (-score.log_prob, len(score.pieces), source)
        for score, source in zip(scores, sources, strict=True)
    ]
    return {
        "bleu": bleus,
        "perplexity": {
            part: tables.perplexity([(n, k) for n, k, x in nats if belongs(x, part)])
            for part in tables.PARTS
        },
    }


def decode(
    predictor: Predictor,
    sources: list[str],
    references: list[str],
    searches: tuple[str, ...],
) -> Iterator[tuple[str, dict[str, float]]]:
    """BLEU by search; the main one decodes everything, the others `COMPARED`."""
    for name in searches:
        beam, penalty = SEARCHES[name]
        some = sources if name == MAIN else sources[:COMPARED]
        found = predictor.translate(
            some,
            beam_size=beam,
            length_penalty=penalty,
            stop="ended",  # as all numbers of docs/papers.md were found
            alignments=False,
        )
        rows = [
            (x, hypotheses[0].text, y)
            for x, hypotheses, y in zip(some, found, references, strict=False)
        ]
        made = {"compared": bleu(rows[:COMPARED])}
        if name == MAIN:
            for part in tables.PARTS:
                made[part] = bleu([row for row in rows if belongs(row[0], part)])
        yield name, made


def belongs(source: str, part: str) -> bool:
    """Whether a sentence is of a part of the test set."""
    return part == "all" or (len(source.split()) > LONG) == (part == "long")


def test_set(options: Options) -> tuple[list[str], list[str]]:
    """The sentences of all test files."""
    files = sorted(options.data.glob(f"test*.{options.source}"))
    if not files:
        sys.exit(
            f"{options.data} holds no test*.{options.source}, expected one or more"
        )
    pairs = [(file, file.with_suffix(f".{options.target}")) for file in files]
    sources, references = (
        [line for file in side for line in file.read_text("utf-8").splitlines()]
        for side in zip(*pairs, strict=True)
    )
    return sources, references


def bleu(rows: list[tuple[str, str, str]]) -> float:
    """Corpus BLEU, 13a, lowercased."""
    _, outputs, references = zip(*rows, strict=True)
    return sacrebleu.corpus_bleu(outputs, [references], lowercase=True).score


def save(results: list[dict[str, Any]], options: Options) -> None:
    """Write all numbers, and the tables of those made with these options."""
    NUMBERS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    seeds = sorted({result["seed"] for result in results})
    order = [flags(name, seed, options) for name in ROWS for seed in seeds]
    mine = [
        result
        for result in results
        if result["flags"] in order and result["recipe"] == fingerprint(result["name"])
    ]
    mine.sort(key=lambda result: order.index(result["flags"]))
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(tables.into(page, mine), encoding="utf-8")


if __name__ == "__main__":
    main()
