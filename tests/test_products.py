"""A matrix's gradient as one product of all rows: `many_rows`, `summed_products`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import assert_close

from seq2seq_jax.nn import layers

X, D_Y = (4, 5, 3), (4, 5, 7)
KERNEL = (3, 7)


def drawn(shape, seed, dtype=np.float32):
    return np.random.default_rng(seed).normal(0, 1, shape).astype(dtype)


def slopes(product, x, kernel, d_y):
    """The product, and what it gives back to both of its factors."""
    y, back = jax.vjp(product, x, kernel)
    return y, *back(jnp.asarray(d_y, y.dtype))


def plain(x, kernel):
    """`matmul` as it would be without a gradient of its own."""
    wide = jnp.promote_types(kernel.dtype, jnp.float32)
    return jnp.matmul(x.astype(kernel.dtype), kernel, preferred_element_type=wide)


@pytest.mark.parametrize("shape", [(6, 3), X, (2, 1, 5, 3), (0, 4, 3)])
def test_in_float64_it_is_autodiffs(shape):
    with jax.enable_x64(True):
        x, kernel = drawn(shape, 0, np.float64), drawn(KERNEL, 1, np.float64)
        d_y = drawn((*shape[:-1], 7), 2, np.float64)
        found = jax.jit(slopes, static_argnums=0)(layers.many_rows, x, kernel, d_y)
        assert all(leaf.dtype == np.float64 for leaf in found)
        assert_close(found, slopes(plain, x, kernel, d_y), 1e-13)


def test_in_bfloat16_the_product_and_types_are_autodiffs():
    """Rows in float32 times a bfloat16 matrix: the result and x's gradient are wide."""
    x, kernel = drawn(X, 0), jnp.asarray(drawn(KERNEL, 1), jnp.bfloat16)
    d_y = drawn(D_Y, 2)
    found, expected = (
        slopes(product, x, kernel, d_y) for product in (layers.many_rows, plain)
    )
    assert [leaf.dtype for leaf in found] == [jnp.float32, jnp.float32, jnp.bfloat16]
    assert [leaf.dtype for leaf in expected] == [leaf.dtype for leaf in found]
    assert_close(found[0], expected[0])
    for a, b in zip(found[1:], expected[1:], strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        assert np.linalg.norm(a - b) < 0.01 * np.linalg.norm(b)


def test_in_bfloat16_the_gradient_is_that_of_rounded_factors():
    """Both factors are rounded once; the sums over rows are float32's."""
    x, kernel = drawn(X, 0), jnp.asarray(drawn(KERNEL, 1), jnp.bfloat16)
    d_y = drawn(D_Y, 2)
    _, d_x, d_kernel = slopes(layers.many_rows, x, kernel, d_y)
    low_x, low_y, low_w = (
        np.asarray(jnp.asarray(a, jnp.bfloat16), np.float64) for a in (x, d_y, kernel)
    )
    assert_close(d_x, low_y @ low_w.T, 1e-5)
    summed = np.einsum("btd,btg->dg", low_x, low_y)
    np.testing.assert_allclose(np.asarray(d_kernel, np.float64), summed, rtol=2**-8)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_sums_over_many_rows_do_not_saturate(dtype):
    """4,096 ones: a bfloat16 sum would stand still at 256."""
    ones = jnp.ones((64, 64, 2), dtype), jnp.ones((64, 64, 3), dtype)
    found = jax.jit(layers.summed_products)(*ones)
    assert found.dtype == jnp.float32
    assert_close(found, np.full((2, 3), 4096.0))


def test_it_is_the_product_that_other_platforms_get():
    """A compiler for another platform takes the transposition as it likes."""
    x, y = drawn(X, 0), drawn(D_Y, 2)
    expected = np.einsum("btd,btg->dg", x.astype(np.float64), y.astype(np.float64))
    assert_close(layers.summed_products(x, y), expected, 1e-5)
    text = (
        jax.jit(layers.summed_products).trace(x, y).lower(lowering_platforms=("cuda",))
    )
    assert "optimization_barrier" not in text.as_text()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rows_may_be_mapped(dtype):
    x, kernel = drawn(X, 0), jnp.asarray(drawn(KERNEL, 1), dtype)
    d_y = drawn(D_Y, 2)
    whole = slopes(layers.many_rows, x, kernel, d_y)
    one = jax.vmap(lambda x, d_y: slopes(layers.many_rows, x, kernel, d_y))
    y, d_x, d_kernel = one(x[:, None], d_y[:, None])
    assert_close((y[:, 0], d_x[:, 0]), whole[:2], 1e-6)
    added = np.asarray(d_kernel, np.float64).sum(0)
    np.testing.assert_allclose(
        added, np.asarray(whole[2], np.float64), rtol=0.03, atol=0.05
    )
