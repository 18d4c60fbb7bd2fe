"""What a compiled program does, instruction by instruction, loops multiplied out.

XLA's own cost analysis counts the body of a loop once, and knows nothing of how many
kernels one step of it launches; here both are read off the program's text.
"""

import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from seq2seq_jax.planning.hlo import Array, Computation, Instruction, Module, trips

# Nothing runs for these, or what runs is told elsewhere.
FREE = set(
    "parameter constant get-tuple-element tuple bitcast after-all partition-id "
    "replica-id opt-barrier add-dependency copy-done all-reduce-done all-gather-done "
    "collective-permute-done async-done async-update domain send-done recv-done".split()
)
COLLECTIVES = set(
    "all-reduce all-gather reduce-scatter all-to-all collective-permute "
    "collective-broadcast ragged-all-to-all".split()
)
PRODUCTS = ("dot", "convolution")
LIBRARY_PRODUCT = re.compile(r'custom_call_target="[^"]*(gemm|matmul|\$dot)', re.I)


class Item(NamedTuple):
    """One instruction that runs.

    Attributes:
        opcode: of the instruction.
        times: how often it runs in one call of the program.
        loop: the loop it stands in; None: in none.
        flops: of its matrix products, each time.
        bytes: that it moves to and from the device's memory, each time.
        products: matrix products in it.
        kernel: whether it is launched by itself.
        sent: bytes that a collective takes from this device.
        group: devices that meet in a collective; 0: all of them.
    """

    opcode: str
    times: int
    loop: "Loop | None"
    flops: int
    bytes: int
    products: int
    kernel: bool
    sent: int
    group: int = 0


class Loop(NamedTuple):
    """A loop of a compiled program.

    Attributes:
        name: its body's.
        backward: whether it belongs to the gradient.
        turns: how often its body runs each time that it is entered.
        entered: how often it is entered.
    """

    name: str
    backward: bool
    turns: int
    entered: int


def items(module: Module, unknown: int) -> list[Item]:
    """All that runs in one call of a program.

    Args:
        module: the program.
        unknown: how often a loop runs whose end its text does not tell.
    """
    return list(_items(module, module.entry, unknown, 1, None))


def _items(
    module: Module,
    computation: Computation,
    unknown: int,
    times: int,
    loop: Loop | None,
) -> Iterator[Item]:
    for instruction in computation.instructions.values():
        opcode = instruction.opcode
        if opcode in FREE:
            continue
        if opcode == "while":
            inner = _loop(module, instruction, unknown, times)
            body = module.computations[inner.name]
            yield from _items(module, body, unknown, times * inner.turns, inner)
        elif opcode == "conditional":
            ways = [
                list(_items(module, module.computations[name], unknown, times, loop))
                for name in branches(instruction)
            ]
            yield from max(ways, key=lambda way: sum(i.times * i.bytes for i in way))
        elif opcode in ("call", "async-start"):
            name = instruction.called("to_apply") or instruction.called("calls")
            inside = module.computations[name or ""]
            yield from _items(module, inside, unknown, times, loop)
        else:
            yield _item(module, computation, instruction, times, loop)


def _loop(module: Module, instruction: Instruction, unknown: int, times: int) -> Loop:
    turns = trips(module, instruction)
    return Loop(
        instruction.called("body") or "",
        "transpose(" in instruction.attributes,
        unknown if turns is None else turns,
        times,
    )


def branches(conditional: Instruction) -> list[str]:
    """The computations of which one runs."""
    listed = re.search(r"branch_computations=\{([^}]*)\}", conditional.attributes)
    if listed:
        return re.findall(r"%?([\w.\-]+)", listed.group(1))
    both = (conditional.called(f"{way}_computation") for way in ("true", "false"))
    return [name for name in both if name]


def _item(
    module: Module,
    computation: Computation,
    instruction: Instruction,
    times: int,
    loop: Loop | None,
) -> Item:
    opcode = instruction.opcode.removesuffix("-start")
    products = list(_products(module, computation, instruction))
    scalar = all(not array.dims for array in instruction.shape)
    launched = bool(instruction.operands) and (opcode == "fusion" or not scalar)
    sent = group = 0
    if opcode in COLLECTIVES:
        read = computation.operands(instruction)
        sent = sum(array.size for source in read for array in source.shape)
        group = group_of(instruction)
    moved = 0 if sent else moved_bytes(module, computation, instruction)
    flops = sum(products)
    return Item(opcode, times, loop, flops, moved, len(products), launched, sent, group)


def group_of(collective: Instruction) -> int:
    """How many devices meet in a collective; 0: all of them.

    >>> from seq2seq_jax.planning.hlo import read
    >>> group_of(read("%r = f32[] all-reduce(%x), replica_groups={{0,1},{2,3}}"))
    2
    >>> group_of(read("%r = f32[] all-reduce(%x), replica_groups=[2,4]<=[8]"))
    4
    """
    listed = re.search(r"replica_groups=\{\{([\d,]*)\}", collective.attributes)
    if listed:
        return listed.group(1).count(",") + 1
    counted = re.search(r"replica_groups=\[\d+,(\d+)\]", collective.attributes)
    return int(counted.group(1)) if counted else 0


def _products(
    module: Module, computation: Computation, instruction: Instruction
) -> Iterator[int]:
    """The FLOPs of each matrix product of an instruction, in fusions too."""
    if instruction.opcode == "fusion":
        inside = module.computations[instruction.called("calls") or ""]
        for part in inside.instructions.values():
            yield from _products(module, inside, part)
    elif instruction.opcode in PRODUCTS or (
        instruction.opcode == "custom-call"
        and LIBRARY_PRODUCT.search(instruction.attributes)
    ):
        left, right, *_ = computation.operands(instruction)
        yield product_flops(
            left.shape[0], right.shape[0], instruction.shape[0], instruction
        )


def product_flops(left: Array, right: Array, out: Array, how: Instruction) -> int:
    """2 M K N for each of B products of `[B, M, K]` and `[B, K, N]`.

    Whatever the order of the dimensions, the sizes of the three arrays multiply to
    B (B M K N)^2, so B alone has to be found in the instruction.
    """
    batch = math.prod(left.dims[d] for d in _batch_dims(how, left, right, out))
    return 2 * math.isqrt(left.elements * right.elements * out.elements // batch)


def _batch_dims(
    how: Instruction, left: Array, right: Array, out: Array
) -> tuple[int, ...]:
    """The places, in the left factor, of dimensions that all three arrays share."""
    if how.opcode == "dot":
        return how.numbers("lhs_batch_dims")
    if how.opcode == "convolution":
        labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", how.attributes)
        if not labels:
            return ()
        first, second, third = labels.groups()
        return tuple(
            place
            for place, label in enumerate(first)
            if label.isdigit()
            and left.dims[place]
            == right.dims[second.index(label)]
            == out.dims[third.index(label)]
        )
    found = re.search(r'"lhs_batch_dimensions":\[([^\]]*)\]', how.attributes)
    return tuple(int(n) for n in re.findall(r"\d+", found.group(1))) if found else ()


def moved_bytes(
    module: Module, computation: Computation, instruction: Instruction
) -> int:
    """Bytes that an instruction reads and writes; of a slice, no more than that."""
    operands = computation.operands(instruction)
    size = total(instruction.shape)
    match instruction.opcode:
        case "fusion":
            inside = module.computations[instruction.called("calls") or ""]
            return sum(_read(inside, operands)) + _written(inside, inside.root)
        case "dynamic-slice" | "gather" | "slice":
            return 2 * size
        case "dynamic-update-slice":
            return 2 * total(operands[1].shape)
        case "scatter":
            return 2 * sum(total(o.shape) for o in operands[1:])
        case "copy-start":
            return total(operands[0].shape) + instruction.shape[0].bytes
    return size + sum(total(o.shape) for o in operands)


def total(shape: Sequence[Array]) -> int:
    """Bytes of all arrays of a shape."""
    return sum(array.bytes for array in shape)


def _read(inside: Computation, operands: Sequence[Instruction]) -> Iterator[int]:
    """What a fusion reads of each operand."""
    for instruction in inside.instructions.values():
        if instruction.opcode == "parameter":
            number = int(re.findall(r"\d+", instruction.attributes)[0])
            size = total(operands[number].shape)
            yield min(_used(inside, instruction), size)


def _used(inside: Computation, source: Instruction) -> int:
    """Bytes of a value that its users read."""
    read = 0
    for user in inside.users(source.name):
        first = user.operands[0] == source.name
        if user.opcode in ("dynamic-slice", "gather", "slice") and first:
            read += sum(array.size for array in user.shape)
        elif user.opcode == "dynamic-update-slice" and first:
            continue  # written in place
        elif user.opcode == "bitcast":
            read += _used(inside, user)
        else:
            return sum(array.size for array in source.shape)
    return read


def _written(inside: Computation, root: Instruction) -> int:
    """What a fusion writes: of an array updated in place, the update."""
    if root.opcode == "tuple":
        return sum(_written(inside, part) for part in inside.operands(root))
    if root.opcode == "bitcast":
        (source,) = inside.operands(root)
        return min(_written(inside, source), total(root.shape))
    if root.opcode == "dynamic-update-slice":
        return total(inside.operands(root)[1].shape)
    return total(root.shape)
