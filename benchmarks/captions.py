"""Captions of small pictures: lists for the recipe, and baselines beside models.

    python benchmarks/captions.py prepare --data captions-emoji --output runs/emoji
    python benchmarks/captions.py table --lists runs/emoji --workdirs runs/captions

`prepare` writes train.tsv, dev.tsv and test.tsv (row of the pictures, caption) beside a
copy of the pictures. `table` prints BLEU-4 and exact match on the test set of two
baselines and of each workdir: the caption that most training pictures have (or of those
that as many have, the one whose words are the most frequent), and the caption of the
training picture that is nearest, by the squared distance of pixels.
"""

import argparse
import shutil
from collections import Counter
from pathlib import Path

import numpy as np

from seq2seq_jax.evaluation.metrics import measure

METRICS = ("bleu", "exact_match")


def prepare(data: Path, output: Path, language: str) -> None:
    """Write the lists of one language, and copy the pictures beside them."""
    output.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(data / "images32.npz", output / "images32.npz")
    head, *lines = (data / "captions.tsv").read_text("utf-8").splitlines()
    names = head.split("\t")
    rows = [dict(zip(names, line.split("\t"), strict=True)) for line in lines]
    for split in ("train", "dev", "test"):
        chosen = [row for row in rows if row["split"] == split and row[language]]
        text = (f"images32.npz#{row['index']}\t{row[language]}\n" for row in chosen)
        (output / f"{split}.tsv").write_text("".join(text), "utf-8")
        print(f"{split}: {len(chosen):,} pictures")


def listed(lists: Path, split: str) -> tuple[list[str], np.ndarray, list[str]]:
    """Sources, pixels `[N, P]` and captions of a list that `prepare` wrote."""
    lines = (lists / f"{split}.tsv").read_text("utf-8").splitlines()
    sources, captions = zip(*(line.split("\t") for line in lines), strict=True)
    with np.load(lists / "images32.npz") as held:
        (pictures,) = held.values()
    rows = [int(source.partition("#")[2]) for source in sources]
    return list(sources), pictures[rows].reshape(len(rows), -1), list(captions)


def most_frequent(captions: list[str]) -> str:
    """The caption that occurs most; of equals, the one of the most frequent words."""
    count, words = Counter(captions), Counter(" ".join(captions).split())
    return max(
        count,
        key=lambda text: (
            count[text],
            sum(words[word] for word in text.split()) / len(text.split()),
        ),
    )


def nearest(known: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """For each picture the number of the known one with the least squared distance."""
    known, pictures = known.astype(np.float32), pictures.astype(np.float32)
    squares = (known**2).sum(1) - 2 * pictures @ known.T
    return squares.argmin(1)


def outputs(workdir: Path, lists: Path, sources: list[str], beam: int) -> list[str]:
    """What a trained model says of each picture."""
    from seq2seq_jax.inference.predictor import Predictor

    predictor = Predictor.load(workdir)
    paths = [str(lists / source) for source in sources]
    return [best.text for best, *_ in predictor.translate(paths, beam_size=beam)]


def table(lists: Path, workdirs: list[Path], beam: int) -> None:
    """Print a line for each way to caption the test set."""
    _, known, captions = listed(lists, "train")
    sources, pictures, wanted = listed(lists, "test")
    said = {
        "most frequent caption": [most_frequent(captions)] * len(wanted),
        "nearest picture": [captions[i] for i in nearest(known, pictures)],
    }
    for workdir in workdirs:
        said[str(workdir)] = outputs(workdir, lists, sources, beam)
    print("| captions by | BLEU-4 | exact match (%) |\n|---|---|---|", flush=True)
    for name, texts in said.items():
        found = measure(METRICS, texts, [[text] for text in wanted])
        values = " | ".join(f"{found[metric][0]:.2f}" for metric in METRICS)
        print(f"| {name} | {values} |", flush=True)


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    lists = commands.add_parser("prepare")
    lists.add_argument("--data", type=Path, required=True)
    lists.add_argument("--output", type=Path, required=True)
    lists.add_argument("--language", default="en")
    tables = commands.add_parser("table")
    tables.add_argument("--lists", type=Path, required=True)
    tables.add_argument("--workdirs", type=Path, nargs="*", default=[])
    tables.add_argument("--beam", type=int, default=5)
    options = parser.parse_args()
    if options.command == "prepare":
        prepare(options.data, options.output, options.language)
    else:
        table(options.lists, options.workdirs, options.beam)


if __name__ == "__main__":
    main()
