"""Train the small variant of every paper's model on the same data, and compare them.

    python benchmarks/papers.py --data DIR --source en --target de --runs runs/papers

DIR holds parallel text: `train.en`, `train.de`, `val.*` and any number of `test*.*`.
Every model gets the same number of updates of the same size, over the same subwords;
only what the row names differs. A run that is there already is not made again, so the
command may be interrupted, and given more seeds later. It writes docs/papers.json (all
numbers) and the tables between the markers of docs/papers.md.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sacrebleu
import tyro

from seq2seq_jax.inference.predictor import Predictor

ROOT = Path(__file__).resolve().parent.parent
BEAMS = {
    "greedy": (1, 0.0),
    "beam 5": (5, 1.0),
    "beam 5, no penalty": (5, 0.0),
    "beam 25": (25, 1.0),
    "beam 25, no penalty": (25, 0.0),
}
LONG = 20  # words: a source with more is a long sentence
BEGIN, END = "<!-- made by benchmarks/papers.py -->", "<!-- end -->"

# Each row: the recipe's small variant, and what is changed in it.
REVERSE = "--model.reverse_source"
VARIANTS: dict[str, list[str]] = {
    "Sutskever 2014": ["sutskever2014"],
    "Sutskever 2014, source not reversed": ["sutskever2014", REVERSE, "False"],
    "Cho 2014": ["cho2014"],
    "Bahdanau 2014, RNNencdec": ["bahdanau2014:rnnencdec_small"],
    "Bahdanau 2014, RNNsearch": ["bahdanau2014"],
    "RNNsearch, source reversed": ["bahdanau2014", REVERSE, "True"],
    "Luong 2015": ["luong2015"],
    "Luong 2015, source not reversed": ["luong2015", REVERSE, "False"],
    "Luong 2015, no input feeding": ["luong2015", "--model.input_feeding", "False"],
    "Luong 2015, dot": ["luong2015", "--model.attention", "dot"],
    "Luong 2015, concat": ["luong2015", "--model.attention", "concat"],
    "Luong 2015, location": ["luong2015", "--model.attention", "location"],
    "Luong 2015, local-m": ["luong2015", "--model.alignment", "local_m"],
    "Luong 2015, local-p": ["luong2015", "--model.alignment", "local_p"],
    "GNMT 2016": ["gnmt2016"],
    "GNMT 2016, current context": ["gnmt2016", "--model.decoder", "gnmt_v2"],
    "RNMT+ 2018": ["rnmt_plus2018"],
    "tensorflow/nmt": ["tensorflow_nmt"],
    "tensorflow/nmt, not scaled": ["tensorflow_nmt", "--model.attention", "general"],
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
    steps: int = 1500
    """updates of each run"""
    only: tuple[str, ...] = ()
    """names of models; none: all of them"""
    extra: tuple[str, ...] = field(default_factory=tuple)
    """flags for every run, as `--extra=--training.batch_tokens --extra=1024`"""


def main() -> None:
    """Make what runs are missing, then the tables."""
    options = tyro.cli(Options, description=__doc__)
    unknown = set(options.only) - set(VARIANTS)
    if unknown:
        sys.exit(f"--only {unknown.pop()!r}: expected one of {', '.join(VARIANTS)}")
    results = []
    for seed in options.seeds:
        for name in options.only or VARIANTS:
            results.append(run(name, seed, options))
            save(results)


def run(name: str, seed: int, options: Options) -> dict[str, Any]:
    """One model and seed: train and decode, or read what an earlier call found."""
    workdir = options.runs / f"{slug(name)}-{seed}"
    found = workdir / "papers.json"
    if found.exists():
        return json.loads(found.read_text())
    print(f"{name}, seed {seed}", flush=True)
    began = time.monotonic()
    subprocess.run([sys.executable, *command(name, seed, workdir, options)], check=True)
    made = {
        "name": name,
        "seed": seed,
        "seconds": round(time.monotonic() - began),
        "command": " ".join(command(name, seed, workdir, options)),
        "bleu": dict(decode(workdir, options)),
    }
    found.write_text(json.dumps(made, indent=1))
    return made


def slug(name: str) -> str:
    """A folder's name."""
    return "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-")


def command(name: str, seed: int, workdir: Path, options: Options) -> list[str]:
    """The training's command line."""
    recipe, *changes = VARIANTS[name]
    path, _, variant = recipe.partition(":")
    files = [
        f"--data.{split}_{side}={options.data / f'{file}.{ending}'}"
        for split, file in (("train", "train"), ("dev", "val"))
        for side, ending in (("source", options.source), ("target", options.target))
    ]
    return [
        "train.py",
        f"configs/{path}.py:{variant or 'small'}",
        f"--workdir={workdir}",
        *files,
        f"--training.seed={seed}",
        f"--training.steps={options.steps}",
        *changes,
        *options.extra,
    ]


def decode(workdir: Path, options: Options) -> Iterator[tuple[str, dict[str, float]]]:
    """BLEU of all test sentences, of the long ones and of the others, by search."""
    sources, references = test_set(options)
    predictor = Predictor.load(workdir)
    for name, (beam, penalty) in BEAMS.items():
        found = predictor.translate(
            sources, beam_size=beam, length_penalty=penalty, alignments=False
        )
        outputs = [hypotheses[0].text for hypotheses in found]
        rows = list(zip(sources, outputs, references, strict=True))
        yield (
            name,
            {
                "all": bleu(rows),
                "long": bleu([row for row in rows if len(row[0].split()) > LONG]),
                "short": bleu([row for row in rows if len(row[0].split()) <= LONG]),
            },
        )


def test_set(options: Options) -> tuple[list[str], list[str]]:
    """The sentences of all test files."""
    files = sorted(options.data.glob(f"test*.{options.source}"))
    if not files:
        sys.exit(
            f"{options.data} holds no test*.{options.source}, expected one or more"
        )
    return (
        [line for file in files for line in read(file)],
        [
            line
            for file in files
            for line in read(file.with_suffix(f".{options.target}"))
        ],
    )


def read(path: Path) -> list[str]:
    """The lines of a file."""
    return path.read_text(encoding="utf-8").splitlines()


def bleu(rows: list[tuple[str, str, str]]) -> float:
    """Corpus BLEU, 13a, lowercased."""
    _, outputs, references = zip(*rows, strict=True)
    return sacrebleu.corpus_bleu(outputs, [references], lowercase=True).score


def save(results: list[dict[str, Any]]) -> None:
    """Write all numbers, and the tables into the page."""
    text = json.dumps(results, indent=1) + "\n"
    (ROOT / "docs" / "papers.json").write_text(text, encoding="utf-8")
    page = ROOT / "docs" / "papers.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    made = f"{before}{BEGIN}\n\n{table(results)}\n{END}{after}"
    page.write_text(made, encoding="utf-8")


def table(results: list[dict[str, Any]]) -> str:
    """A row a model: mean and spread over the seeds."""
    columns = [("beam 5", "all"), ("beam 5", "long"), ("beam 5", "short")]
    columns += [(search, "all") for search in BEAMS if search != "beam 5"]
    titles = [
        search if part == "all" else f"{search}, {part}" for search, part in columns
    ]
    lines = [
        f"| model | {' | '.join(titles)} | seeds |",
        "|---" * (len(titles) + 2) + "|",
    ]
    for name in VARIANTS:
        mine = [result for result in results if result["name"] == name]
        if mine:
            cells = [
                spread([result["bleu"][search][part] for result in mine])
                for search, part in columns
            ]
            lines.append(f"| {name} | {' | '.join(cells)} | {len(mine)} |")
    return "\n".join(lines) + "\n"


def spread(values: list[float]) -> str:
    """Mean and standard deviation.

    >>> spread([1.0, 3.0])
    '2.0 ± 1.4'
    """
    mean = f"{statistics.mean(values):.1f}"
    return f"{mean} ± {statistics.stdev(values):.1f}" if len(values) > 1 else mean


if __name__ == "__main__":
    main()
