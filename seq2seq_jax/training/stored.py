"""What stands in a checkpoint's folder, read and checked."""

from pathlib import Path
from typing import Any

import jax
from orbax.checkpoint import v1 as ocp

from seq2seq_jax.errors import InputError
from seq2seq_jax.training.damage import (
    DamagedError,
    difference,
    quiet_failures,
    reason,
)

BOOKKEEPING, METRICS = "bookkeeping", "metrics"
AVERAGED = "averaged"  # in the bookkeeping of a mean: the steps that it is of
Tree = Any


def load(path: Path, likes: dict[str, Tree]) -> tuple[dict[str, Tree], dict[str, Any]]:
    """Some items of a checkpoint and its bookkeeping.

    Raises:
        DamagedError: something could not be read.
        InputError: all can be read, but shapes or names are not those of `likes`.
    """
    stored, notes = read_metadata(path)
    if "training" in likes and AVERAGED in notes[BOOKKEEPING]:
        raise InputError(
            f"checkpoint {path} is a mean of others, for inference alone: train in the "
            f"workdir that it was made from"
        )
    wrong = [difference(stored.get(name), like) for name, like in likes.items()]
    # What stands there is read whole before it is called another model's: cut files can
    # make names vanish too.
    targets = {
        name: target(stored.get(name), None if any(wrong) else like)
        for name, like in likes.items()
    }
    with quiet_failures():
        try:
            loaded = ocp.load_checkpointables(path, targets)
        except Exception as error:
            raise DamagedError(reason(error)) from None
    empty = [name for name, tree in targets.items() if not jax.tree.leaves(tree)]
    if empty:
        raise DamagedError(f"nothing is left of {', '.join(empty)}")
    if any(wrong):
        raise InputError(
            f"checkpoint {path} is of another model: {'; '.join(filter(None, wrong))}"
        )
    return loaded, notes[BOOKKEEPING]


def read_metadata(path: Path) -> tuple[dict[str, Tree], dict[str, Any]]:
    """Shapes and types of a checkpoint's items, and the JSON saved with them."""
    with quiet_failures():
        try:
            metadata = ocp.checkpointables_metadata(path)
        except Exception as error:
            raise DamagedError(reason(error)) from None
    items, notes = metadata.metadata, metadata.custom_metadata
    if not isinstance(notes, dict) or not isinstance(notes.get(BOOKKEEPING), dict):
        raise DamagedError("_CHECKPOINT_METADATA is missing or cut short")
    return dict(items or {}), notes


def target(stored: Tree, like: Tree) -> Tree:
    """Shapes, types and places to load to; one device where `like` names none."""
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])

    def leaf(array: Any) -> jax.ShapeDtypeStruct:
        # A place in `stored` may be on devices that this process does not have.
        place = here if like is None else getattr(array, "sharding", None) or here
        return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=place)

    return jax.tree.map(leaf, stored if like is None else like)
