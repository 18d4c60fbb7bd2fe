"""Small files of pairs and a config for them: what the tests of `data` share."""

from pathlib import Path

import numpy as np
import pytest

from seq2seq_jax.config import Config, DataConfig, TrainingConfig
from seq2seq_jax.data.pipeline import prepare
from seq2seq_jax.errors import InputError


def ignore(text: str) -> None:
    """A log that nobody reads."""


def write_pairs(path: Path, count: int) -> str:
    """Pairs of many lengths; the target is the source's first half, in capitals."""
    draw = np.random.RandomState(count)
    lines = []
    for number in range(count):
        words = [f"w{n}" for n in draw.randint(0, 50, draw.randint(1, 25))]
        target = " ".join(words[: (len(words) + 1) // 2]).upper()
        lines.append(f"{' '.join(words)} n{number}\t{target}\n")
    path.write_text("".join(lines))
    return str(path)


def make_config(folder: Path, train: int = 400, **data) -> Config:
    """A config for tiny files of words, written to the folder."""
    given = {
        "train_tsv": write_pairs(folder / "train.tsv", train),
        "dev_tsv": write_pairs(folder / "dev.tsv", 30),
        "source_tokenizer": "word",
        "target_tokenizer": "word",
    }
    return Config(
        data=DataConfig(**given | data), training=TrainingConfig(batch_tokens=400)
    )


def refusal(config: Config, workdir: Path) -> str:
    with pytest.raises(InputError) as caught:
        prepare(config, workdir, ignore)
    assert "\n" not in str(caught.value)
    assert not (workdir / "tokenizers").exists(), "something half-made is left"
    assert not list(workdir.glob("data/train-*")) and not list(
        workdir.glob("data/.tmp*")
    )
    return str(caught.value)


def pairs_in(path: str) -> list[tuple[str, ...]]:
    return sorted(
        tuple(line.split("\t")) for line in Path(path).read_text().splitlines()
    )
