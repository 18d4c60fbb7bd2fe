"""A scan whose factors get their gradients after the loop, in one product each.

A recurrent step multiplies what it carries by matrices that stay the same: weights, an
attention's keys and values. Of y_t = x_t W the gradient is

    d L / d W  =  sum_t  x_t^T  d L / d y_t

Autodiff of `lax.scan` adds the terms up one by one, a small product and a pass over all
of W in every step. Here the loops only note x_t and d L / d y_t, and one large product
over all steps follows. It is autodiff's gradient but for the order of the sum.

How: the step is traced once; what follows from constants alone is computed before the
loop; of the products left, those with one constant factor are put off, and joined where
they are added up. So any step will do, as it is; one without such products is a plain
`lax.scan`.

A product that is only added to an input of the step (gates, of which the inputs' share
was computed before) has that input's gradient, so it is noted once; and what is kept of
it is the sum, so the loop back reads one array in place of two.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from seq2seq_jax.nn import layers
from seq2seq_jax.nn.joined import ADDITIONS, is_slot, join
from seq2seq_jax.traced import Loop, Product, Slot, read, trace

SUM = "sum of a product and an input"


def scan(
    step: Callable[[Any, Any], tuple[Any, Any]],
    carry: Any,
    xs: Any,
    *,
    reverse: bool = False,
    unroll: int = 1,
) -> tuple[Any, Any]:
    """`lax.scan` of the same arguments, with gradients as told above.

    >>> w = jnp.full((2, 2), 0.5)
    >>> def loss(w, scan):
    ...     step = lambda h, x: (jnp.tanh(x + h @ w),) * 2
    ...     return scan(step, jnp.zeros((1, 2)), jnp.ones((3, 1, 2)))[0].sum()
    >>> here, plain = (jax.grad(loss)(w, s) for s in (scan, jax.lax.scan))
    >>> bool(jnp.allclose(here, plain))
    True
    """
    loop = join(trace(step, carry, jax.tree.map(lambda x: x[0], xs)))
    plain_scan = partial(jax.lax.scan, reverse=reverse, unroll=unroll)
    if not loop.products:
        return plain_scan(step, carry, xs)
    products, kept = list(loop.products.values()), loop.read_in_loop()
    sums = added_inputs(loop, len(jax.tree.leaves(carry)))
    others = list(dict.fromkeys(product.other for product in products))
    call = partial(all_steps, loop, kept, others, sums, plain_scan)

    @jax.custom_vjp
    def run(factors: list, plain: list, carry: list, xs: list) -> tuple:
        return call(factors, plain, carry, xs, None)[0]

    def forward(factors: list, *rest: list) -> tuple:
        given = *rest, taps(loop, sums, *rest[1:])
        result, pull, noted = jax.vjp(partial(call, factors), *given, has_aux=True)
        return result, (factors, pull, noted)

    def backward(residuals: tuple, cotangents: Any) -> tuple:
        factors, pull, noted = residuals
        *rest, tapped = pull(cotangents)
        d_products = cotangents_of(products, sums, tapped, rest[-1])
        noted = [noted[others.index(product.other)] for product in products]
        return [*map(gradient, products, factors, noted, d_products)], *rest

    run.defvjp(forward, backward)
    factors = [loop.constants[product.factor] for product in products]
    plain = [loop.constants[slot] for slot in kept]
    carried, ys = run(factors, plain, jax.tree.leaves(carry), jax.tree.leaves(xs))
    return jax.tree.unflatten(loop.structure, [*carried, *ys])


class Added(NamedTuple):
    """Where a product is only added to an input of the step.

    Attributes:
        input: which of the inputs that are scanned over.
        total: the slot of the sum.
    """

    input: int
    total: Slot


def cotangents_of(
    products: list[Product], sums: dict[Slot | None, Added], tapped: list, d_xs: list
) -> list:
    """Of all steps of each product: an input's, or what its tap got."""
    names = [product.equation.name for product in products]
    return [
        d_xs[sums[name].input] if name in sums else tap
        for name, tap in zip(names, tapped, strict=True)
    ]


def gradient(product: Product, factor: Any, others: Any, d_products: Any) -> Any:
    """The factor's, from what all steps multiplied it by, and got back for it."""
    if product.is_of_rows:
        return layers.summed_products(others, d_products).astype(factor.dtype)
    return product.gradient(factor, others, d_products)


def added_inputs(loop: Loop, carried: int) -> dict[Slot | None, Added]:
    """By the slot of a product, what it is only added to, and that only there."""
    places = [place for equation in loop.equations for place in equation.inputs]
    uses = Counter(place for place in [*places, *loop.outputs] if is_slot(place))
    inputs = {slot: number for number, slot in enumerate(loop.inputs[carried:])}
    found: dict[Slot | None, Added] = {}
    for equation in loop.equations:
        terms = equation.inputs if equation.primitive.name in ADDITIONS else []
        if len(terms) != 2 or not all(is_slot(x) and uses[x] == 1 for x in terms):
            continue
        for product, other in (terms, terms[::-1]):
            alike = product.aval.shape == other.aval.shape
            if alike and product in loop.products and other in inputs:
                found[product] = Added(inputs[other], equation.outputs[0])
    return found


def all_steps(
    loop: Loop,
    kept: list[Slot],
    others: list[Slot],
    sums: dict[Slot | None, Added],
    scan: Callable[..., Any],
    factors: list,
    plain: list,
    carry: list,
    xs: list,
    taps: list | None,
) -> tuple[tuple[list, list], list]:
    """`((last carry, outputs), values of the slots others)`; no taps: none of these.

    Products have no gradient in their factors here; a tap gets a product's cotangent.
    """
    factors = jax.lax.stop_gradient(factors)
    places = {slot: place for place, slot in enumerate(loop.products)}
    products = list(loop.products.values())
    turned = list(map(Product.turned, products, factors)) if taps else []
    totals = {added.total for added in sums.values()} if taps else set()

    def body(carry: list, now: tuple) -> tuple[list, tuple[list, list]]:
        x, taps = now
        values = dict(zip([*kept, *loop.inputs], [*plain, *carry, *x], strict=True))
        for equation in loop.equations:
            place = places.get(equation.name)
            if place is None:
                made = equation.apply(*[read(values, i) for i in equation.inputs])
            else:
                product = products[place]
                other = read(values, product.other)
                if taps:
                    given = factors[place], turned[place], other
                    here = turned_back if taps[place] is None else tapped
                    made = [here(product, *given, *jax.tree.leaves(taps[place]))]
                else:
                    made = [product.apply(factors[place], other)]
            if equation.name in totals:
                made = [checkpoint_name(made[0], SUM)]
            values.update(zip(equation.outputs, made, strict=True))
        outputs = [read(values, slot) for slot in loop.outputs]
        noted = [values[slot] for slot in others] if taps else []
        return outputs[: len(carry)], (outputs[len(carry) :], noted)

    carry, (ys, noted) = scan(remade(body) if taps else body, carry, (xs, taps))
    return (carry, ys), noted


def remade(body: Callable[..., Any]) -> Callable[..., Any]:
    """Products are kept for the backward pass; what lies between is made anew."""
    policy = jax.checkpoint_policies.save_from_both_policies(
        jax.checkpoint_policies.dots_saveable,
        jax.checkpoint_policies.save_only_these_names(SUM),
    )
    return jax.checkpoint(body, prevent_cse=False, policy=policy)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def turned_back(product: Product, factor: Any, turned: Any, other: Any) -> Any:
    """The product; no cotangent goes to the factor."""
    return product.apply(factor, other)


turned_back.defvjp(
    lambda product, factor, turned, other: (product.apply(factor, other), turned),
    lambda product, turned, ct: (None, None, product.pull(turned, ct)),
)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def tapped(product: Product, factor: Any, turned: Any, other: Any, tap: Any) -> Any:
    """The product; its cotangent is the tap's as well, and none goes to the factor."""
    return product.apply(factor, other)


tapped.defvjp(
    lambda product, factor, turned, other, _: (product.apply(factor, other), turned),
    lambda product, turned, ct: (None, None, product.pull(turned, ct), ct),
)


def taps(
    loop: Loop, sums: dict[Slot | None, Added], carry: list, xs: list
) -> list[jax.Array | None]:
    """Zeros for each product of each step; nothing reads them, so they cost nothing.

    None for a product whose cotangent is an input's.
    """

    def zeros(made: Slot) -> jax.Array | None:
        if made in sums:
            return None
        # Made from data: zeros vary over devices as the data does.
        shape = len(xs[0]), *made.aval.shape
        return jnp.zeros_like(carry[0], shape=shape, dtype=made.aval.dtype)

    return [zeros(product.equation.outputs[0]) for product in loop.products.values()]
