"""Read a program, and refuse one that would call anything outside itself.

jax keeps programs in FlatBuffers and imports a package of that name to read them, which
it does not install. Here is what it needs of it, for where it is missing. The format: a
table begins with the (signed) way back to its vtable; the vtable has its own size, the
table's, and where each field stands in the table, 0 for one that is not there. Texts
and vectors stand where an offset points, behind their lengths. All numbers are
little-endian. What points out of the data raises `ValueError`.
"""

import struct
import sys
import types
from contextlib import contextmanager

import jax
import numpy as np
from jax import export

NAMES = ("flatbuffers", "flatbuffers.compat")
KINDS = {
    "Bool": (bool, "?"),
    "Int8": (int, "i1"),
    "Int16": (int, "<i2"),
    "Int32": (int, "<i4"),
    "Int64": (int, "<i8"),
    "Uint8": (int, "u1"),
    "Uint16": (int, "<u2"),
    "Uint32": (int, "<u4"),
    "Uint64": (int, "<u8"),
    "UOffsetT": (int, "<u4"),
    "Float32": (float, "<f4"),
    "Float64": (float, "<f8"),
}


def program_of(name, data):
    """The program in that data; a `ValueError` where it is none, or no sound one."""
    try:
        with stand_in():
            program = export.deserialize(bytearray(data))
        text = str(program.mlir_module())
    except Exception as error:
        raise ValueError(
            f"jax {jax.__version__} cannot read {name}.bin: {error}"
        ) from None
    known = text.count("custom_call @shape_assertion(")  # jax checks shapes with it
    if text.count("custom_call") > known:
        raise ValueError(f"{name}.bin calls code outside itself and is not run")
    return program


class Flags:
    """One kind of number: its type in Python, and as it is stored."""

    def __init__(self, py_type, stored):
        self.py_type, self.dtype = py_type, np.dtype(stored)


def number(form, data, place):
    """The number at a place, in the letter of `struct`."""
    if not 0 <= place <= len(data) - struct.calcsize(form):
        raise ValueError(f"an offset points to {place}, out of the data")
    return struct.unpack_from(form, data, place)[0]


class Table:
    """A table in `Bytes`, which begins at `Pos`."""

    def __init__(self, data, place):
        self.Bytes, self.Pos = data, place

    def Offset(self, entry):
        """Where a field stands, counted from the table; 0: it is not there."""
        vtable = self.Pos - number("<i", self.Bytes, self.Pos)
        there = entry < number("<H", self.Bytes, vtable)
        return number("<H", self.Bytes, vtable + entry) if there else 0

    def Indirect(self, place):
        """Where the offset at a place points to."""
        return place + number("<I", self.Bytes, place)

    def VectorLen(self, offset):
        """Elements of the vector that a field points to."""
        return number("<I", self.Bytes, self.Indirect(self.Pos + offset))

    def Vector(self, offset):
        """Where its first element stands."""
        return self.Indirect(self.Pos + offset) + 4

    def String(self, place):
        """The bytes that the offset at a place points to."""
        begin = self.Indirect(place)
        return self.part(begin + 4, number("<I", self.Bytes, begin)).tobytes()

    def Get(self, flags, place):
        """The number of that kind at a place."""
        return flags.py_type(
            self.part(place, flags.dtype.itemsize).view(flags.dtype)[0]
        )

    def GetVectorAsNumpy(self, flags, offset):
        """A vector of numbers."""
        size = self.VectorLen(offset) * flags.dtype.itemsize
        return self.part(self.Vector(offset), size).view(flags.dtype)

    def part(self, begin, size):
        """Bytes of the data as an array."""
        if begin < 0 or begin + size > len(self.Bytes):
            raise ValueError(f"{size} bytes at {begin} are out of the data")
        return np.frombuffer(self.Bytes, np.uint8, size, begin)


def modules():
    """Modules by their names, with what jax's reader takes of them."""
    package, compat = map(types.ModuleType, NAMES)
    flags = {f"{name}Flags": Flags(*kind) for name, kind in KINDS.items()}
    parts = {
        "compat": compat,
        "Builder": None,  # to write needs the package itself
        "number_types": types.SimpleNamespace(**flags),
        "table": types.SimpleNamespace(Table=Table),
        "packer": types.SimpleNamespace(uoffset="<I"),
        "encode": types.SimpleNamespace(Get=number),
    }
    vars(package).update(parts)
    vars(compat).update(import_numpy=lambda: np)
    return dict(zip(NAMES, (package, compat), strict=True))


@contextmanager
def stand_in():
    """Be the package flatbuffers for what is imported inside, if there is none."""
    try:
        import flatbuffers  # noqa: F401
    except ImportError:
        made = modules()
        sys.modules.update(made)
        try:
            yield
        finally:
            for name in made:
                sys.modules.pop(name, None)
    else:
        yield
