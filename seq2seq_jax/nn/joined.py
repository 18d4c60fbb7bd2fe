"""Sums of products in a traced step, joined: a A + b B = [a ; b] [A ; B].

A decoder's gates are W x_t + F f_t + U h_{t-1}, of which a loop multiplies two: what is
fed to it and what it carries. Joined, a step has one product to start, and one result
to keep for the gradient, in place of two.
"""

import functools
import operator
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeGuard

import jax
import jax.numpy as jnp

from seq2seq_jax.traced import (
    Equation,
    Loop,
    Product,
    Slot,
    inline,
    products_of,
)

ADDITIONS = ("add", "add_any")


class Sum(NamedTuple):
    """A sum that a step makes.

    Attributes:
        terms: slots and literals, in the order they are added.
        within: outputs of the additions between them that nothing else reads.
    """

    terms: Sequence[Any]
    within: Sequence[Slot]


def join(loop: Loop) -> Loop:
    """The same step with one product where it adds several.

    >>> from seq2seq_jax.traced import trace
    >>> a, b = jnp.ones((2, 2, 2))
    >>> step = lambda h, x: (h @ a + x + x @ b, None)
    >>> loop = trace(step, jnp.ones((1, 2)), jnp.ones((1, 2)))
    >>> len(loop.products), len(join(loop).products)
    (2, 1)
    """
    made = {equation.name: equation for equation in loop.equations}
    places = [place for equation in loop.equations for place in equation.inputs]
    uses = Counter(place for place in [*places, *loop.outputs] if is_slot(place))
    constants, equations = dict(loop.constants), []
    replaced: set[Slot | None] = set()
    for equation in reversed(loop.equations):  # a whole sum comes before its parts
        if equation.name in replaced:
            continue
        total = sum_of(equation, made, uses)
        several = alike(total, loop.products, uses)
        if len(several) < 2:
            equations.append(equation)
            continue
        replaced.update(total.within, (product.equation.name for product in several))
        equations += reversed(one_product(equation, total, several, constants))
    equations.reverse()
    products = products_of(equations, constants)
    return loop._replace(equations=equations, constants=constants, products=products)


def is_slot(place: Any) -> TypeGuard[Slot]:
    """Whether it is a slot: literals are not hashable."""
    return isinstance(place, Slot)


def sum_of(equation: Equation, made: dict, uses: Counter) -> Sum:
    """What an equation adds up; nothing where it is no addition."""
    terms: list[Any] = []
    within: list[Slot] = []
    if equation.primitive.name not in ADDITIONS:
        return Sum(terms, within)
    for place in equation.inputs:
        alone = is_slot(place) and uses[place] == 1 and place in made
        below = sum_of(made[place], made, uses) if alone else Sum([], [])
        terms += below.terms or [place]
        within += [place, *below.within] if below.terms else []
    return Sum(terms, within)


def alike(total: Sum, products: dict, uses: Counter) -> list[Product]:
    """Products `x W` among the terms that nothing else reads, of one kind."""
    found = [
        products[term]
        for term in total.terms
        if is_slot(term) and term in products and uses[term] == 1
    ]
    found = [product for product in found if product.is_of_rows]
    return [p for p in found if p.equation.params == found[0].equation.params]


def one_product(
    equation: Equation, total: Sum, several: list[Product], constants: dict[Slot, Any]
) -> list[Equation]:
    """Equations for the sum, with one product; its factor joins the constants."""
    factor = jnp.concatenate([constants[product.factor] for product in several])
    slot = Slot(jax.typeof(factor))
    constants[slot] = factor
    names = [product.equation.name for product in several]
    others = [product.other for product in several]
    rest = [term for term in total.terms if term not in names]

    def add_up(factor: Any, others: Sequence, rest: Sequence) -> Any:
        product = several[0].apply(factor, jnp.concatenate(others, -1))
        return functools.reduce(operator.add, [*rest, product])

    places = [slot, *others, *rest]
    avals = [place.aval for place in places]
    count = 1 + len(others)
    closed = jax.make_jaxpr(lambda *x: add_up(x[0], x[1:count], x[count:]))(*avals)
    equations: list[Equation] = []
    inline(closed.jaxpr, places, equations)
    equations[-1] = equations[-1]._replace(outputs=equation.outputs)
    return equations
