"""Of which run a checkpoint is: what its arrays mean nothing without.

Under another attention score or another vocabulary, arrays of the same shapes mean
something else. So a checkpoint's notes hold the config and the fingerprints of the
tokenisers that it was trained with, and what bounds the outputs. What does not agree
with the workdir that it is found in is named and never used. Checkpoints of older
versions hold none of it and are taken as they are.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seq2seq_jax import config as configs
from seq2seq_jax.config import Config
from seq2seq_jax.data import tokenizers
from seq2seq_jax.series import facts
from seq2seq_jax.training.damage import ForeignError
from seq2seq_jax.training.workdirs import PLACES, RESUMABLE

Origin = dict[str, Any]

SIDES = ("source", "target")
SERIES = "series"
CONFIG, TOKENIZERS, DATA, LENGTHS = "config", "tokenizers", "data", "lengths"


def of(
    config: Config,
    workdir: Path,
    data: Mapping[str, str],
    lengths: dict[str, Any] | None = None,
) -> Origin:
    """The origin of what is trained, or found, in a workdir.

    Args:
        config: as the workdir's `config.json` has it.
        workdir: with tokenisers.
        data: fingerprints of the training and development data, where they are known.
        lengths: what `lengths.json` says; None: it is looked for there.

    Raises:
        InputError: a tokeniser is missing or damaged.
    """
    if lengths is None:
        lengths = read_lengths(workdir)
    return {
        CONFIG: {
            # A tuple as the list that JSON gives back.
            name: list(value) if isinstance(value, tuple) else value
            for name, value in configs.flatten(config)
            if name not in RESUMABLE and name not in PLACES
        },
        TOKENIZERS: stamps(config, workdir),
        DATA: {split: data[split] for split in ("train", "dev") if split in data},
        LENGTHS: lengths,
    }


def stamps(config: Config, workdir: Path) -> dict[str, str]:
    """What the numbers of a model mean: its tokenisers, or the facts of its series.

    Raises:
        InputError: a file is missing or damaged.
    """
    if config.series.given:
        return {SERIES: facts.stamp(workdir)}
    return {side: tokenizers.stamp(workdir / "tokenizers", side) for side in SIDES}


def place_of(name: str) -> str:
    """The file that a stamp is of, in words.

    >>> place_of("source"), place_of("series")
    ('tokenizer tokenizers/source.json', 'series.json')
    """
    return f"tokenizer tokenizers/{name}.json" if name in SIDES else facts.NAME


def found_in(workdir: Path, config: Config) -> Origin:
    """The origin that a workdir's files tell of; for who has no data at hand.

    Raises:
        InputError: a tokeniser is missing or damaged.
    """
    lengths = read_lengths(workdir)
    known = lengths.get("training_data")
    return of(config, workdir, {"train": known} if known else {}, lengths)


def read_lengths(workdir: Path) -> dict[str, Any]:
    """What a workdir's `lengths.json` says; empty where it cannot be read."""
    try:
        values = json.loads((workdir / "lengths.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def check(saved: Origin | None, here: Origin | None) -> None:
    """Refuse the arrays of another run; what either side does not know agrees.

    Raises:
        ForeignError: naming what differs.
    """
    if saved is None or here is None:
        return
    theirs, ours = saved[CONFIG], here[CONFIG]
    lines = [
        f"{name} is {theirs[name]!r} there, {ours[name]!r} in config.json"
        for name in ours
        if name in theirs and theirs[name] != ours[name]
    ]
    lines += [
        f"{place_of(name)} is not the one that it was trained with"
        for name, stamp in here[TOKENIZERS].items()
        if saved[TOKENIZERS].get(name) != stamp
    ]
    if lines:
        more = f", and {len(lines) - 3} more" if len(lines) > 3 else ""
        raise ForeignError("; ".join(lines[:3]) + more)


def remarks(saved: Origin | None, here: Origin | None) -> list[str]:
    """What is to be told of a checkpoint that is used, though it is not refused."""
    if here is None:
        return []
    if saved is None:
        return [
            "an older version wrote it, without a word on its config, tokenizers and "
            "data: those of the workdir are taken for its own"
        ]
    known = here[DATA].keys() & saved[DATA].keys()
    return [
        f"its {split} data is not that of the workdir now (fingerprint "
        f"{saved[DATA][split]} there, {here[DATA][split]} here)"
        for split in sorted(known)
        if saved[DATA][split] != here[DATA][split]
    ]
