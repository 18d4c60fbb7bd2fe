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
    over the memory's bytes/s, and a launch. An all-reduce of n devices in a ring sends
    2 (n - 1) / n of its bytes.

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
        if count > 1:
            links += item.times * 2 * (count - 1) / count * item.sent / device.link
    return Seconds(products, memory, launches, links)
