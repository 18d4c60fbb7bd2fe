"""How long a program's work takes on a device, at the least."""

from collections.abc import Iterable
from typing import NamedTuple

from seq2seq_jax.planning.devices import Device
from seq2seq_jax.planning.work import Item


class Seconds(NamedTuple):
    """A program's time, by what it is spent on.

    Attributes:
        products: operations that the products' FLOP/s hold up.
        memory: operations that memory holds up.
        launches: starting kernels.
        links: sending to other devices.
    """

    products: float
    memory: float
    launches: float
    links: float

    @property
    def all(self) -> float:
        """Their sum: nothing is taken to overlap."""
        return sum(self)


def seconds(work: Iterable[Item], device: Device, dtype: str, count: int) -> Seconds:
    """The roofline of each operation, added up.

    An operation takes the longer of its FLOPs over the device's FLOP/s and its bytes
    over the memory's bytes/s, and a launch. Collectives go round a ring: see `hops`.

    Args:
        work: what the program does on one device.
        device: that device.
        dtype: of the products.
        count: devices together.
    """
    products = memory = launches = links = 0.0
    for item in work:
        compute = item.flops / device.flops[dtype]
        moving = item.bytes / device.rate(item.bytes)
        if compute > moving:
            products += item.times * compute
        else:
            memory += item.times * moving
        launches += item.times * item.kernel * device.launch
        if item.sent and count > 1:
            sent = hops(item.opcode, item.group or count) * item.sent
            links += item.times * sent / device.link
    return Seconds(products, memory, launches, links)


def hops(opcode: str, count: int) -> float:
    """How often a device sends what a collective takes from it, of n in a ring.

    An all-reduce is a reduce-scatter, of which each device sends (n - 1) / n, and an
    all-gather of what that left.

    >>> [hops(opcode, 4) for opcode in ("all-reduce", "reduce-scatter", "all-gather")]
    [1.5, 0.75, 3]
    """
    match opcode:
        case "all-reduce":
            return 2 * (count - 1) / count
        case "reduce-scatter" | "all-to-all" | "ragged-all-to-all":
            return (count - 1) / count
        case "all-gather":
            return count - 1
    return 1
