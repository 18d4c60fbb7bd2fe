"""How fast and in how much memory data comes in, from corpora of two sizes.

    python benchmarks/loader.py --step 300

The corpora are made up: words of a Zipf law, lengths of a log-normal one, a target
about as long as its source. Each is read in a process of its own: encoded once
(`prepare`), then batched as in training (`batches`). `--step` is what a training step
takes, in pairs a second, as `benchmarks/training.py` tells it on the same machine.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import tyro

from seq2seq_jax.config import Config, DataConfig, TrainingConfig

WORDS, ZIPF = 30_000, 1.2
MEDIAN, SPREAD, LONGEST = 22, 0.5, 99  # tokens; of the logarithm; tokens
RATIO_SPREAD = 0.15  # of the logarithm of target / source
CHUNK = 100_000  # pairs that are made up at a time


@dataclass(frozen=True)
class Options:
    """How much to read."""

    pairs: tuple[int, ...] = (45_000, 4_500_000)
    """sizes of the corpora"""
    step: float | None = None
    """pairs a second that the training step takes"""
    tokenizer: str = "word"
    """char, byte, word or sentencepiece"""
    batches: int = 3000
    """of 4,096 tokens, that are timed"""
    output: Path | None = None
    """file for all numbers, as JSON"""
    worker: Path | None = None
    """read what this folder holds, and print the numbers as JSON"""


def main() -> None:
    """Make up each corpus, and have it read."""
    options = tyro.cli(Options, description=__doc__)
    if options.worker:
        print(json.dumps(read(options, options.worker)))
        return
    results = []
    for pairs in options.pairs:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder) / "train.tsv", pairs)
            command = [sys.executable, __file__, f"--worker={folder}"]
            command += [f"--tokenizer={options.tokenizer}"]
            command += [f"--batches={options.batches}"]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        results.append({"pairs": pairs} | json.loads(done.stdout))
    print(table(results, options.step))
    if options.output:
        told = {"step": options.step, "tokenizer": options.tokenizer}
        text = json.dumps(told | {"results": results}, indent=1)
        options.output.write_text(text + "\n", encoding="utf-8")


def write(path: Path, pairs: int) -> None:
    """A TSV of made-up pairs, and ten of them as `dev.tsv`."""
    draw = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, pairs, CHUNK):
            file.writelines(made_up(draw, min(CHUNK, pairs - start)))
    with path.open(encoding="utf-8") as file:
        path.with_name("dev.tsv").write_text("".join(islice(file, 10)), "utf-8")


def made_up(draw: np.random.Generator, pairs: int) -> list[str]:
    """Lines of two columns."""
    source = draw.normal(np.log(MEDIAN), SPREAD, pairs)
    target = source + draw.normal(0, RATIO_SPREAD, pairs)
    both = np.exp(np.stack([source, target], 1)).ravel()
    sizes = np.clip(both, 1, LONGEST).astype(int)
    ids = draw.zipf(ZIPF, sizes.sum()) % WORDS
    names = [f"w{number:x}" for number in range(WORDS)]
    words = [names[number] for number in ids]
    ends = np.cumsum(sizes)
    sides = [
        " ".join(words[end - size : end])
        for size, end in zip(sizes.tolist(), ends.tolist(), strict=True)
    ]
    return [f"{a}\t{b}\n" for a, b in zip(sides[::2], sides[1::2], strict=True)]


def read(options: Options, folder: Path) -> dict[str, float]:
    """Encode and batch; speeds in pairs a second, memory in bytes."""
    from seq2seq_jax.data.pipeline import batches, prepare
    from seq2seq_jax.data.plan import BatchPlan

    data = DataConfig(
        train_tsv=str(folder / "train.tsv"),
        dev_tsv=str(folder / "dev.tsv"),
        source_tokenizer=options.tokenizer,
        target_tokenizer=options.tokenizer,
    )
    config = Config(data, training=TrainingConfig())
    began = time.perf_counter()
    made = prepare(config, folder, lambda line: print(line, file=sys.stderr))
    encoding = len(made.train.lengths) / (time.perf_counter() - began)
    encoded = memory("VmHWM")
    plan = BatchPlan(made.train, config)
    stream = batches(plan)
    next(stream)
    first, taken = memory("RssAnon"), 0
    began = time.perf_counter()
    for batch in islice(stream, options.batches):
        taken += int(batch.target_mask[:, 0].sum())
    seconds = time.perf_counter() - began
    return {
        "encoding": encoding,
        "batching": taken / seconds,
        "encoding_memory": encoded,
        "first_batch_memory": first,
        "last_batch_memory": memory("RssAnon"),
        "padding": plan.padding,
        "shapes": len(plan.shapes),
    }


def memory(field: str) -> int:
    """Bytes that Linux tells of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise LookupError(f"/proc/self/status has no {field}")


def table(results: list[dict[str, float]], step: float | None) -> str:
    """A row a corpus."""
    rows = [
        "| pairs | encoded, pairs/s | batched, pairs/s | of what the step takes | "
        "memory: encoding, first batch, last | padding |",
        "|---|---|---|---|---|---|",
    ]
    for told in results:
        ratio = f"{told['batching'] / step:,.0f} times" if step else ""
        sizes = ", ".join(
            f"{told[f'{name}_memory'] / 2**20:,.0f} MiB"
            for name in ("encoding", "first_batch", "last_batch")
        )
        rows.append(
            f"| {told['pairs']:,} | {told['encoding']:,.0f} | "
            f"{told['batching']:,.0f} | {ratio} | {sizes} | {told['padding']:.0%} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
