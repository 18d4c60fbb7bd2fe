"""Map a pure step over the devices, and place state and batches on them.

Of several processes, each holds the whole state on devices of its own, and hands the
step its share of the batch. The step alone spans the devices of all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from seq2seq_jax.training.step import AXIS, HOSTS, ROWS, VOCABULARY
from seq2seq_jax.types import Batch


@dataclass(frozen=True)
class Devices:
    """Devices in the order in which they get a batch's rows.

    Attributes:
        devices: of this process.
        all: of all processes, process by process; the step is mapped over these.
        shards: how many in a row share a vocabulary, and with it a batch's rows.
    """

    devices: tuple[jax.Device, ...]
    all: tuple[jax.Device, ...]
    shards: int = 1

    @property
    def count(self) -> int:
        """How many this process has."""
        return len(self.devices)

    @property
    def ways(self) -> int:
        """In how many parts this process cuts its batch."""
        return self.count // self.shards

    @property
    def all_ways(self) -> int:
        """In how many parts all of them cut theirs."""
        return len(self.all) // self.shards

    @property
    def grid(self) -> Mesh:
        """The devices of this process, `[1, ways, shards]`."""
        return self._grid(self.devices)

    @property
    def grids(self) -> Mesh:
        """Those of all processes, `[processes, ways, shards]`."""
        return self._grid(self.all)

    def _grid(self, devices: tuple[jax.Device, ...]) -> Mesh:
        grid = np.array(devices).reshape(-1, self.ways, self.shards)
        return Mesh(grid, (HOSTS, AXIS, VOCABULARY))

    @property
    def replicated(self) -> NamedSharding:
        """The placement of what all of this process's hold whole: the state."""
        mesh = Mesh(np.array(self.devices), (AXIS,))
        return NamedSharding(mesh, PartitionSpec())

    def parted(self, shape: tuple[int, ...]) -> NamedSharding:
        """A placement of equal parts on this process's; whole where none are equal."""
        mesh, axes = self.replicated.mesh, []
        for size in shape:
            axes.append(None if size % self.count or AXIS in axes else AXIS)
        return NamedSharding(mesh, PartitionSpec(*axes))

    @property
    def mesh(self) -> Mesh:
        """The devices of all processes in a row."""
        return Mesh(np.array(self.all), (AXIS,))

    def __str__(self) -> str:
        """How many, in words."""
        processes = len({device.process_index for device in self.all})
        words = f"{len(self.all)} device{'s' * (len(self.all) > 1)}"
        return words + f" in {processes} processes" * (processes > 1)


def local(devices: Sequence[jax.Device] | None = None, shards: int = 1) -> Devices:
    """The given devices of this process, or all of them; it works alone."""
    chosen = tuple(devices or jax.local_devices())
    return Devices(chosen, chosen, shards)


def of_hosts(devices: Sequence[jax.Device], shards: int = 1) -> Devices:
    """Devices that need not be there, for the process that has the first of them."""
    first = devices[0].process_index
    own = tuple(device for device in devices if device.process_index == first)
    return Devices(own, tuple(devices), shards)


def everywhere(shards: int = 1) -> Devices:
    """All devices of all processes."""
    processes = range(jax.process_count())
    every = (jax.local_devices(process_index=process) for process in processes)
    return Devices(
        tuple(jax.local_devices()),
        tuple(device for each in every for device in each),
        shards,
    )


def place(tree: Any, devices: Devices) -> Any:
    """Copy a tree of arrays to every device, where a mapped step leaves its results.

    A state that lies elsewhere makes the second call of a step compile again. The copy
    shares no memory with the original, so that donating it leaves the original whole.
    """
    return jax.device_put(jax.tree.map(jnp.copy, tree), devices.replicated)


def spanning(tree: Any) -> Any:
    """What every process has, as arrays of the devices of all.

    Nothing is copied but what lies in a host's memory: in parts where it can be, for no
    device may have room for all. Orbax saves no others where JAX runs in several
    processes.
    """
    devices = everywhere()

    def leaf(array: Any) -> jax.Array:
        if not isinstance(getattr(array, "sharding", None), NamedSharding):
            array = jax.device_put(array, devices.parted(array.shape))
        mesh = array.sharding.mesh
        grid = np.array(devices.all).reshape(-1, *mesh.devices.shape)
        return _over(Mesh(grid, ("process", *mesh.axis_names)), array)

    return jax.tree.map(leaf, tree)


def spanned(run: Callable, devices: Devices) -> Callable:
    """A step over `devices.grids` of what each process has on a grid of its own.

    Its first argument and its results are the same in all processes, the others are
    numpy arrays, shares of a whole.
    """
    if devices.all == devices.devices:
        return run
    shares = NamedSharding(devices.grids, PartitionSpec(ROWS))

    def call(first: Any, *rest: Any) -> Any:
        first = jax.tree.map(partial(_over, devices.grids), first)
        parts = partial(jax.make_array_from_process_local_data, shares)
        made = run(first, *jax.tree.map(parts, rest))
        return jax.tree.map(partial(_over, devices.grid), made)

    # For devices that are not there: what takes shapes.
    call.lower, call.mapped = run.lower, run  # type: ignore[attr-defined]
    return call


def _over(mesh: Mesh, array: jax.Array) -> jax.Array:
    """An array that is the same in all processes, over the devices of one or of all.

    It is made of the parts that lie there: nothing is copied.
    """
    place = NamedSharding(mesh, array.sharding.spec)  # type: ignore[attr-defined]
    own = [part.data for part in array.addressable_shards]
    return jax.make_array_from_single_device_arrays(array.shape, place, own)


def shard_batch(
    batch: Batch, devices: int, pieces: int = 1
) -> tuple[Batch, np.ndarray]:
    """Cut a host's batch for its devices: `[B, ...]` -> `[devices, B', ...]`.

    Rows are filled up with empty ones (all masks false, so they weigh nothing) to a
    multiple of `devices * pieces`.

    Returns:
        The batch, and `[devices, B']` int32 row numbers; the rows of process p come
        after those of the processes before it.

    >>> ids, mask = np.ones((3, 2), np.int32), np.ones((3, 2), bool)
    >>> cut, rows = shard_batch(Batch(ids, mask, ids, ids, mask), devices=2)
    >>> cut.source.shape, rows.tolist(), cut.target_mask[1].tolist()
    ((2, 2, 2), [[0, 1], [2, 3]], [[True, True], [False, False]])
    """
    count = batch.target_mask.shape[0]
    total = -(-count // (devices * pieces)) * devices * pieces

    def cut(leaf: np.ndarray) -> np.ndarray:
        fill = np.zeros((total - count, *leaf.shape[1:]), leaf.dtype)
        whole = np.concatenate([leaf, fill]) if total > count else leaf
        return whole.reshape(devices, total // devices, *leaf.shape[1:])

    rows = np.arange(total, dtype=np.int32) + jax.process_index() * count
    return jax.tree.map(cut, batch), rows.reshape(devices, -1)


def mapped(
    step: Callable, devices: Devices, in_axes: tuple, out_axes: Any, donate: tuple = ()
) -> Callable:
    """`jax.pmap` of a step over the devices."""
    run = jax.pmap(
        step,
        axis_name=AXIS,
        in_axes=in_axes,
        out_axes=out_axes,
        devices=devices.all,
        donate_argnums=donate,
    )
    return one_at_a_time(run, devices)


def one_at_a_time(run: Callable, devices: Devices) -> Callable:
    """A mapped step of which, on the CPU, one call is in flight at most.

    With several host devices the collectives of calls still in flight can wait for each
    other for ever (jax before 0.12), so the CPU waits for the results of each call.
    """
    if devices.devices[0].platform != "cpu":
        return run

    def waited(*args: Any) -> Any:
        return jax.block_until_ready(run(*args))

    waited.lower = run.lower  # type: ignore[attr-defined]
    return waited


def mapped_train_step(step: Callable, devices: Devices) -> Callable:
    """Map `(state, batch, rows) -> (state, metrics)`; the given state is used up.

    Its `lower` takes shapes in place of arrays, for devices that are not there too.
    """
    return mapped(step, devices, (None, 0, 0), (None, None), donate=(0,))


def mapped_eval_step(step: Callable, devices: Devices) -> Callable:
    """Map `(params, batch) -> Sums`."""
    return mapped(step, devices, (None, 0), None)
