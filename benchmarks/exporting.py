"""What fewer bits in an exported model cost and save.

    python benchmarks/exporting.py --workdir runs/mine --source test.en --target test.de

Exports the model with each form of weights, and runs each folder as its users do: in a
process of its own. Told are the weights' size, BLEU against the targets, how many lines
have another output than with float32, how much the log-probability of a target changes
for each token, and the seconds that the lines take once all is loaded and compiled.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from seq2seq_jax.evaluation.metrics import bleu

FORMS = ("float32", "bfloat16", "int8")
TIMES = 3  # the fastest counts
RUN = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
import translate
model = translate.load(sys.argv[1])
sources, targets = json.load(sys.stdin)
seconds = []
for _ in range(1 + int(sys.argv[2])):  # the first one compiles
    begun = time.monotonic()
    texts = [found[0]["text"] for found in model.translate(sources)]
    seconds.append(time.monotonic() - begun)
each = [x.tolist() for x in model.score(sources, targets)]
print(json.dumps([texts, each, min(seconds[1:])]))
"""


@dataclass(frozen=True)
class Options:
    """What to export, and what to try it on."""

    workdir: Path
    """folder of a training run"""
    source: Path
    """file of lines to translate"""
    target: Path
    """their translations"""
    beam_size: int = 5
    """of the search"""


def main() -> None:
    """Export and run each form, and print a line for each."""
    options = tyro.cli(Options, description=__doc__)
    texts = [path.read_text("utf-8") for path in (options.source, options.target)]
    lines = [text.removesuffix("\n").split("\n") for text in texts]
    results = {}
    with tempfile.TemporaryDirectory() as place:
        for form in FORMS:
            folder = Path(place) / form
            export(options, form, folder)
            results[form] = (folder / "weights.npz").stat().st_size, *run(folder, lines)
    tell(results, lines[1])


def export(options: Options, form: str, folder: Path) -> None:
    """Export with weights of that form."""
    flags = ["--workdir", options.workdir, "-o", folder, "--weights", form]
    flags += ["--beam-size", options.beam_size]
    command = [sys.executable, "-m", "seq2seq_jax.cli", "export", *map(str, flags)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def run(folder: Path, lines: list[list[str]]) -> list[Any]:
    """Texts, log-probabilities of the targets' tokens, and seconds."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(folder), str(TIMES)],
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        check=True,
    )
    return list(json.loads(done.stdout))


def tell(results: dict[str, Any], targets: list[str]) -> None:
    """A table in Markdown."""
    _, first, own, _ = results["float32"]
    print("| weights | MB | BLEU | other lines | nats a token | change | seconds |")
    print("|---|---|---|---|---|---|---|")
    whole = np.concatenate(own)
    for form, (size, texts, scores, seconds) in results.items():
        other = sum(a != b for a, b in zip(texts, first, strict=True))
        each = np.concatenate(scores)
        change = np.abs(each - whole).mean()
        score = bleu(texts, [[target] for target in targets])
        print(
            f"| {form} | {size / 1e6:.1f} | {score:.2f} | {other} of {len(texts):,} | "
            f"{each.mean():.4f} | {change:.4f} | {seconds:.1f} |"
        )


if __name__ == "__main__":
    main()
