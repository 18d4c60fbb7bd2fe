"""A step of a loop, traced: what it repeats, and its products with constant factors.

`trace` takes any step apart. What follows from constants alone is computed once, before
the loop; of the products left, those with one constant factor are `Product`s.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Literal

JITTED = ("pjit", "jit")  # the primitive of a jitted function, by version of jax


class Slot:
    """A place for a value of the traced step, with the value's type."""

    def __init__(self, aval: Any):
        self.aval = aval


class Equation(NamedTuple):
    """One operation of the traced step: inputs are slots and literals."""

    primitive: Any
    params: dict[str, Any]
    inputs: Sequence[Any]
    outputs: Sequence[Slot]

    @property
    def name(self) -> Slot | None:
        """Its first output; None for one that is there for its effect alone."""
        return self.outputs[0] if self.outputs else None

    def apply(self, *values: Any) -> Sequence[Any]:
        """Its outputs."""
        params = self.primitive.get_bind_params(self.params)
        made = self.primitive.bind(*values, **params)
        return made if self.primitive.multiple_results else [made]


class Product(NamedTuple):
    """A `dot_general` of something that changes with a factor that does not.

    Attributes:
        equation: of the traced step.
        place: which of its two inputs is the factor.
    """

    equation: Equation
    place: int

    @property
    def factor(self) -> Slot:
        """The constant input."""
        return self.equation.inputs[self.place]

    @property
    def other(self) -> Any:
        """The input that changes."""
        return self.equation.inputs[1 - self.place]

    def apply(self, factor: Any, other: Any) -> Any:
        """The product."""
        pair = (other, factor) if self.place else (factor, other)
        return self.equation.apply(*pair)[0]

    @property
    def is_matrix(self) -> bool:
        """Whether it is `other W` for a matrix W: its product, its second factor."""
        (_, mine), batches = self.equation.params["dimension_numbers"]
        two = self.factor.aval.ndim == 2 and not any(batches)
        return two and self.place == 1 and len(mine) == 1

    @property
    def is_of_rows(self) -> bool:
        """Whether it is `x W`, the last axis of x with the first of W."""
        (its, mine), _ = self.equation.params["dimension_numbers"]
        return self.is_matrix and (*its, *mine) == (self.other.aval.ndim - 1, 0)

    def turned(self, factor: Any) -> Any:
        """What `pull` reads of the factor: a matrix is transposed, once for all steps.

        A CPU lays a transposed matrix out anew for each product; in a loop over small
        ones that is a third of the time.
        """
        return jax.lax.optimization_barrier(factor.T) if self.is_matrix else factor

    def pull(self, turned: Any, cotangent: Any) -> Any:
        """The cotangent of what changes, from the product's."""
        product = self
        if self.is_matrix:
            (its, (mine,)), batches = self.equation.params["dimension_numbers"]
            product = self.with_dimensions(((its, (1 - mine,)), batches))
        call = partial(product.apply, turned)
        return jax.linear_transpose(call, self.other.aval)(cotangent)[0]

    def gradient(self, factor: Any, others: Any, cotangents: Any) -> Any:
        """The factor's, from what all steps multiplied it by, and got back for it."""
        if self.is_matrix:
            # One large product has rows alone: steps and batch are the same to it.
            ((its,), mine), batches = self.equation.params["dimension_numbers"]
            others = rows(jnp.moveaxis(others, 1 + its, -1))
            product = self.with_dimensions((((1,), mine), batches))
            call = partial(product.apply, other=others)
            return jax.linear_transpose(call, factor)(rows(cotangents))[0]

        def all_steps(factor: Any) -> Any:
            return jax.vmap(partial(self.apply, factor))(others)

        return jax.vjp(all_steps, factor)[1](cotangents)[0]

    def with_dimensions(self, numbers: Any) -> "Product":
        """The same product with other dimension numbers."""
        params = self.equation.params | {"dimension_numbers": numbers}
        return Product(self.equation._replace(params=params), self.place)


def rows(x: Any) -> Any:
    """`[..., N]` as one matrix."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


class Loop(NamedTuple):
    """A traced step.

    Attributes:
        inputs: slots of its arguments, for a scan's step `[*carry, *x]`.
        outputs: slots and literals of its result, for a scan's step `[*carry, *y]`.
        equations: in order.
        constants: values from before the loop, by slot.
        products: the equations that are put off, by the slot of their output.
        structure: of the result.
    """

    inputs: Sequence[Slot]
    outputs: Sequence[Any]
    equations: Sequence[Equation]
    constants: dict[Slot, Any]
    products: dict[Slot | None, Product]
    structure: Any

    def read_in_loop(self) -> list[Slot]:
        """Constants that are not only factors of what is put off."""
        read = [
            slot
            for equation in self.equations
            for place, slot in enumerate(equation.inputs)
            if (put_off := self.products.get(equation.name)) is None
            or place != put_off.place
        ]
        wanted = {slot for slot in [*read, *self.outputs] if isinstance(slot, Slot)}
        return [slot for slot in self.constants if slot in wanted]


def read(values: dict[Slot, Any], place: Any) -> Any:
    """The value of a slot or a literal."""
    return place.val if isinstance(place, Literal) else values[place]


def hoist(step: Callable[..., Any], *like: Any) -> Callable[..., Any]:
    """The step, with what follows from its constants alone computed now, once.

    XLA moves little out of a loop: it would cut, cast and transpose weights anew in
    every step.

    Args:
        step: any function of arrays.
        like: arguments; those of the result must have the same shapes and types.

    >>> weights = jnp.eye(3)
    >>> hoisted = hoist(lambda x: x @ weights[:2], jnp.ones(2))
    >>> [e.primitive.name for e in jax.make_jaxpr(hoisted)(jnp.ones(2)).eqns]
    ['dot_general']
    """
    loop = trace(step, *like)._replace(products={})
    # The barrier keeps a transpose from being folded back into its product; XLA would
    # compute what stands behind it whether read or not.
    slots = loop.read_in_loop()
    held = jax.lax.optimization_barrier([loop.constants[slot] for slot in slots])
    constants = dict(zip(slots, held, strict=True))

    def call(*arguments: Any) -> Any:
        leaves = jax.tree.leaves(arguments)
        values = constants | dict(zip(loop.inputs, leaves, strict=True))
        for equation in loop.equations:
            made = equation.apply(*[read(values, i) for i in equation.inputs])
            values.update(zip(equation.outputs, made, strict=True))
        outputs = [read(values, place) for place in loop.outputs]
        return jax.tree.unflatten(loop.structure, outputs)

    return call


def trace(step: Callable[..., Any], *like: Any) -> Loop:
    """The step's operations, parted into what the loop repeats and what it need not."""
    closed, shapes = jax.make_jaxpr(step, return_shape=True)(*like)
    inputs = [Slot(var.aval) for var in closed.jaxpr.invars]
    captured = [Slot(var.aval) for var in closed.jaxpr.constvars]
    constants = dict(zip(captured, closed.consts, strict=True))
    equations: list[Equation] = []
    outputs = inline(closed.jaxpr, [*captured, *inputs], equations)
    repeated = []
    for equation in equations:
        if not is_hoisted(equation, constants):
            repeated.append(equation)
            continue
        made = equation.apply(*[read(constants, place) for place in equation.inputs])
        constants.update(zip(equation.outputs, made, strict=True))
    products = products_of(repeated, constants)
    structure = jax.tree.structure(shapes)
    return Loop(inputs, outputs, repeated, constants, products, structure)


def inline(jaxpr: Any, arguments: list, equations: list[Equation]) -> list:
    """Append a jaxpr's equations, those of jitted functions in it too; its outputs."""
    slots = dict(zip([*jaxpr.constvars, *jaxpr.invars], arguments, strict=True))

    def place(atom: Any) -> Any:
        return atom if isinstance(atom, Literal) else slots[atom]

    for eqn in jaxpr.eqns:
        inputs = [place(atom) for atom in eqn.invars]
        if eqn.primitive.name in JITTED and not eqn.params["jaxpr"].consts:
            outputs = inline(eqn.params["jaxpr"].jaxpr, inputs, equations)
        else:
            outputs = [Slot(var.aval) for var in eqn.outvars]
            equations.append(Equation(eqn.primitive, eqn.params, inputs, outputs))
        slots.update(zip(eqn.outvars, outputs, strict=True))
    return [place(atom) for atom in jaxpr.outvars]


def is_hoisted(equation: Equation, constants: dict[Slot, Any]) -> bool:
    """Whether it follows from constants alone, and makes nothing larger than they are.

    What grows (a bias broadcast over all rows) is cheaper made anew than read.
    """
    slots = [place for place in equation.inputs if isinstance(place, Slot)]
    if not slots or not all(slot in constants for slot in slots):
        return False
    largest = max(math.prod(slot.aval.shape) for slot in slots)
    return all(math.prod(slot.aval.shape) <= largest for slot in equation.outputs)


def products_of(
    equations: Sequence[Equation], constants: dict[Slot, Any]
) -> dict[Slot | None, Product]:
    """The products that are put off, by the slot of their output."""
    return {
        equation.name: product
        for equation in equations
        if (product := put_off(equation, constants))
    }


def put_off(equation: Equation, constants: dict[Slot, Any]) -> Product | None:
    """The equation as a product with a constant factor, where it is one."""
    if equation.primitive.name != "dot_general":
        return None
    known = [place in constants for place in equation.inputs]
    return Product(equation, known.index(True)) if known.count(True) == 1 else None
