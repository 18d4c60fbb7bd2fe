"""Where a training's state lies: whole on every device, or cut over them.

Devices that share a vocabulary stand in a row of a grid, `[data, vocabulary]`: a
batch's rows are spread over its first axis, embeddings and output layer over its
second. The optimiser's state may be spread over the first axis too. What is cut is
filled up with zeros, so that all devices have as much; checkpoints have it without
them, as if nothing had ever been cut. Each process has such a grid with a whole state
on devices of its own, where it is made, read and saved; the step alone spans all.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding

from seq2seq_jax.config import TrainingConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.training import parallel
from seq2seq_jax.training.optimizer import is_parted
from seq2seq_jax.training.parallel import Devices
from seq2seq_jax.training.step import AXIS, ROWS, VOCABULARY
from seq2seq_jax.types import TrainState

Tree = Any
SPREAD = "opt_state"  # the part of a state that is spread over the rows' axis

# The arrays with a dimension that is as long as a vocabulary, and which one it is.
CUT: dict[tuple[str, ...], int] = {
    ("source", "table"): 0,
    ("target", "table"): 0,
    ("head", "kernel"): 1,
}
CUT |= {("head", "bias"): 0}


def names_of(path: tuple) -> tuple[str, ...]:
    """The names along the way to a leaf."""
    return tuple(jax.tree_util.keystr((part,), simple=True) for part in path)


def cut_dimension(path: tuple) -> int | None:
    """The dimension that goes over the vocabulary; None: there is none.

    An optimiser's moments lie in its state as the parameters do in theirs.

    >>> leaf = {"head": {"kernel": 0}}
    >>> [(path, _)] = jax.tree_util.tree_flatten_with_path(leaf)[0]
    >>> cut_dimension(path)
    1
    """
    return CUT.get(names_of(path)[-2:])


def check(config: TrainingConfig, devices: int) -> None:
    """Refuse to cut what cannot be cut over so many devices of a process.

    Raises:
        InputError: naming the setting, what came and what was expected.
    """
    if devices % config.vocabulary_shards:
        raise InputError(
            f"training.vocabulary_shards is {config.vocabulary_shards}, expected a "
            f"divisor of the number of devices of a process ({devices})"
        )


def of(
    config: TrainingConfig, devices: Devices, make: Callable[[jax.Array], TrainState]
) -> "Whole | Cut":
    """The layout that a config asks for.

    Args:
        config: the training section.
        devices: in as many rows as `parallel` was told.
        make: a seed to the state before the first update.
    """
    if not is_parted(config):
        return Whole(devices, make)
    return Cut(devices, make, config.shard_optimizer)


class Whole:
    """All of the state on every device."""

    rows = AXIS  # the mesh axis over which a batch's rows are spread

    def __init__(self, devices: Devices, make: Callable[[jax.Array], TrainState]):
        self.devices, self._make = devices, make

    def first(self, seed: jax.Array) -> TrainState:
        """The state before the first update."""
        return self.place(jax.jit(self._make)(seed))

    def place(self, tree: Tree) -> Tree:
        """A state, or parameters, as a checkpoint has them, on the devices."""
        return parallel.place(tree, self.devices)

    def like(self, tree: Tree) -> Tree:
        """What a state, or parameters, are read from a checkpoint like."""
        return tree

    def fit(self, tree: Tree) -> Tree:
        """What was read in that way, on the devices."""
        return tree

    def whole(self, tree: Tree) -> Tree:
        """A state, or parameters, from the devices, as a checkpoint has them."""
        return tree

    def arguments(self) -> TrainState:
        """The state that a step takes, as shapes, for devices that are not there."""
        return jax.eval_shape(self._make, jax.random.key(0))

    def train_step(self, step: Callable) -> Callable:
        """Map `(state, batch, rows) -> (state, metrics)`; the state is used up."""
        return parallel.mapped_train_step(step, self.devices)

    def eval_step(self, step: Callable) -> Callable:
        """Map `(params, batch) -> Sums`."""
        return parallel.mapped_eval_step(step, self.devices)


class Cut:
    """Vocabularies, or the optimiser's state, or both, cut over the devices.

    Args:
        devices: as many rows of them as a batch is cut for.
        make: a seed to the state before the first update, uncut.
        spread: whether the optimiser's state is.
    """

    rows = ROWS

    def __init__(
        self,
        devices: Devices,
        make: Callable[[jax.Array], TrainState],
        spread: bool,
    ):
        self.devices, self._make, self._spread = devices, make, spread
        self._mesh = devices.grid

    @cached_property
    def shapes(self) -> TrainState:
        """The state's, as a checkpoint has it."""
        return jax.eval_shape(self._make, jax.random.key(0))

    def first(self, seed: jax.Array) -> TrainState:
        """The state before the first update; no device ever has all of it."""

        def make(seed: jax.Array) -> TrainState:
            return self._map(self._filled, self._make(seed), self.shapes)

        return jax.jit(make, out_shardings=self.shardings(self.shapes))(seed)

    def place(self, tree: Tree) -> Tree:
        """A state, or parameters, as a checkpoint has them, on the devices."""

        def put(path: tuple, leaf: Any, shape: Any) -> jax.Array:
            if leaf.shape != self._size(path, shape):
                leaf = self._filled(path, np.asarray(leaf), shape, np)
            place = NamedSharding(self._mesh, self._spec(path, shape))
            return jax.device_put(leaf, place, may_alias=False)

        return self._map(put, tree, self._shapes_of(tree))

    def like(self, tree: Tree) -> Tree:
        """What a state, or parameters, are read from a checkpoint like.

        What has to be filled up goes through the host's memory.
        """

        def leaf(path: tuple, shape: Any) -> jax.ShapeDtypeStruct:
            place: Any = NamedSharding(self._mesh, self._spec(path, shape))
            if shape.shape != self._size(path, shape):
                place = SingleDeviceSharding(host())
            return jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=place)

        return self._map(leaf, self._shapes_of(tree))

    def fit(self, tree: Tree) -> Tree:
        """What was read in that way, on the devices."""
        return self.place(tree)

    def whole(self, tree: Tree) -> Tree:
        """A state, or parameters, from the devices, as a checkpoint has them.

        What was filled up comes in the host's memory.
        """

        def leaf(path: tuple, array: Any, shape: Any) -> Any:
            if array.shape == shape.shape:
                return array
            return np.asarray(array)[tuple(map(slice, shape.shape))]

        return self._map(leaf, tree, self._shapes_of(tree))

    def train_step(self, step: Callable) -> Callable:
        """Map `(state, batch, rows) -> (state, metrics)`; the state is used up."""
        state = self.specs(self.shapes)
        given = state, PartitionSpec(ROWS), PartitionSpec(ROWS)
        return self._mapped(step, given, (state, PartitionSpec()), donate=(0,))

    def eval_step(self, step: Callable) -> Callable:
        """Map `(params, batch) -> Sums`."""
        given = self.specs(self.shapes.params), PartitionSpec(ROWS)
        return self._mapped(step, given, PartitionSpec())

    def specs(self, shapes: Tree) -> Tree:
        """Which dimension of each leaf goes over which axis of the grid."""
        return self._map(self._spec, shapes)

    def shardings(self, shapes: Tree) -> Tree:
        """The place of each leaf."""

        def place(path: tuple, shape: Any) -> NamedSharding:
            return NamedSharding(self._mesh, self._spec(path, shape))

        return self._map(place, shapes)

    def arguments(self) -> TrainState:
        """The state that a step takes, as shapes with their places."""

        def leaf(path: tuple, shape: Any) -> jax.ShapeDtypeStruct:
            place = NamedSharding(self.devices.grids, self._spec(path, shape))
            size = self._size(path, shape)
            return jax.ShapeDtypeStruct(size, shape.dtype, sharding=place)

        return self._map(leaf, self.shapes)

    def _mapped(
        self, step: Callable, given: tuple, made: Any, donate: tuple = ()
    ) -> Callable:
        """A step of a batch's shares `[ways, B', ...]`, as `parallel` maps them."""

        def body(first: Tree, *shares: Tree) -> Any:
            return step(first, *jax.tree.map(lambda x: jnp.squeeze(x, 0), shares))

        def placed(specs: Any) -> Any:
            return jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs)

        mesh = self.devices.grids
        run = jax.jit(
            jax.shard_map(body, mesh=mesh, in_specs=given, out_specs=made),
            in_shardings=placed(given),
            out_shardings=placed(made),
            donate_argnums=donate,
        )
        return parallel.one_at_a_time(parallel.spanned(run, self.devices), self.devices)

    def _map(self, function: Callable, tree: Tree, *others: Tree) -> Tree:
        return jax.tree_util.tree_map_with_path(function, tree, *others)

    def _shapes_of(self, tree: Tree) -> Tree:
        """The shapes of a state, or of parameters alone."""
        return self.shapes if isinstance(tree, TrainState) else self.shapes.params

    def _axes(self, path: tuple, shape: Any) -> list[tuple[str, ...]]:
        """The grid's axes over which each dimension goes, the outer one first."""
        axes: list[tuple[str, ...]] = [() for _ in shape.shape]
        cut = cut_dimension(path)
        if cut is not None and self.devices.shards > 1:
            axes[cut] = (VOCABULARY,)
        if axes and self._spread and SPREAD in names_of(path):
            axes[0] = (*axes[0], AXIS)
        return axes

    def _spec(self, path: tuple, shape: Any) -> PartitionSpec:
        return PartitionSpec(*(axes or None for axes in self._axes(path, shape)))

    def _size(self, path: tuple, shape: Any) -> tuple[int, ...]:
        """A leaf's shape filled up, so that its parts are equal.

        A vocabulary's parts have as many rows in parameters as in their moments.
        """
        sizes = []
        for length, axes in zip(shape.shape, self._axes(path, shape), strict=True):
            parts = self.devices.shards if VOCABULARY in axes else 1
            parts *= self.devices.ways if axes and self._spread else 1
            sizes.append(-(-length // parts) * parts)
        return tuple(sizes)

    def _filled(self, path: tuple, leaf: Any, shape: Any, xp: Any = jnp) -> Any:
        """A leaf with zeros behind it."""
        sizes = zip(self._size(path, shape), shape.shape, strict=True)
        more = [(0, size - length) for size, length in sizes]
        return xp.pad(leaf, more) if any(after for _, after in more) else leaf


def host() -> jax.Device:
    """The host's memory as a device; the first device where JAX was told of no CPU."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return jax.local_devices()[0]
