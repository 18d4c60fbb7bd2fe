"""What there is to rent: facts about devices, and the names of several together."""

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from seq2seq_jax.errors import InputError, choose

GIB = 2**30


class Device(NamedTuple):
    """A device's facts, of which a roofline is made.

    Attributes:
        title: its full name.
        platform: cpu, cuda or tpu.
        memory: bytes that it has.
        share: of these, what JAX lets a program have.
        flops: products' FLOP/s by `model.dtype`.
        rates: `(size, bytes/s)`, rising: how fast memory is for an operation that moves
            `size` bytes or more.
        link: bytes/s that it sends to the others; 0: it has no link of its own.
        launch: seconds that each kernel costs beside its work; of accelerators, a
            usual number, not a vendor's.
    """

    title: str
    platform: str
    memory: int
    share: float
    flops: Mapping[str, float]
    rates: tuple[tuple[int, float], ...]
    link: float
    launch: float

    @property
    def usable(self) -> int:
        """Bytes that a program may have."""
        return int(self.memory * self.share)

    def rate(self, size: int) -> float:
        """Bytes/s of an operation that moves so many bytes."""
        return [rate for least, rate in self.rates if least <= size][-1]


def _gpu(title: str, memory: int, wide: float, narrow: float, rate: float, link: float):
    """A GPU: float32 products are TF32, JAX's default there; JAX takes 75 % of memory.

    A kernel costs about 3 µs to launch in a loop that the host drives.
    """
    flops = {"float32": wide, "bfloat16": narrow}
    return Device(title, "cuda", memory, 0.75, flops, ((0, rate),), link, 3e-6)


def _tpu(title: str, memory: float, flops: float, rate: float, link: float) -> Device:
    """A TPU: its products are bfloat16 whatever the dtype, JAX's default there.

    The compiler keeps a quarter of a GiB for itself. It reckons with some 1,800 cycles
    for the smallest operation ("estimated_cycles" in a v5e program's text): 1.2 µs.
    """
    both = {"float32": flops, "bfloat16": flops}
    size = int(memory * GIB)
    return Device(
        title, "tpu", size, 1 - 0.25 / memory, both, ((0, rate),), link, 1.2e-6
    )


# NVIDIA's data sheets: dense TF32 and bfloat16, memory, NVLink in one direction.
# Google's pages "TPU v5e", "v5p", "v6e" (cloud.google.com/tpu/docs): a chip's peak
# compute and HBM bandwidth; half of its bidirectional inter-chip bandwidth.
DEVICES: dict[str, Device] = {
    # Measured when it is asked for: see `measure.py`.
    "cpu": Device("this machine's CPU", "cpu", 0, 1.0, {}, (), 0.0, 0.0),
    "a100": _gpu(
        "NVIDIA A100-SXM4-80GB", 85_100_068_864, 156e12, 312e12, 2.039e12, 300e9
    ),
    "h100": _gpu(
        "NVIDIA H100 80GB HBM3", 84_978_434_048, 494.7e12, 989.4e12, 3.352e12, 450e9
    ),
    "v5e": _tpu("TPU v5e", 16, 197e12, 0.819e12, 200e9),
    "v5p": _tpu("TPU v5p", 95, 459e12, 2.765e12, 300e9),
    "v6e": _tpu("TPU v6e", 32, 918e12, 1.640e12, 400e9),
}
AXES = {"v5e": 2, "v5p": 3, "v6e": 2}  # of the grid that the chips stand in
EXAMPLES = {"cpu": "cpu", "a100": "a100:1", "h100": "h100:8"} | {
    name: f"{name}:2x2" + "x1" * (axes - 2) for name, axes in AXES.items()
}


class Topology(NamedTuple):
    """Several devices of a kind.

    Attributes:
        name: as it was asked for.
        kind: the entry of `DEVICES`.
        grid: how many there are along each axis.
    """

    name: str
    kind: str
    grid: tuple[int, ...]

    @property
    def device(self) -> Device:
        """One of them."""
        return DEVICES[self.kind]

    @property
    def number(self) -> int:
        """How many there are."""
        return math.prod(self.grid)


def parse(name: str) -> Topology:
    """The topology of a name: `cpu`, `h100:8`, `v5e:2x4`.

    Raises:
        InputError: an unknown device, with the nearest one, or an impossible grid.

    >>> parse("v5e:2x4").number, parse("h100").grid
    (8, (1,))
    """
    kind, colon, size = name.partition(":")
    choose(DEVICES, kind, "the device of --topology")
    example = EXAMPLES[kind]
    if kind == "cpu":
        if colon:
            raise InputError(
                f"--topology is {name!r}, expected cpu alone: this machine's"
            )
        return Topology(name, kind, (1,))
    axes = AXES.get(kind, 1)
    what = "a number" if axes == 1 else "a grid of chips" + " in 3 axes" * (axes == 3)
    if not colon and axes == 1:
        return Topology(name, kind, (1,))
    if not re.fullmatch(r"[1-9]\d{0,3}(x[1-9]\d{0,3})*", size) or (
        size.count("x") != axes - 1
    ):
        raise InputError(f"--topology is {name!r}, expected {what}, such as {example}")
    return Topology(name, kind, tuple(map(int, size.split("x"))))
