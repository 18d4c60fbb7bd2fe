"""What a training left in its workdir, read for inference."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax

from seq2seq_jax.config import Config, ModelConfig
from seq2seq_jax.data import tokenizers
from seq2seq_jax.data.tokenizers import Tokenizer
from seq2seq_jax.errors import InputError
from seq2seq_jax.inference import shortlist as shortlists
from seq2seq_jax.inference.lengths import length_ratio
from seq2seq_jax.inference.shortlist import Shortlist
from seq2seq_jax.nn import checks, model
from seq2seq_jax.nn.heads import HEADS
from seq2seq_jax.types import Params


class Trained(NamedTuple):
    """A trained model and what belongs to it.

    Attributes:
        params: of the checkpoint.
        config: of the training.
        source, target: tokenisers.
        length_ratio: see `Predictor`.
        shortlist: where it was asked for.
    """

    params: Params
    config: Config
    source: Tokenizer
    target: Tokenizer
    length_ratio: float | None
    shortlist: Shortlist | None


def load(
    workdir: str | Path,
    checkpoint: str | int,
    *,
    raw: bool,
    shortlist: bool = False,
    warn: Callable[[str], None],
) -> Trained:
    """Read a workdir, wherever it was moved to; arguments as in `Predictor.load`.

    Raises:
        InputError: it is no workdir, its config cannot be, or it has no such
            checkpoint.
    """
    # Orbax is slow to load.
    from seq2seq_jax.training import origin
    from seq2seq_jax.training.checkpoints import Checkpoints

    workdir = Path(workdir)
    check(workdir)
    config = checks.load(workdir / "config.json")
    if config.series.given:
        raise InputError(
            f"{workdir} holds a model of series, expected one of texts: use "
            f"`seq2seq-jax forecast` or `backtest`"
        )
    source, target = (
        tokenizers.load(workdir / "tokenizers", side) for side in ("source", "target")
    )
    source = dataclasses.replace(source, parts=config.model.sources)
    if shortlist:
        check_narrow(config.model)
    listed = shortlists.load(workdir) if shortlist else None
    like = jax.eval_shape(
        lambda: model.init_params(
            jax.random.key(0), config.model, source.size, target.size
        )
    )
    here = origin.found_in(workdir, config)
    checkpoints = Checkpoints(workdir / "checkpoints", log=warn, origin=here)
    found = checkpoints.load(checkpoint, like, raw=raw)
    ratio = length_ratio(found.origin, workdir / "lengths.json")
    return Trained(found.params, config, source, target, ratio, listed)


def check_narrow(config: ModelConfig) -> None:
    """Refuse a shortlist for a model whose head may say more than a vocabulary."""
    if HEADS[config.head].narrow is None:
        raise InputError(
            f"a shortlist is of a vocabulary, but model.head is {config.head!r}, which "
            f"says something else: expected 'vocabulary'"
        )


def check(folder: Path) -> None:
    """Refuse a folder that no training has made."""
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{folder} has no config.json, expected the folder of a training run: "
            f"give what train.py had as --workdir"
        )
