"""What stands in a checkpoint's folder, read and checked."""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
from orbax.checkpoint import v1 as ocp

from seq2seq_jax.errors import InputError
from seq2seq_jax.training import fingerprints, origin
from seq2seq_jax.training import notes as sealed
from seq2seq_jax.training.damage import (
    DamagedError,
    difference,
    quiet_failures,
    reason,
)
from seq2seq_jax.training.notes import AVERAGED, BOOKKEEPING, FINGERPRINTS, Notes
from seq2seq_jax.types import Params, TrainState

Tree = Any

# The items of a checkpoint. A moving average is one of its own, where there is one.
PARAMS, TRAINING, AVERAGE = "params", "training", "average"
WEIGHTS = "weights"  # no item: whichever of AVERAGE and PARAMS inference uses


class Loaded(NamedTuple):
    """The weights of a checkpoint.

    Attributes:
        step: the checkpoint's.
        params: the weights.
        averaged: whether they are a moving average (`training.ema`).
        origin: of which run they are; None: an older version wrote it.
    """

    step: int
    params: Params
    averaged: bool
    origin: origin.Origin | None


def items_of(state: TrainState) -> dict[str, Tree]:
    """What is saved of a state, item by item."""
    rest = {"step": state.step, "opt_state": state.opt_state, "key": state.key}
    if state.baseline is not None:
        rest["baseline"] = state.baseline
    items = {PARAMS: state.params, TRAINING: rest}
    return items if state.average is None else items | {AVERAGE: state.average}


def state_of(items: dict[str, Tree]) -> TrainState:
    """The state of which these are the items."""
    rest, average = items[TRAINING], items.get(AVERAGE)
    return TrainState(params=items[PARAMS], average=average, **rest)


def item_of(name: str, notes: Notes) -> str:
    """The item that a name stands for in a checkpoint."""
    if name != WEIGHTS:
        return name
    return AVERAGE if AVERAGE in notes[FINGERPRINTS] else PARAMS


def load(
    path: Path, likes: dict[str, Tree], here: origin.Origin | None = None
) -> tuple[dict[str, Tree], Notes]:
    """Some items of a checkpoint and its notes, both as they were saved.

    Args:
        path: the checkpoint's folder.
        likes: for each item, or `WEIGHTS`, what it must be like, or None.
        here: what the workdir tells of the run; None: nobody asks.

    Raises:
        DamagedError: something cannot be read, or is not what was saved, or is of
            another run.
        InputError: it is whole, but shapes or names are not those of `likes`.
    """
    there, notes = read_metadata(path)
    origin.check(notes.get(sealed.ORIGIN), here)
    if TRAINING in likes and AVERAGED in notes[BOOKKEEPING]:
        raise InputError(
            f"checkpoint {path} is a mean of others, for inference alone: train in the "
            f"workdir that it was made from"
        )
    items = {name: item_of(name, notes) for name in likes}
    saved = {name: notes[FINGERPRINTS].get(item, {}) for name, item in items.items()}
    wrong = [difference(saved[name], like) for name, like in likes.items()]
    if any(wrong):
        raise InputError(
            f"checkpoint {path} is of another model: {'; '.join(filter(None, wrong))}"
        )
    targets = {
        items[name]: target(there.get(items[name]), like)
        for name, like in likes.items()
    }
    with quiet_failures(), by_itself():
        try:
            loaded = ocp.load_checkpointables(path, targets)
        except Exception as error:
            raise DamagedError(reason(error)) from None
    for name, item in items.items():
        compare(item, saved[name], fingerprints.of(loaded[item]))
    return {name: loaded[item] for name, item in items.items()}, notes


@contextlib.contextmanager
def by_itself() -> Iterator[None]:
    """Orbax waits for no other process: each reads on its own, when it likes.

    Orbax counts what a process loads and saves, and processes that save meet by that
    number. What one has read by itself (`training.init_from`, by the first alone) must
    not count, or the others would wait for it at the next save.
    """
    if jax.process_count() == 1:
        yield
        return
    # It has no public name.
    from orbax.checkpoint._src.futures.synchronization import OperationIdGenerator

    me, number = jax.process_index(), OperationIdGenerator._operation_id
    alone = ocp.options.MultiprocessingOptions(primary_host=me, active_processes={me})
    try:
        with ocp.Context(multiprocessing_options=alone):
            yield
    finally:
        OperationIdGenerator._operation_id = number
        OperationIdGenerator._operation_id_counter = itertools.count(number + 1)


def compare(item: str, saved: dict[str, str], found: dict[str, str]) -> None:
    """Refuse arrays that are not those that were saved.

    Raises:
        DamagedError: naming the first of them.
    """
    names = sorted(saved.keys() | found.keys())
    other = [name for name in names if saved.get(name) != found.get(name)]
    if other:
        more = f", nor are {len(other) - 1} more" if len(other) > 1 else ""
        raise DamagedError(f"{item}.{other[0]} is not what was saved{more}")


def read_metadata(path: Path) -> tuple[dict[str, Tree], Notes]:
    """Shapes and types of a checkpoint's items as Orbax tells them, and the notes.

    Raises:
        DamagedError: something cannot be read, or the notes are not what was saved.
    """
    with quiet_failures():
        try:
            metadata = ocp.checkpointables_metadata(path)
        except Exception as error:
            raise DamagedError(reason(error)) from None
    notes = sealed.check(metadata.custom_metadata, int(path.name))
    return dict(metadata.metadata or {}), notes


def target(there: Tree, like: Tree) -> Tree:
    """Shapes, types and places to load to; one device where `like` names none."""
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])

    def leaf(array: Any) -> jax.ShapeDtypeStruct:
        # A place in `there` may be on devices that this process does not have.
        place = here if like is None else getattr(array, "sharding", None) or here
        return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=place)

    return jax.tree.map(leaf, there if like is None else like)
