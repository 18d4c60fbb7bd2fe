"""A plan as a table to read, and as JSON."""

import dataclasses
import json
import textwrap
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jax

from seq2seq_jax.planning.devices import Device
from seq2seq_jax.planning.report import Plan, Program
from seq2seq_jax.planning.roofline import Seconds

LABEL = 18  # letters of the column of names
WIDTH = 88  # of a line
KEPT = "\N{NO-BREAK SPACE}"  # a space at which no line ends
SPENT = {
    "products": "matrix products",
    "memory": "memory",
    "launches": "starting kernels",
    "links": "between devices",
}


def table(plan: Plan, recipe: str) -> str:
    """The plan in lines of a name and what there is to say of it."""
    count, device = plan.topology.number, plan.device
    number = f"{count} x " if count > 1 else ""
    lines = [
        f"{recipe} on {plan.topology.name}: {number}{device.title}, "
        f"jax {jax.__version__}",
        "",
        "model",
        row(
            "parameters", f"{plan.sizes.parameters:,}", size(plan.sizes.parameter_bytes)
        ),
        row("optimiser state", size(plan.sizes.optimizer_bytes)),
        row("products in", plan.dtype),
        row("loops of", f"{plan.turn} steps a turn"),
        "",
        "training step, at the longest batch",
        *training(plan),
    ]
    if plan.search:
        lines += ["", f"search, {plan.beam_size} beams, one device"]
        lines += program(plan, plan.search, "an output token")
        lines.append(row("speed", speed(plan.search, plan.search.shape.rows, "lines")))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def row(name: str, *values: str) -> str:
    """A line of the table.

    >>> row("parameters", "12", "48 B")
    '  parameters        12, 48 B'
    """
    told = ", ".join(value for value in values if value)
    first, rest = f"  {name:<{LABEL}}", " " * (LABEL + 2)
    filled = textwrap.fill(told, WIDTH, initial_indent=first, subsequent_indent=rest)
    return filled.replace(KEPT, " ")


def training(plan: Plan) -> Iterator[str]:
    """The lines about the training step."""
    step = plan.training
    yield from program(plan, step, "a target token")
    if plan.topology.number > 1:
        yield row("between devices", f"{step.collectives} collectives", size(step.sent))
    yield row("speed", speed(step, step.tokens, "target tokens"))
    if step.measured:
        off = step.seconds.all / step.measured - 1
        yield row(
            "measured here",
            duration(step.measured),
            f"the prediction is {off:+.0%} off",
        )
    elif plan.device.platform == "cpu":
        yield row("measured here", "no: it would take too long, or too much memory")
    if plan.largest is not None:
        yield row("largest batch", largest(plan))
    others = [f"{s.rows} of {s.source} + {s.target}" for s in plan.shapes]
    yield row("batches' shapes", *(text.replace(" ", KEPT) for text in others))
    yield row("", "(pairs of source + target tokens, were all lengths as frequent)")


def largest(plan: Plan) -> str:
    """The largest batch that fits, as the option that sets it.

    Where the state alone is too large, none does.
    """
    if not plan.largest:
        return "none fits: the state alone is too large"
    tokens = plan.training.shape.target
    name = "batch_size" if plan.sized else "batch_tokens"
    alone = f" ({plan.largest * tokens:,} tokens)" if plan.sized else ""
    return f"training.{name} {plan.largest:,}{alone}"


def program(plan: Plan, it: Program, token: str) -> Iterator[str]:
    """The lines that training and search have in common."""
    shape, memory, device = it.shape, it.memory, plan.device
    share = f", {shape.rows // plan.ways} a device"
    together = it is plan.training and plan.topology.number > 1
    yield row(
        "batch",
        f"{shape.rows} pairs of {shape.source} + {shape.target} tokens"
        + share * together,
    )
    yield row(
        "memory a device",
        f"{size(memory.arguments)} given",
        f"{size(memory.temporary)} in between",
        f"{size(memory.results)} results" if memory.results >= 2**20 else "",
        f"{size(memory.code)} program" if memory.code else "",
    )
    yield row("peak", f"{size(memory.peak)} of {room(device)}: {fits(it, device)}")
    alike = Counter(it.loops)  # in the order in which each first occurs
    for number, (loop, times) in enumerate(alike.items()):
        way = "backward" if loop.backward else "forward"
        yield (
            f"  {'' if number else 'loops':<{LABEL}}{times:>2} x {loop.turns:>4} turns "
            f"{way:<9}{loop.kernels:>4} kernels{loop.products:>3} products a turn"
        )
    yield row("kernels in all", f"{it.kernels:,}")
    per = it.flops * (plan.topology.number if it is plan.training else 1) / it.tokens
    yield row("FLOPs", f"{quantity(per)} {token}")
    yield row("time", *spent(it.seconds))


def fits(it: Program, device: Device) -> str:
    """Whether a program fits its device."""
    return "fits" if it.memory.peak <= device.usable else "DOES NOT FIT"


def room(device: Device) -> str:
    """What a device has for a program."""
    if device.share == 1:
        return size(device.memory)
    return (
        f"{size(device.usable)} ({device.share:.0%} of {size(device.memory)}, "
        f"what JAX may take)"
    )


def spent(seconds: Seconds) -> Iterator[str]:
    """A time, and what it is spent on."""
    if not seconds.all:
        yield "not known"
        return
    yield f"{duration(seconds.all)} predicted"
    shares = {
        SPENT[name]: part / seconds.all for name, part in seconds._asdict().items()
    }
    for name, share in sorted(shares.items(), key=lambda pair: -pair[1]):
        if share >= 0.005:
            yield f"{share:.0%} {name}"


def speed(it: Program, things: int, name: str) -> str:
    """Things a second, as predicted."""
    return f"{things / it.seconds.all:,.0f} {name}/s" if it.seconds.all else "not known"


def size(number: int) -> str:
    """Bytes in a fitting unit.

    >>> size(512), size(10_000_000), size(2**36)
    ('512 B', '9.5 MiB', '64.0 GiB')
    """
    value, unit = float(number), "B"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"


def quantity(number: float) -> str:
    """A large number with its prefix.

    >>> quantity(9_463_398), quantity(120)
    ('9.46 M', '120')
    """
    for factor, prefix in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= factor:
            return f"{number / factor:.3g}{prefix}"
    return f"{number:.3g}"


def duration(seconds: float) -> str:
    """Seconds in a fitting unit.

    >>> duration(1.5), duration(0.0123)
    ('1.5 s', '12.3 ms')
    """
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


def to_json(plan: Plan, recipe: str) -> str:
    """All numbers: bytes, seconds, FLOPs of one device; names as in the records."""
    told = {"recipe": recipe, "jax": jax.__version__} | plain(plan)
    programs = [plan.training, *([plan.search] if plan.search else [])]
    for name, it in zip(("training", "search"), programs, strict=False):
        told[name] |= {
            "fits": it.memory.peak <= plan.device.usable,
            "predicted_seconds": it.seconds.all,
        }
    return json.dumps(told, indent=2) + "\n"


def plain(value: Any) -> Any:
    """Records as dicts, throughout.

    >>> from seq2seq_jax.planning.devices import parse
    >>> plain(parse("h100:8"))
    {'name': 'h100:8', 'kind': 'h100', 'grid': [8]}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: plain(getattr(value, name)) for name in names}
    if hasattr(value, "_asdict"):
        return {name: plain(part) for name, part in value._asdict().items()}
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value
