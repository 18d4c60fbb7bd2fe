"""The plan itself: what a config's programs need of devices, and how fast they are."""

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax

from seq2seq_jax.config import Config
from seq2seq_jax.errors import InputError
from seq2seq_jax.inference import options
from seq2seq_jax.planning import costs, hlo, measure, memory, programs, work
from seq2seq_jax.planning.devices import Device, Topology
from seq2seq_jax.planning.memory import Memory
from seq2seq_jax.planning.programs import Shape, Sizes
from seq2seq_jax.planning.roofline import Seconds, seconds
from seq2seq_jax.training import checks, layout, optimizer, parallel

PATIENCE = 20  # seconds that a step may take for it to be timed
FURTHEST = 64  # times as many rows as the config's, to look for the largest batch


class Loop(NamedTuple):
    """One loop of a program.

    Attributes:
        turns: how often its body runs in all.
        backward: whether it belongs to the gradient.
        kernels, products: launched in one turn, and matrix products among them.
    """

    turns: int
    backward: bool
    kernels: int
    products: int


@dataclass(frozen=True)
class Program:
    """One compiled program on one device.

    Attributes:
        shape: of its batch, over all devices.
        tokens: target positions that a call works off, over all devices.
        memory: what it needs of a device.
        flops: of its matrix products, on a device.
        bytes: that it moves to and from memory, on a device.
        kernels: launched in a call.
        loops: in the order in which they run.
        collectives: how many run in a call.
        sent: bytes that they take from a device.
        seconds: of a call, by the roofline.
        measured: of a call; None where there is no device to run it.
        compiled: seconds that compiling took.
    """

    shape: Shape
    tokens: int
    memory: Memory
    flops: int
    bytes: int
    kernels: int
    loops: list[Loop]
    collectives: int
    sent: int
    seconds: Seconds
    measured: float | None
    compiled: float


@dataclass(frozen=True)
class Plan:
    """What `plan` tells.

    Attributes:
        topology: the devices.
        device: the facts of one.
        dtype: of the products.
        turn: steps in one turn of a loop.
        sizes: of the state.
        ways: parts that a batch is cut in: as many as devices, or as rows of those that
            share a vocabulary.
        shapes: batches of a training, if lengths were spread evenly.
        training, search: the programs at the longest; None: not asked for.
        beam_size: of the search.
        sized: whether the config counts a batch in pairs (`batch_size`).
        largest: the largest `batch_tokens` that fits, or `batch_size`; None: not asked
            for, 0: none.
    """

    topology: Topology
    device: Device
    dtype: str
    turn: int
    sizes: Sizes
    ways: int
    shapes: list[Shape]
    training: Program
    search: Program | None
    beam_size: int
    sized: bool
    largest: int | None


def check(config: Config, beam_size: int, devices: int = 1) -> None:
    """Refuse a config that training would refuse, and a beam that cannot be.

    Raises:
        InputError: naming the field or option, what came and what was expected.
    """
    checks.check(config)
    if config.series.given:
        raise InputError(
            "a plan is of the search for a text, which a model of series does not do: "
            "train it for a few steps instead, and look"
        )
    if config.model.frontend != "tokens":
        raise InputError(
            f"a plan is of sources of tokens, but model.frontend is "
            f"{config.model.frontend!r}: train it for a few steps instead, and look"
        )
    layout.check(config.training, devices)
    if config.model.backend == "pallas":
        raise InputError(
            "model.backend is 'pallas', but a plan cannot read what a kernel of ours "
            "does: set model.backend scan, which needs no less memory and time"
        )
    vocabulary = programs.vocabularies(config)[1]
    checks.check_vocabulary(config, vocabulary)
    options.check_sizes(programs.options_of(beam_size), vocabulary)


def make(
    config: Config,
    topology: Topology,
    devices: tuple[jax.Device, ...],
    *,
    beam_size: int,
    search: bool,
    largest: bool,
) -> Plan:
    """Compile a config's programs for some devices, and read off what they need.

    Args:
        config: the recipe.
        topology: the name and facts of the devices.
        devices: themselves; nothing is run on them but for the CPU.
        beam_size: of the search.
        search: whether to plan that.
        largest: whether to look for the largest batch that fits.
    """
    config = programs.resolved(config, topology.device.platform)
    dtype, device = config.model.dtype, topology.device
    if device.platform == "cpu":
        device = measure.cpu(dtype)
    placed = parallel.of_hosts(devices, config.training.vocabulary_shards)
    site = Site(device, placed, dtype)
    shapes = programs.shapes(config)
    tx = optimizer.make(config.training)
    state = programs.layout_of(config, placed, tx).arguments()
    training = plan_training(config, site, shapes[-1])
    return Plan(
        topology=topology,
        device=device,
        dtype=dtype,
        turn=config.model.unroll or 1,
        sizes=programs.sizes(programs.state_of(config), state),
        ways=placed.all_ways,
        shapes=shapes,
        training=training,
        search=plan_search(config, site, beam_size) if search else None,
        beam_size=beam_size,
        sized=config.training.batch_size is not None,
        largest=largest_batch(config, site, training) if largest else None,
    )


class Site(NamedTuple):
    """Where programs are to run: a device's facts, all devices, the products' type."""

    device: Device
    devices: parallel.Devices
    dtype: str


def plan_training(config: Config, site: Site, shape: Shape) -> Program:
    """The training step of a batch's shape."""
    step, arguments = programs.train_step(config, site.devices, shape)
    jaxpr = jax.make_jaxpr(getattr(step, "mapped", step))(*arguments).jaxpr
    unknown = costs.unknown_trips(jaxpr) or 1
    start = time.perf_counter()
    built = memory.compiled(step.lower(*arguments))
    seconds = time.perf_counter() - start
    rows = site.devices.all_ways * arguments[2].shape[1]
    shape = shape._replace(rows=rows)
    return read(
        built,
        site,
        shape,
        costs.flops(jaxpr),
        unknown,
        arguments,
        seconds,
        together=True,
    )


def plan_search(config: Config, site: Site, beam_size: int) -> Program:
    """The beam search of a batch of the longest sources, on one device."""
    run, arguments, keywords, shape = programs.search(
        config, site.devices.devices[0], beam_size
    )
    traced = run.trace(*arguments, **keywords)
    start = time.perf_counter()
    built = memory.compiled(traced.lower())
    seconds = time.perf_counter() - start
    unknown = shape.target
    flops = costs.flops(traced.jaxpr.jaxpr, unknown)
    return read(built, site, shape, flops, unknown, arguments, seconds, together=False)


def read(
    built: memory.Built,
    site: Site,
    shape: Shape,
    flops: int,
    unknown: int,
    arguments: Any,
    compiling: float,
    *,
    together: bool,
) -> Program:
    """What a compiled program tells of itself."""
    items = work.items(hlo.parse(built.text), unknown) if built.text else []
    count = len(site.devices.all) if together else 1
    predicted = seconds(items, site.device, site.dtype, count)
    measured = None
    if site.device.platform == "cpu" and built.run is not None:
        small = built.memory.peak < site.device.usable / 2
        if small and predicted.all < PATIENCE:
            measured = memory.timed(built.run, arguments)
    return Program(
        shape=shape,
        tokens=shape.rows * shape.target,
        memory=built.memory,
        flops=flops,
        bytes=sum(item.times * item.bytes for item in items),
        kernels=sum(item.times * item.kernel for item in items),
        loops=loops(items),
        collectives=sum(item.times for item in items if item.sent),
        sent=sum(item.times * item.sent for item in items),
        seconds=predicted,
        measured=measured,
        compiled=compiling,
    )


def loops(items: list[work.Item]) -> list[Loop]:
    """The loops that have matrix products in them, in order."""
    bodies: dict[work.Loop, list[work.Item]] = {}
    for item in items:
        if item.loop:
            bodies.setdefault(item.loop, []).append(item)
    found = [
        Loop(
            loop.turns * loop.entered,
            loop.backward,
            sum(item.kernel for item in body),
            sum(item.products for item in body),
        )
        for loop, body in bodies.items()
    ]
    return [loop for loop in found if loop.products]


def largest_batch(config: Config, site: Site, full: Program) -> int:
    """The largest `batch_tokens`, or `batch_size`, whose step fits the memory.

    What a step needs grows in a straight line with the rows of a device once they are
    many, so the config's batch and one near the limit tell it.
    """
    count, pieces = site.devices.all_ways, config.training.accumulate
    rows, peak = full.shape.rows // count, full.memory.peak
    room, temporary = site.device.usable, full.memory.temporary
    share = (room - (peak - temporary)) / temporary
    if share <= 0:
        return 0
    other = max(int(rows * min(share, FURTHEST)) // pieces, 1) * pieces
    other += pieces * (other == rows)
    shape = full.shape._replace(rows=other * count)
    step, arguments = programs.train_step(config, site.devices, shape)
    slope = (memory.compiled(step.lower(*arguments)).memory.peak - peak) / (
        other - rows
    )
    most = rows + int((room - peak) / slope) if slope > 0 else other
    most = max(most // pieces, 0) * pieces * count
    return most if config.training.batch_size else most * config.data.max_length
