"""Read the text of a compiled program: its computations, their instructions, sizes."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

WIDTHS = {"pred": 1, "c64": 8, "c128": 16, "token": 0, "opaque": 0}  # bytes
ARRAY = re.compile(r"([a-z]\w*)\[([\d,]*)\](\{[^}]*\})?")
HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
COMMENT = re.compile(r"/\*.*?\*/")


class Array(NamedTuple):
    """One array of a shape.

    Attributes:
        dtype: as XLA writes it: f32, bf16, s32 ...
        dims: its lengths.
        apart: whether it lies in a fast memory beside the device's (a TPU's VMEM).
    """

    dtype: str
    dims: tuple[int, ...]
    apart: bool

    @property
    def elements(self) -> int:
        """How many numbers."""
        return math.prod(self.dims)

    @property
    def size(self) -> int:
        """Bytes, wherever it lies."""
        return self.elements * width(self.dtype)

    @property
    def bytes(self) -> int:
        """Bytes in the device's memory: none where it lies apart."""
        return 0 if self.apart else self.size


class Instruction(NamedTuple):
    """One line of a computation."""

    name: str
    shape: tuple[Array, ...]
    opcode: str
    operands: tuple[str, ...]
    attributes: str

    def called(self, attribute: str) -> str | None:
        """The computation that an attribute such as `body` names."""
        found = re.search(rf"\b{attribute}=%?([\w.\-]+)", self.attributes)
        return found.group(1) if found else None

    def numbers(self, attribute: str) -> tuple[int, ...]:
        """The numbers of an attribute such as `lhs_batch_dims={0,1}`."""
        found = re.search(rf"\b{attribute}=\{{([\d,]*)\}}", self.attributes)
        return _numbers(found.group(1)) if found else ()


class Computation(NamedTuple):
    """Instructions by name, in order; the last of them is the root."""

    instructions: Mapping[str, Instruction]
    root: Instruction

    def operands(self, instruction: Instruction) -> list[Instruction]:
        """The instructions whose results one reads."""
        return [self.instructions[name] for name in instruction.operands]

    def users(self, name: str) -> list[Instruction]:
        """The instructions that read a result."""
        return [i for i in self.instructions.values() if name in i.operands]


class Module(NamedTuple):
    """A compiled program."""

    computations: Mapping[str, Computation]
    entry: Computation


def width(dtype: str) -> int:
    """Bytes of one number of a type; four bits count as a byte.

    >>> [width(name) for name in ("f32", "bf16", "pred", "s4", "f8e4m3fn")]
    [4, 2, 1, 1, 1]
    """
    if dtype in WIDTHS:
        return WIDTHS[dtype]
    bits = re.search(r"\d+", dtype)
    return max(int(bits.group()) // 8, 1) if bits else 0


def arrays(text: str) -> tuple[Array, ...]:
    """The arrays of a shape; those of a tuple in a row.

    >>> [(a.dims, a.bytes) for a in arrays("(f32[2,3]{1,0}, bf16[4]{0:T(128)S(1)})")]
    [((2, 3), 24), ((4,), 0)]
    """
    return tuple(
        Array(dtype, _numbers(dims), "S(" in layout)
        for dtype, dims, layout in ARRAY.findall(text)
    )


def parse(text: str) -> Module:
    """The module that `compiled.as_text()` tells.

    >>> module = parse('''HloModule m
    ... ENTRY %main (x: f32[2]) -> f32[2] {
    ...   %x = f32[2]{0} parameter(0)
    ...   ROOT %y = f32[2]{0} add(%x, %x), metadata={op_name="add"}
    ... }''')
    >>> module.entry.root.opcode, module.entry.root.operands
    ('add', ('x', 'x'))
    """
    computations: dict[str, Computation] = {}
    entry = None
    lines = iter(text.splitlines())
    for line in lines:
        head = HEAD.match(line)
        if head:
            computation = _computation(lines)
            computations[head.group(2)] = computation
            entry = computation if head.group(1) else entry
    if entry is None:
        raise ValueError("the text has no ENTRY, expected a compiled HLO module")
    return Module(computations, entry)


def _computation(lines: Iterator[str]) -> Computation:
    """The instructions up to the closing brace."""
    found: dict[str, Instruction] = {}
    root = None
    for line in lines:
        if line.startswith("}"):
            break
        instruction = read(line)
        if instruction is None:
            continue
        found[instruction.name] = instruction
        if root is None or line.lstrip().startswith("ROOT "):
            root = instruction
    if root is None:
        raise ValueError("a computation without instructions")
    return Computation(found, root)


def read(line: str) -> Instruction | None:
    """The instruction of a line; None where it has none.

    >>> read("  %d.1 = f32[2,4]{1,0} dot(f32[2,3] %a, %b.2), metadata={}").operands
    ('a', 'b.2')
    """
    left, equals, right = COMMENT.sub("", line).strip().partition(" = ")
    if not equals:
        return None
    name = left.removeprefix("ROOT ").lstrip("%")
    end = _closing(right, 0) if right.startswith("(") else right.find(" ")
    shape, rest = right[:end], right[end:].lstrip()
    start = rest.find("(")
    end = _closing(rest, start)
    operands = tuple(re.findall(r"%([\w.\-]+)", rest[start:end]))
    return Instruction(name, arrays(shape), rest[:start], operands, rest[start:])


def _closing(text: str, start: int) -> int:
    """The place after the bracket that closes the one at `start`."""
    depth = 0
    for place in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if not depth:
            return place + 1
    return len(text)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(",") if number)


def trips(module: Module, loop: Instruction) -> int | None:
    """How often a `while` runs: what XLA says, or the number that it counts up to."""
    known = re.search(r'"known_trip_count":\{"n":"(\d+)"\}', loop.attributes)
    if known:
        return int(known.group(1))
    condition = module.computations[loop.called("condition") or ""]
    if condition.root.opcode != "compare":
        return None
    limits = [
        int(found.group(1))
        for side in condition.operands(condition.root)
        if side.opcode == "constant"
        if (found := re.match(r"\((\d+)\)", side.attributes))
    ]
    return limits[0] if limits else None
