"""A scan whose factors get their gradients after the loop, in one product each.

A recurrent step multiplies what it carries by matrices that stay the same: weights, an
attention's keys and values. Of y_t = x_t W the gradient is

    d L / d W  =  sum_t  x_t^T  d L / d y_t

Autodiff of `lax.scan` adds the terms up one by one, a small product and a pass over all
of W in every step. Here the loops only note x_t and d L / d y_t, and one large product
over all steps follows. It is autodiff's gradient but for the order of the sum.

How: the step is traced once; what follows from constants alone is computed before the
loop; of the products left, those with one constant factor are put off. So any step will
do, as it is; one without such products is a plain `lax.scan`.
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
        """The constant input; `other` is the one that changes."""
        return self.equation.inputs[self.place]

    @property
    def other(self) -> Any:
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
        inputs: slots of `[*carry, *x]`.
        outputs: slots and literals of `[*carry, *y]`.
        equations: in order.
        constants: values from before the loop, by slot.
        products: the equations that are put off, by the slot of their output.
        structure: of `(carry, y)`.
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


def scan(
    step: Callable[[Any, Any], tuple[Any, Any]],
    carry: Any,
    xs: Any,
    *,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """`lax.scan(step, carry, xs, reverse=reverse)`, with gradients as told above.

    >>> w = jnp.full((2, 2), 0.5)
    >>> def loss(w, scan):
    ...     step = lambda h, x: (jnp.tanh(x + h @ w),) * 2
    ...     return scan(step, jnp.zeros((1, 2)), jnp.ones((3, 1, 2)))[0].sum()
    >>> here, plain = (jax.grad(loss)(w, s) for s in (scan, jax.lax.scan))
    >>> bool(jnp.allclose(here, plain))
    True
    """
    loop = trace(step, carry, xs)
    if not loop.products:
        return jax.lax.scan(step, carry, xs, reverse=reverse)
    products, kept = list(loop.products.values()), loop.read_in_loop()

    @jax.custom_vjp
    def run(factors: list, plain: list, carry: list, xs: list) -> tuple:
        return all_steps(loop, kept, reverse, factors, plain, carry, xs, None)[0]

    def forward(factors: list, *rest: list) -> tuple:
        call = partial(all_steps, loop, kept, reverse, factors)
        result, pull, noted = jax.vjp(call, *rest, taps(loop, *rest[1:]), has_aux=True)
        return result, (factors, pull, noted)

    def backward(residuals: tuple, cotangents: Any) -> tuple:
        factors, pull, noted = residuals
        *rest, d_products = pull(cotangents)
        gradients = [
            product.gradient(*values)
            for product, *values in zip(
                products, factors, noted, d_products, strict=True
            )
        ]
        return gradients, *rest

    run.defvjp(forward, backward)
    carried, ys = run(
        [loop.constants[product.factor] for product in products],
        [loop.constants[slot] for slot in kept],
        jax.tree.leaves(carry),
        jax.tree.leaves(xs),
    )
    return jax.tree.unflatten(loop.structure, [*carried, *ys])


def all_steps(
    loop: Loop,
    kept: list[Slot],
    reverse: bool,
    factors: list,
    plain: list,
    carry: list,
    xs: list,
    taps: list | None,
) -> tuple[tuple[list, list], list]:
    """`((last carry, outputs), inputs of the products)`; no taps: none of these.

    Products have no gradient in their factors here; a tap gets a product's cotangent.
    """
    factors = jax.lax.stop_gradient(factors)
    places = {slot: place for place, slot in enumerate(loop.products)}
    products = list(loop.products.values())
    turned = list(map(Product.turned, products, factors)) if taps else []

    def body(carry: list, now: tuple) -> tuple[list, tuple[list, list]]:
        x, taps = now
        values = dict(zip([*kept, *loop.inputs], [*plain, *carry, *x], strict=True))
        noted = []
        for equation in loop.equations:
            place = places.get(equation.name)
            if place is None:
                made = equation.apply(*[read(values, i) for i in equation.inputs])
            else:
                product = products[place]
                other = read(values, product.other)
                if taps:
                    pair = factors[place], turned[place]
                    made = [tapped(product, *pair, other, taps[place])]
                    noted.append(other)
                else:
                    made = [product.apply(factors[place], other)]
            values.update(zip(equation.outputs, made, strict=True))
        outputs = [read(values, slot) for slot in loop.outputs]
        return outputs[: len(carry)], (outputs[len(carry) :], noted)

    if taps:
        # Products are kept for the backward pass; what lies between is made anew.
        policy = jax.checkpoint_policies.dots_saveable
        body = jax.checkpoint(body, prevent_cse=False, policy=policy)
    carry, (ys, noted) = jax.lax.scan(body, carry, (xs, taps), reverse=reverse)
    return (carry, ys), noted


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def tapped(product: Product, factor: Any, turned: Any, other: Any, tap: Any) -> Any:
    """The product; its cotangent is the tap's as well, and none goes to the factor."""
    return product.apply(factor, other)


tapped.defvjp(
    lambda product, factor, turned, other, _: (product.apply(factor, other), turned),
    lambda product, turned, ct: (None, None, product.pull(turned, ct), ct),
)


def taps(loop: Loop, carry: list, xs: list) -> list:
    """Zeros for each product of each step; nothing reads them, so they cost nothing."""
    steps = len(xs[0])
    return [
        # Made from data: zeros vary over devices as the data does.
        jnp.zeros_like(carry[0], shape=(steps, *made.aval.shape), dtype=made.aval.dtype)
        for made in (product.equation.outputs[0] for product in loop.products.values())
    ]


def read(values: dict[Slot, Any], place: Any) -> Any:
    """The value of a slot or a literal."""
    return place.val if isinstance(place, Literal) else values[place]


def trace(step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any) -> Loop:
    """The step's operations, parted into what the loop repeats and what it need not."""
    first = jax.tree.map(lambda x: x[0], xs)
    closed, shapes = jax.make_jaxpr(step, return_shape=True)(carry, first)
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
    products = {
        equation.name: product
        for equation in repeated
        if (product := put_off(equation, constants))
    }
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


def put_off(equation: Equation, constants: dict[Slot, Any]) -> Product | None:
    """The equation as a product with a constant factor, where it is one."""
    if equation.primitive.name != "dot_general":
        return None
    known = [place in constants for place in equation.inputs]
    return Product(equation, known.index(True)) if known.count(True) == 1 else None
