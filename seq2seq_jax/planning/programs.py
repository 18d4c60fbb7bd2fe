"""The programs of a config, lowered from shapes for devices that may not be there.

They are those that training and search run: the training step mapped over devices in
the same way, `inference.programs.decode` under its own jit. No array is made.
"""

import math
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax.config import Config
from seq2seq_jax.data.buckets import choose_edges, count_rows
from seq2seq_jax.inference import programs
from seq2seq_jax.inference.options import LENGTH_PENALTY, Search
from seq2seq_jax.inference.parted import parted
from seq2seq_jax.nn.recurrence import turn
from seq2seq_jax.training import horizon, layout, optimizer, parallel
from seq2seq_jax.training import programs as training_programs
from seq2seq_jax.types import Batch, TrainState

EPOCH = 1000  # batches of the epoch that lengths in epochs are resolved by
MANY = 10**12  # pairs of each shape: so many that every batch of it is full


class Shape(NamedTuple):
    """A batch: its rows over all devices, and both sides' lengths."""

    rows: int
    source: int
    target: int


class Sizes(NamedTuple):
    """Numbers and bytes of what a state holds.

    Attributes:
        parameters: how many numbers the model learns.
        parameter_bytes, optimizer_bytes: on each device; a moving average of the
            parameters is with the optimiser's.
    """

    parameters: int
    parameter_bytes: int
    optimizer_bytes: int


def shapes(config: Config) -> list[Shape]:
    """The batches' shapes if lengths were spread evenly up to `max_length`, rising.

    The data chooses the shapes of a training by the lengths that it has; what does not
    depend on it is the largest possible one, the last here.

    >>> from seq2seq_jax.config import DataConfig, TrainingConfig
    >>> shapes(Config(DataConfig(max_length=40, buckets=2), training=TrainingConfig()))
    [Shape(rows=200, source=20, target=20), Shape(rows=96, source=40, target=40)]
    """
    training = config.training
    lengths = np.arange(2, config.data.max_length + 1)
    pairs = np.stack([lengths, lengths], 1)
    found = []
    for edge in sorted(choose_edges(pairs, config.data.buckets)[:, 1].tolist()):
        rows = training.batch_size or count_rows(MANY, edge, training.batch_tokens)
        found.append(Shape(rows, 1 if config.data.target_only else edge, edge))
    return found


def vocabularies(config: Config) -> tuple[int, int]:
    """Sizes of both sides, taken to be as large as the config allows."""
    data = config.data
    return data.vocab_size, data.target_vocab_size or data.vocab_size


def resolved(config: Config, platform: str) -> Config:
    """The config with loops as on a platform, and lengths in updates.

    Which numbers these are does not matter to a plan.
    """
    backend = "gpu" if platform == "cuda" else platform  # as JAX calls it
    model = replace(config.model, unroll=turn(config.model, backend))
    training = horizon.resolve(config.training, EPOCH)
    return replace(config, model=model, training=training)


def state_of(config: Config) -> TrainState:
    """The shapes of a training's state, as a checkpoint has it."""
    tx = optimizer.make(config.training)
    make = partial(training_programs.first_state, config, vocabularies(config), tx)
    return jax.eval_shape(make, jax.random.key(0))


def layout_of(
    config: Config, devices: parallel.Devices, tx: Any
) -> layout.Whole | layout.Cut:
    """How the state of a training lies on devices."""
    sizes = vocabularies(config)
    first = partial(training_programs.first_state, config, sizes, tx)
    return layout.of(config.training, devices, first)


def sizes(state: TrainState, placed: TrainState | None = None) -> Sizes:
    """Count a state, and the bytes of a device's part of it, as it is placed."""
    placed = placed or state
    numbers = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(state.params))
    beside = (placed.opt_state, placed.average)
    return Sizes(numbers, size_of(placed.params), size_of(beside))


def size_of(tree: Any) -> int:
    """Bytes of a device's part of a tree of arrays or shapes."""

    def bytes_of(leaf: Any) -> int:
        place, shape = getattr(leaf, "sharding", None), leaf.shape
        part = shape if place is None else place.shard_shape(shape)
        return math.prod(part) * leaf.dtype.itemsize

    return sum(map(bytes_of, jax.tree.leaves(tree)))


def batch_of(shape: Shape, devices: int, pieces: int) -> tuple[Any, Any]:
    """The shapes of a batch and its row numbers, cut for devices as training cuts it.

    >>> jax.tree.map(lambda x: x.shape, batch_of(Shape(10, 3, 4), 4, 1)[1])
    (4, 3)
    """
    rows = -(-shape.rows // (devices * pieces)) * pieces

    def side(length: int, dtype: Any) -> Any:
        return jax.ShapeDtypeStruct((devices, rows, length), dtype)

    batch = Batch(
        source=side(shape.source, jnp.int32),
        source_mask=side(shape.source, jnp.bool),
        target_in=side(shape.target, jnp.int32),
        target_out=side(shape.target, jnp.int32),
        target_mask=side(shape.target, jnp.bool),
    )
    return batch, jax.ShapeDtypeStruct((devices, rows), jnp.int32)


def train_step(config: Config, devices: parallel.Devices, shape: Shape) -> Any:
    """The training step and its arguments' shapes: `(mapped step, arguments)`."""
    tx = optimizer.make(config.training)
    step = training_programs.train_step_of(config, vocabularies(config)[1], tx)
    batch = batch_of(shape, devices.all_ways, config.training.accumulate)
    place = layout_of(config, devices, tx)
    return place.train_step(step), (place.arguments(), *batch)


def options_of(beam_size: int) -> Search:
    """The search that is planned."""
    return Search(beam_size, 1, LENGTH_PENALTY, None, alignments=False)


def search(config: Config, device: jax.Device, beam_size: int) -> Any:
    """The beam search on one device: `(jitted search, arguments, keywords, shape)`.

    Its batch is the predictor's for the longest sources; outputs may be as long.
    """
    length = config.data.max_length
    source = 1 if config.data.target_only else length
    rows = programs.rows_of(length, beam_size)
    sharding = jax.sharding.SingleDeviceSharding(device)
    numbers, choices = parted(options_of(beam_size), length)

    def there(shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)

    params, numbers = jax.tree.map(
        lambda leaf: there(leaf.shape, leaf.dtype), (state_of(config).params, numbers)
    )
    arguments = (
        params,
        there((rows, source), jnp.int32),
        there((rows,), jnp.int32),
        there((rows,), jnp.int32),
        there((rows,), jnp.uint32),
        numbers,
    )
    keywords = {"config": config.model, "choices": choices}
    return programs.decode, arguments, keywords, Shape(rows, source, length)
