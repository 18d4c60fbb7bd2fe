"""What stands in a checkpoint's folder, read and checked."""

import contextlib
from pathlib import Path
from typing import Any

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

Tree = Any


def load(
    path: Path, likes: dict[str, Tree], here: origin.Origin | None = None
) -> tuple[dict[str, Tree], Notes]:
    """Some items of a checkpoint and its notes, both as they were saved.

    Args:
        path: the checkpoint's folder.
        likes: for each item, what it must be like, or None.
        here: what the workdir tells of the run; None: nobody asks.

    Raises:
        DamagedError: something cannot be read, or is not what was saved, or is of
            another run.
        InputError: it is whole, but shapes or names are not those of `likes`.
    """
    there, notes = read_metadata(path)
    origin.check(notes.get(sealed.ORIGIN), here)
    if "training" in likes and AVERAGED in notes[BOOKKEEPING]:
        raise InputError(
            f"checkpoint {path} is a mean of others, for inference alone: train in the "
            f"workdir that it was made from"
        )
    saved = {name: notes[FINGERPRINTS].get(name, {}) for name in likes}
    wrong = [difference(saved[name], like) for name, like in likes.items()]
    if any(wrong):
        raise InputError(
            f"checkpoint {path} is of another model: {'; '.join(filter(None, wrong))}"
        )
    targets = {name: target(there.get(name), like) for name, like in likes.items()}
    with quiet_failures(), by_itself():
        try:
            loaded = ocp.load_checkpointables(path, targets)
        except Exception as error:
            raise DamagedError(reason(error)) from None
    for name in likes:
        compare(name, saved[name], fingerprints.of(loaded[name]))
    return loaded, notes


def by_itself() -> contextlib.AbstractContextManager:
    """Orbax waits for no other process: each reads on its own, when it likes."""
    if jax.process_count() == 1:
        return contextlib.nullcontext()
    me = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(primary_host=me, active_processes={me})
    return ocp.Context(multiprocessing_options=alone)


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
