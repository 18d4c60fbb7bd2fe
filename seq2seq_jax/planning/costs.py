"""FLOPs of a function's matrix products, counted on its jaxpr, loops multiplied out."""

import math
from collections.abc import Iterator
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, Var

INDEXING = ("dynamic_slice", "gather")


def flops(jaxpr: Jaxpr, unknown: int = 1) -> int:
    """FLOPs of all products: 2 M K N each, a scan's times its length.

    What no output needs, the compiler leaves out, and so does this count. Of a `cond`
    the dearest branch counts, of a `shard_map` one device's share. A
    `while` runs as often as the longest array has entries that it reads entry by entry
    (`nn/losses.py` folds over chunks like this), else `unknown` times.

    >>> import jax, jax.numpy as jnp
    >>> step = lambda h, x: (jnp.tanh(h @ x), None)
    >>> made = jax.make_jaxpr(lambda h, xs: jax.lax.scan(step, h, xs))
    >>> flops(made(jnp.ones((2, 3)), jnp.ones((5, 3, 3))).jaxpr) == 5 * 2 * 2 * 3 * 3
    True
    """
    return sum(_flops(equation, unknown) for equation in needed(jaxpr))


def needed(jaxpr: Jaxpr) -> list[Any]:
    """The equations that an output depends on, the last one first."""
    found = []
    wanted = {v for v in jaxpr.outvars if not isinstance(v, Literal)}
    for equation in reversed(jaxpr.eqns):
        if equation.effects or not wanted.isdisjoint(equation.outvars):
            found.append(equation)
            wanted |= {v for v in equation.invars if not isinstance(v, Literal)}
    return found


def _flops(equation: Any, unknown: int) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        lengths = [equation.invars[0].aval.shape[axis] for axis in contracted]
        return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(lengths)
    inner = [flops(jaxpr, unknown) for jaxpr in jaxprs(params)]
    if name == "cond":
        return max(inner)
    if name == "scan":
        return params["length"] * sum(inner)
    if name == "while":
        return (entries(equation) or unknown) * sum(inner)
    return sum(inner)


def jaxprs(params: dict[str, Any]) -> Iterator[Jaxpr]:
    """Those among an equation's parameters: bodies of loops, jitted functions ..."""
    for value in params.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            if isinstance(one, ClosedJaxpr):
                yield one.jaxpr
            elif isinstance(one, Jaxpr):
                yield one


def entries(loop: Any) -> int | None:
    """How many entries a `while` reads one by one; None where it reads none so."""
    body = loop.params["body_jaxpr"].jaxpr
    constants = set(body.invars[: loop.params["body_nconsts"]])
    return max(_entries(body, constants), default=None)


def _entries(jaxpr: Jaxpr, constants: set[Var]) -> Iterator[int]:
    for equation in jaxpr.eqns:
        if equation.primitive.name in INDEXING:
            source, size = equation.invars[0], equation.params["slice_sizes"]
            made: Any = equation.outvars[0].aval
            # An entry, not one for each of many indices.
            one = size[0] == 1 and math.prod(made.shape) == math.prod(size)
            if one and not isinstance(source, Literal) and source in constants:
                kind: Any = source.aval
                yield kind.shape[0]
            continue
        for inner in jaxprs(equation.params):
            if len(inner.invars) == len(equation.invars):
                passed = zip(inner.invars, equation.invars, strict=True)
                known = {
                    variable
                    for variable, given in passed
                    if not isinstance(given, Literal) and given in constants
                }
                yield from _entries(inner, known)


def unknown_trips(jaxpr: Jaxpr) -> int | None:
    """`entries` of the longest such `while` in a jaxpr; None where there is none."""
    found = [entries(e) for e in jaxpr.eqns if e.primitive.name == "while"]
    found += [unknown_trips(j) for e in jaxpr.eqns for j in jaxprs(e.params)]
    return max((n for n in found if n is not None), default=None)
