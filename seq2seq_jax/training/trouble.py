"""Updates that are left out: their loss or gradient is not finite, or the loss too big.

`training.on_nan` says whether the first of them stops the training, or
`training.nan_limit` of them in a row do. They are counted, told, and in no sum of the
metrics. The data, the noise and the checkpoints' names go on with them; the optimiser
has not seen them, so its moments and its schedule are those of the updates made.
"""

import dataclasses
from typing import TYPE_CHECKING, Any

from seq2seq_jax.config import TrainingConfig
from seq2seq_jax.errors import InputError, choose
from seq2seq_jax.training.progress import Progress

if TYPE_CHECKING:  # Orbax is slow to load, and a plan needs none
    from seq2seq_jax.training.checkpoints import Checkpoints

ON_NAN = ("stop", "skip")


def check(config: TrainingConfig) -> None:
    """Refuse names that `on_nan` does not have.

    Raises:
        InputError: with the nearest one.
    """
    choose(ON_NAN, config.on_nan, "training.on_nan")


def check_first_loss(config: TrainingConfig, first: float) -> None:
    """Refuse a limit that the loss is over from the start.

    Args:
        first: the loss a token of a model that finds all tokens as probable.
    """
    limit = config.loss_limit
    if limit is not None and limit <= first and not config.sampled_softmax:
        raise InputError(
            f"training.loss_limit is {limit}, expected more than {first:.2f}, the loss "
            f"a token before anything is learnt: no update would ever be made"
        )


def made(progress: Progress) -> Progress:
    """The progress after an update that was made."""
    if not progress.skipped_in_row:
        return progress
    return dataclasses.replace(progress, skipped_in_row=0)


def left_out(progress: Progress) -> Progress:
    """The progress after one that was not.

    >>> left_out(left_out(Progress())).skipped_in_row
    2
    """
    return dataclasses.replace(
        progress,
        skipped=progress.skipped + 1,
        skipped_in_row=progress.skipped_in_row + 1,
    )


def too_many(progress: Progress, config: TrainingConfig) -> bool:
    """Whether the training has to stop.

    >>> too_many(Progress(skipped_in_row=1), TrainingConfig())
    True
    """
    limit = config.nan_limit if config.on_nan == "skip" else 1
    return progress.skipped_in_row >= limit


def describe(progress: Progress, step: int, metrics: dict[str, Any]) -> str:
    """One line on an update that was left out."""
    return (
        f"step {step:,}: update left out, {wrong(metrics)} "
        f"({progress.skipped_in_row:,} in a row, {progress.skipped:,} in all)"
    )


def wrong(metrics: dict[str, Any]) -> str:
    """The numbers of an update that was left out."""
    loss = float(metrics["loss"]) / max(float(metrics["weight"]), 1.0)
    return f"loss {loss:g} a token, gradient norm {float(metrics['grad_norm']):g}"


def failure(
    progress: Progress,
    config: TrainingConfig,
    checkpoints: "Checkpoints",
    step: int,
    metrics: dict[str, Any],
) -> str:
    """Why a training cannot go on, what is kept of it and what to do: one line."""
    steps = checkpoints.steps()
    kept = (
        f"the last good checkpoint is {checkpoints.directory / str(steps[-1])}"
        if steps
        else "there is no checkpoint yet"
    )
    limit = "" if config.loss_limit is None else f" (loss_limit {config.loss_limit})"
    many = progress.skipped_in_row
    updates = f", {many} updates in a row left out" if config.on_nan == "skip" else ""
    on = (
        ""
        if config.on_nan == "skip"
        else "; or go on here with training.on_nan skip, which leaves such updates out"
    )
    return (
        f"training stopped at step {step}: {wrong(metrics)}{limit}{updates}; {kept}; "
        f"in a new workdir, try a lower training.learning_rate, or a lower "
        f"training.clip_norm{on}"
    )
