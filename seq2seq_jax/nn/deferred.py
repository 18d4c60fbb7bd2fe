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
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from seq2seq_jax.nn.joined import join
from seq2seq_jax.traced import Loop, Product, Slot, read, trace


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
    if not loop.products:
        return jax.lax.scan(step, carry, xs, reverse=reverse, unroll=unroll)
    products, kept = list(loop.products.values()), loop.read_in_loop()
    others = list(dict.fromkeys(product.other for product in products))
    plain_scan = partial(jax.lax.scan, reverse=reverse, unroll=unroll)
    call = partial(all_steps, loop, kept, others, plain_scan)

    @jax.custom_vjp
    def run(factors: list, plain: list, carry: list, xs: list) -> tuple:
        return call(factors, plain, carry, xs, None)[0]

    def forward(factors: list, *rest: list) -> tuple:
        steps = partial(call, factors)
        result, pull, noted = jax.vjp(steps, *rest, taps(loop, *rest[1:]), has_aux=True)
        return result, (factors, pull, noted)

    def backward(residuals: tuple, cotangents: Any) -> tuple:
        factors, pull, noted = residuals
        *rest, d_products = pull(cotangents)
        gradients = [
            product.gradient(factor, noted[others.index(product.other)], d_product)
            for product, factor, d_product in zip(
                products, factors, d_products, strict=True
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
    others: list[Slot],
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
                    pair = factors[place], turned[place]
                    made = [tapped(product, *pair, other, taps[place])]
                else:
                    made = [product.apply(factors[place], other)]
            values.update(zip(equation.outputs, made, strict=True))
        outputs = [read(values, slot) for slot in loop.outputs]
        noted = [values[slot] for slot in others] if taps else []
        return outputs[: len(carry)], (outputs[len(carry) :], noted)

    if taps:
        # Products are kept for the backward pass; what lies between is made anew.
        policy = jax.checkpoint_policies.dots_saveable
        body = jax.checkpoint(body, prevent_cse=False, policy=policy)
    carry, (ys, noted) = scan(body, carry, (xs, taps))
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
