"""Train a task of letters in each of its languages, and compare with what is published.

    python benchmarks/letters.py --task g2p --data sigmorphon2020-g2p --jobs 2

Every language is trained with each of the task's `tries`, flags that are to be chosen;
the one with the fewest wrong words of the development set counts, and is measured once
on the test set. All numbers go to docs/letters.json, the tables between the markers of
docs/letters.md. What docs/letters.json has is not made again: the command may be
interrupted, and given more seeds or languages later.
"""

import json
import statistics
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import letters_rules
import tyro
from jobs import call, cores_each

ROOT = Path(__file__).resolve().parent.parent
NUMBERS, PAGE = ROOT / "docs" / "letters.json", ROOT / "docs" / "letters.md"
SPLITS = ("train", "dev", "test")
SIZES = ("high", "medium", "low")  # of the training data for inflection
Result = dict[str, Any]


class Task(NamedTuple):
    """A task in several languages.

    Attributes:
        recipe: what `train.py` is given.
        languages: of a folder of data.
        file: `(folder, language, split) ->` a TSV.
        tries: flags to choose from, by name.
        rule: what says a target without any model, for the column beside.
        published: wrong words of the test set by language, in percent.
    """

    recipe: str
    languages: Callable[[Path], list[str]]
    file: Callable[[Path, str, str], Path]
    tries: dict[str, list[str]]
    rule: Callable[[letters_rules.Pairs], letters_rules.Rule]
    published: dict[str, float]


def inflection(size: str) -> Task:
    """CoNLL-SIGMORPHON 2017, task 1, with that much to learn from."""

    def file(folder: Path, language: str, split: str) -> Path:
        name = f"train-{size}" if split == "train" else split
        return folder / language / f"{name}.tsv"

    return Task(
        f"configs/inflection.py:{size}",
        lambda folder: sorted(x.name for x in folder.iterdir() if x.is_dir()),
        file,
        {"as it is": []},
        letters_rules.by_endings,
        {},
    )


# Task 1 of SIGMORPHON 2020: the shared task's LSTM with attention, tuned by language.
LSTM = """
    arm 14.67 bul 31.11 fre 6.22 geo 26.44 gre 18.89 hin 6.67 hun 5.33 ice 10.00
    kor 46.89 lit 19.11 ady 28.00 dut 16.44 jpn 7.56 rum 10.67 vie 4.67
""".split()
TASKS = {
    "g2p": Task(
        "configs/g2p.py",
        lambda folder: sorted(x.stem[:3] for x in folder.glob("train/*_train.tsv")),
        lambda folder, language, split: folder / split / f"{language}_{split}.tsv",
        {"letters": [], "decomposed": ["--data.source_tokenizer=char_nfd"]},
        letters_rules.by_letters,
        dict(zip(LSTM[::2], map(float, LSTM[1::2]), strict=True)),
    ),
    "transliteration": Task(
        "configs/transliteration.py",
        lambda folder: ["ar-en"],
        lambda folder, language, split: folder / f"{split}.tsv",
        {"as it is": []},
        letters_rules.by_letters,
        {},
    ),
    "histnorm": Task(
        "configs/histnorm.py",
        lambda folder: sorted(x.name for x in folder.iterdir() if x.is_dir()),
        lambda folder, language, split: folder / language / f"{split}.tsv",
        {"as it is": []},
        letters_rules.looked_up,
        {},
    ),
    **{f"inflection-{size}": inflection(size) for size in SIZES},
}


@dataclass(frozen=True)
class Options:
    """What to train, on what, and where."""

    task: str
    """g2p, transliteration, histnorm, inflection-high, -medium or -low"""
    data: Path
    """folder of the task's data"""
    runs: Path = Path("runs/letters")
    """folder of the runs"""
    seeds: tuple[int, ...] = (1,)
    """seeds of each model"""
    only: tuple[str, ...] = ()
    """languages; none: all of them"""
    jobs: int = 1
    """runs at a time, each on its share of the processor's cores"""


def main() -> None:
    """Make what runs are missing, then the table."""
    options = tyro.cli(Options, description=__doc__)
    if options.task not in TASKS:
        sys.exit(f"--task {options.task!r}: expected one of {', '.join(TASKS)}")
    task = TASKS[options.task]
    languages = task.languages(options.data)
    if unknown := set(options.only) - set(languages):
        sys.exit(f"--only {unknown.pop()!r}: expected one of {', '.join(languages)}")
    results = json.loads(NUMBERS.read_text("utf-8")) if NUMBERS.exists() else []
    there = {key(result) for result in results}
    wanted = [
        {"task": options.task, "language": language, "try": name, "seed": seed}
        for seed in options.seeds
        for name in task.tries
        for language in options.only or languages
    ]
    with cores_each(options.jobs) as pool:
        made = [
            pool.submit(run, which, task, options)
            for which in wanted
            if key(which) not in there
        ]
        for future in as_completed(made):
            results.append(future.result())
            save(results)
    save(results)


def key(result: Result) -> tuple:
    """What tells one run from another."""
    return tuple(result[name] for name in ("task", "language", "try", "seed"))


def run(which: Result, task: Task, options: Options) -> Result:
    """Train one model; its errors on the development and the test set."""
    _, language, name, seed = key(which)
    print(f"{language}, {name}, seed {seed}", flush=True)
    workdir = options.runs / "-".join(map(str, key(which))).replace(" ", "-")
    paths = {split: task.file(options.data, language, split) for split in SPLITS}
    files = [f"--data.{split}_tsv={path}" for split, path in paths.items()]
    flags = [*task.tries[name], f"--training.seed={seed}", f"--workdir={workdir}"]
    call(["train.py", task.recipe, *files, *flags], workdir, "train")
    told = json.loads((workdir / "results.json").read_text("utf-8"))["metrics"]
    errors = {
        split: {
            "words": 100 - told[split]["exact_match"],
            "units": told[split]["token_error_rate"],
        }
        for split in ("dev", "test")
    }
    rule = letters_rules.wrong(task.rule, paths["train"], paths["test"])
    return which | errors | {"rule": rule}


def chosen(results: Sequence[Result]) -> list[Result]:
    """Of the tries of each task, language and seed, the one that dev likes best."""
    best: dict[tuple, Result] = {}
    for result in results:
        which = tuple(result[name] for name in ("task", "language", "seed"))
        if which not in best or result["dev"]["words"] < best[which]["dev"]["words"]:
            best[which] = result
    return list(best.values())


def save(results: list[Result]) -> None:
    """Write all numbers, and the tables."""
    results.sort(key=key)
    NUMBERS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    for name in dict.fromkeys(result["task"] for result in results):
        begin, end = f"<!-- {name}, by benchmarks/letters.py -->", "<!-- end -->"
        if begin not in page:
            page += f"\n## {name}\n\n{begin}\n{end}\n"
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = f"{before}{begin}\n\n{table(name, chosen(results))}\n{end}{after}"
    PAGE.write_text(page, encoding="utf-8")


def table(task: str, results: Sequence[Result]) -> str:
    """A row a language, and their mean."""
    published = TASKS[task].published
    head = ["language", "dev: words wrong, %", "test: words wrong, %", "units wrong, %"]
    head += ["by rule", *(["published"] if published else [])]
    lines = [f"| {' | '.join([*head, 'seeds'])} |", "|---" * (len(head) + 1) + "|"]
    mine = [result for result in results if result["task"] == task]
    sums: list[list[float]] = []
    for language in sorted({result["language"] for result in mine}):
        its = [result for result in mine if result["language"] == language]
        values = [
            [result["dev"]["words"] for result in its],
            [result["test"]["words"] for result in its],
            [result["test"]["units"] for result in its],
        ]
        rule = its[0]["rule"]
        sums.append([*(statistics.mean(each) for each in values), rule])
        cells = [language, *map(spread, values), f"{rule:.2f}"]
        if published:
            cells.append(f"{published[language]:.2f}")
            sums[-1].append(published[language])
        lines.append(f"| {' | '.join(cells)} | {len(its)} |")
    means = [f"{statistics.mean(column):.2f}" for column in zip(*sums, strict=True)]
    lines.append(f"| mean | {' | '.join(means)} | |")
    return "\n".join(lines) + "\n"


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation.

    >>> spread([1.0, 3.0]), spread([2.5])
    ('2.00 ± 1.41', '2.50')
    """
    mean = f"{statistics.mean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


if __name__ == "__main__":
    main()
