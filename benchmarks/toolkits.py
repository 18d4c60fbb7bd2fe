"""Training, beam search and latency of this library and of other toolkits, in one run.

    python benchmarks/toolkits.py --task translation --data DIR \\
        --onmt-python OTHER/bin/python --marian-python OTHER/bin/python
    python benchmarks/toolkits.py --task g2p --data DIR \\
        --yoyodyne-python OTHER/bin/python

Translation: DIR holds `train.X`, `val.X` and `test_2016_flickr.X` for both languages.
8,000 joint subwords are made once and are everyone's tokens. The model: embeddings of
256, a BiLSTM of 256 + 256, an LSTM decoder of 512 with Luong's general attention and
input feeding. g2p: DIR holds `train.tsv`, `dev.tsv` and `test.tsv`, spelling and
phonemes; embeddings of 128, a BiLSTM of 512 + 512, an LSTM decoder of 512 that attends
with its old state. Both: dropout 0.2, Adam, 64 pairs an update, float32, all cores.
Ours is there with bfloat16 products too, and searches float32's model in int8.

Each toolkit trains with its own program, one after the other. Then all models stay
loaded and search in turns, the same number of beams, with the same length penalty; what
the first pass took (it compiles, or warms up) is told apart. Outputs of models that are
hardly trained differ in length: with more `--updates`, sentences/s compare better. A
toolkit is asked for in an environment of its own, by its interpreter; one that fails
gets a row that says so. How a toolkit's model differs from the above stands in
`toolkits_train.py`.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import toolkits_train as training
import tyro
from toolkits_train import Failed, Toolkit, Work

WORKER = Path(__file__).resolve().parent / "toolkits_worker.py"
OURS, *_ = OF_OURS = [
    Toolkit(f"seq2seq_jax, {dtype}", kind, training.train_ours, training.our_intervals)
    for kind, dtype in training.DTYPES.items()
]
SEARCHING = {  # of ours, with a model that is trained already
    "ours_int8": "int8",
    "ours_shortlist": "float32, shortlist",
    "ours_bfloat16_shortlist": "bfloat16, shortlist",
    "ours_int8_shortlist": "int8, shortlist",
}
OTHERS = {
    "translation": [
        Toolkit("OpenNMT-py", "onmt", training.train_onmt, training.onmt_intervals),
        Toolkit("Marian", "marian", training.train_marian, training.marian_intervals),
    ],
    "g2p": [
        Toolkit(
            "Yoyodyne", "yoyodyne", training.train_yoyodyne, training.yoyodyne_intervals
        )
    ],
}


@dataclass(frozen=True)
class Options:
    """What to measure, and against whom."""

    task: Literal["translation", "g2p"]
    """what is learnt"""
    data: Path
    """folder of the task's files"""
    source: str = "en"
    """translation: ending of the source files"""
    target: str = "de"
    """translation: ending of the target files"""
    test: str = "test_2016_flickr"
    """translation: name of the test files"""
    vocabulary: int = 8000
    """translation: joint subwords"""
    updates: int = 300
    """of the training; the first sixth is warm-up, in which ours compiles"""
    rows: int = 64
    """pairs of an update"""
    batch: int = 64
    """lines of the others' batches in a search; ours chooses its own"""
    sentences: int = 1000
    """lines of the test file that are searched in batches"""
    singles: int = 50
    """lines that are searched one at a time"""
    beam: int = 5
    """hypotheses followed at once"""
    rounds: int = 3
    """passes over the lines after the first one, in turns"""
    onmt_python: str | None = None
    """translation: an interpreter that has OpenNMT-py"""
    marian_python: str | None = None
    """translation: an interpreter that has pymarian"""
    marian_size: int = 512
    """units of Marian's decoder, and of each direction of its encoder"""
    yoyodyne_python: str | None = None
    """g2p: an interpreter that has Yoyodyne"""
    runs: Path | None = None
    """new folder for models and logs; None: one that is deleted at the end"""
    output: Path | None = None
    """file for all numbers, as JSON"""


def main() -> None:
    """Train all, search with all, and tell."""
    options = tyro.cli(Options, description=__doc__)
    if options.updates < 2:
        sys.exit(f"--updates is {options.updates}, expected 2 or more: 1 is warm-up")
    load = os.getloadavg()
    with folder_of(options) as folder:
        # Else our first pass would find what an earlier run has compiled.
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder / "xla")
        work = training.prepare(options, folder)
        results = {toolkit.name: train(toolkit, work) for toolkit in entered(options)}
        search(options, work, results)
    print(table(options, results))
    if options.output:
        told = {k: v for k, v in vars(options).items() if type(v) in (int, str)}
        told = {k: v for k, v in told.items() if not k.endswith("_python")}
        facts = {"options": told, "threads": work.threads, "load_before": load}
        for result in results.values():
            del result["toolkit"]
        text = json.dumps(facts | {"results": results}, indent=1)
        options.output.write_text(text + "\n", encoding="utf-8")


@contextlib.contextmanager
def folder_of(options: Options) -> Iterator[Path]:
    """The folder that everything is written into."""
    if options.runs is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    if options.runs.exists():
        sys.exit(f"--runs {options.runs} exists, expected a new folder")
    options.runs.mkdir(parents=True)
    yield options.runs.resolve()


def entered(options: Options) -> list[Toolkit]:
    """Ours, for translation with shortlists too, and others that have interpreters."""
    listed = options.task == "translation"
    kinds = [kind for kind in SEARCHING if listed or "_shortlist" not in kind]
    every = [*OF_OURS, *map(searching, kinds)]
    found = [ours._replace(python=sys.executable) for ours in every]
    for toolkit in OTHERS[options.task]:
        python = getattr(options, f"{toolkit.kind}_python")
        if python:
            # They are run in folders of their own.
            python = str(Path(python).absolute()) if "/" in python else python
            found.append(toolkit._replace(python=python))
    return found


def searching(kind: str) -> Toolkit:
    """An entry of `SEARCHING`; what a shortlist takes to make is not told."""
    made = training.list_ours if "_shortlist" in kind else nothing
    return Toolkit(
        f"seq2seq_jax, {SEARCHING[kind]}", kind, made, training.our_intervals
    )


def nothing(python: str, work: Work, folder: Path) -> list[str]:
    """A program that does nothing: its model is there as it is."""
    return [python, "-c", ""]


def train(toolkit: Toolkit, work: Work) -> dict[str, Any]:
    """Train one model: what of `intervals` stands after the warm-up, in pairs/s."""
    print(f"{toolkit.name} is trained", file=sys.stderr)
    result: dict[str, Any] = {"toolkit": toolkit}
    folder = work.folder / toolkit.kind
    folder.mkdir()
    try:
        command = toolkit.train(toolkit.python, work, folder)
        run(command, folder / "train.log")
        intervals = toolkit.intervals(work, folder)
        if len(intervals) < 2:
            raise Failed(f"{len(intervals)} intervals in its log, expected 2 or more")
    except (Failed, OSError, ValueError, LookupError) as error:
        return result | failed(toolkit, error)
    pairs, seconds = map(sum, zip(*intervals[1:], strict=True))
    return result | {"training": pairs / seconds, "intervals": intervals}


def run(command: list[str], log: Path) -> None:
    """Run to the end, with all that is said in a file.

    Raises:
        Failed: it ended with an error.
    """
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run(command, stdout=file, stderr=file, cwd=log.parent)
    if done.returncode:
        raise Failed(f"exit code {done.returncode}: {last_line(log)}")


def last_line(log: Path) -> str:
    """What was said last."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "nothing was said")


def failed(toolkit: Toolkit, error: Exception) -> dict[str, str]:
    """Tell of a failure, and keep its words."""
    print(f"{toolkit.name} failed: {error}", file=sys.stderr)
    return {"failed": str(error)}


class Searcher:
    """A process that has a toolkit's model loaded and searches when asked."""

    def __init__(self, toolkit: Toolkit, work: Work, sizes: dict[str, Any]):
        folder = work.folder / toolkit.kind
        self.log = folder / "search.log"
        spec = {"toolkit": toolkit.kind, "folder": str(folder), "task": work.task}
        spec |= sizes | {"threads": work.threads, "lines": str(work.lines(toolkit))}
        (folder / "search.json").write_text(json.dumps(spec), encoding="utf-8")
        self.process = subprocess.Popen(
            [toolkit.python, str(WORKER), "search", str(folder / "search.json")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("w", encoding="utf-8"),
            cwd=folder,
            text=True,
        )

    def ask(self, what: str = "") -> dict[str, Any]:
        """Its answer to a line; without one, what it says when it is ready.

        Raises:
            Failed: it ended.
        """
        try:
            if what:
                self.process.stdin.write(f"{what}\n")  # type: ignore[union-attr]
                self.process.stdin.flush()  # type: ignore[union-attr]
            line = self.process.stdout.readline()  # type: ignore[union-attr]
        except BrokenPipeError:
            line = ""
        if not line:
            code = self.process.wait()
            raise Failed(f"exit code {code}: {last_line(self.log)}")
        return json.loads(line)


def search(options: Options, work: Work, results: dict[str, dict[str, Any]]) -> None:
    """Load all models, then let them search in turns; numbers go into `results`."""
    sizes = {"beam": options.beam, "rows": options.batch, "singles": options.singles}
    running = {}
    for name, result in results.items():
        if "failed" not in result:
            with noted(result):
                searcher = Searcher(result["toolkit"], work, sizes)
                running[name] = searcher
                result |= searcher.ask()
                first = searcher.ask("all")
                result |= {"first_pass": first["seconds"], "tokens": first["tokens"]}
                result["quality"] = work.quality(first["outputs"])
                result["first_singles"] = searcher.ask("singles")["seconds"]
                result |= {"all": [], "singles": []}
    for number in range(options.rounds):
        for name, searcher in running.items():
            if "failed" not in results[name]:
                with noted(results[name]):
                    results[name]["all"].append(searcher.ask("all")["seconds"])
                    results[name]["singles"].append(searcher.ask("singles")["seconds"])
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    for searcher in running.values():
        searcher.process.communicate()


@contextlib.contextmanager
def noted(result: dict[str, Any]) -> Iterator[None]:
    """Keep a failure in the result, so that the others go on."""
    try:
        yield
    except (Failed, OSError, ValueError) as error:
        result |= failed(result["toolkit"], error)


def table(options: Options, results: dict[str, dict[str, Any]]) -> str:
    """A row a toolkit; its ratio to ours in brackets, above 1 where it is faster."""
    unit, quality = training.TOLD[options.task]
    rows = [
        f"| | parameters | training, pairs/s | beam {options.beam}, {unit}s/s | "
        f"tokens/s | one {unit}, median ms | tokens a {unit} | {quality} | "
        "first pass, s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    ours = speeds_of(results[OURS.name])
    for name, result in results.items():
        cells = ["failed"] * len(ours)
        for place, (speed, base) in enumerate(
            zip(speeds_of(result), ours, strict=True)
        ):
            if speed is not None:
                shown = 1000 / speed if place == len(ours) - 1 else speed
                ratio = f" ({speed / base:.2f})" if base and base != speed else ""
                cells[place] = f"{shown:,.3g}{ratio}"
        parameters = f"{result['parameters']:,}" if "parameters" in result else ""
        rest = ["", "", ""]
        if "quality" in result:
            rest[0] = f"{result['tokens'] / result['lines']:.1f}"
            rest[1] = f"{result['quality']:.1f}"
            rest[2] = f"{result['first_pass']:.1f}"
        title = f"{name} {result.get('version', '')}".strip()
        rows.append(f"| {' | '.join([title, parameters, *cells, *rest])} |")
    return "\n".join(rows)


def speeds_of(result: dict[str, Any]) -> list[float | None]:
    """Pairs, lines, tokens and single lines a second; None: it failed before that."""
    trained = result.get("training")
    if not result.get("all") or not result.get("singles"):
        return [trained, None, None, None]
    seconds = statistics.median(result["all"])
    one = statistics.median(t for times in result["singles"] for t in times)
    return [trained, result["lines"] / seconds, result["tokens"] / seconds, 1 / one]


if __name__ == "__main__":
    main()
