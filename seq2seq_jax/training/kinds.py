"""The kinds of data that the one loop trains on, by name in `KINDS`.

The loop knows batches, a loss and numbers by name. What makes batches of a user's data,
what they are measured by and how that is shown stands in an entry.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq_jax.config import Config
from seq2seq_jax.data import pipeline
from seq2seq_jax.series import prepare as tables
from seq2seq_jax.training import checks, evaluate, forecasts, pictures, trouble


class Kind(NamedTuple):
    """One kind of data.

    Attributes:
        prepare: `(config, workdir, log) -> data`, with `train`, `dev` and `test`
            (`plan.Examples`; None: no test), `sizes` (for `model.init_params`),
            `bounds`, `fingerprints` and `folders`.
        reopen: `(config, workdir, folders) -> data`, in another process.
        fits: `(config, sizes, begun=)`, which refuses what does not go with the data.
        evaluator: makes what has `loss` and `decode`; see `evaluate.Evaluator`.
        pictures: `(hypotheses, count) -> ` PNGs of some of them, by their names.
        draw: `(hypotheses, folder) -> ` the name of a picture of one, or None.
    """

    prepare: Callable[[Config, Path, Callable[[str], None]], Any]
    reopen: Callable[[Config, Path, dict[str, str]], Any]
    fits: Callable[..., None]
    evaluator: Callable[..., Any]
    pictures: Callable[[list[Any], int], dict[str, tuple[bytes, int, int]]]
    draw: Callable[[list[Any], Path], str | None]


def pairs_fit(config: Config, sizes: tuple[int, ...], *, begun: bool) -> None:
    """Refuse what the target vocabulary is too small for, or too large."""
    checks.check_vocabulary(config, sizes[1])
    if not begun:
        trouble.check_first_loss(config.training, math.log(sizes[1]))


def series_fit(config: Config, sizes: tuple[int, ...], *, begun: bool) -> None:
    """Whatever series there are, they fit."""


KINDS = {
    "pairs": Kind(
        pipeline.prepare,
        pipeline.reopen,
        pairs_fit,
        evaluate.Evaluator,
        pictures.alignments,
        pictures.draw_alignment,
    ),
    "series": Kind(
        lambda config, *rest: tables.prepare(config.series, *rest),
        lambda config, *rest: tables.reopen(config.series, *rest),
        series_fit,
        forecasts.Evaluator,
        forecasts.pictures,
        forecasts.draw,
    ),
}


def of(config: Config) -> Kind:
    """The kind of a config's data."""
    return KINDS["series" if config.series.given else "pairs"]


def prepare(config: Config, workdir: Path, log: Callable[[str], None]) -> Any:
    """The data of a config, ready to be read in batches.

    Raises:
        InputError: for any data that cannot be used.
    """
    return of(config).prepare(config, workdir, log)
