"""Dense, embedding and dropout as pure functions, and the initial values of weights."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax.nn import quantised
from seq2seq_jax.nn.quantised import is_quantised
from seq2seq_jax.types import Array, Key, Params

GOLDEN = 0x9E3779B9  # 2^32 / golden ratio, odd: its multiples visit every number once

Initializer = Callable[[jax.Array, tuple[int, ...]], jax.Array]


class Initializers(NamedTuple):
    """How a model draws its first weights; biases start at 0.

    Attributes:
        kernel: matrices.
        recurrent: a cell's recurrent matrix `[H, G*H]`.
        embedding: tables `[V, E]`.
        tied: a table that is the output layer's matrix as well.
        attention: matrices inside an attention score.
        vector: an attention score's vector v_a, as a matrix `[A, 1]`.
        output: the matrix of an output layer `[R, V]`.
    """

    kernel: Initializer
    recurrent: Initializer
    embedding: Initializer
    tied: Initializer
    attention: Initializer
    vector: Initializer
    output: Initializer


def default_initializers(scale: float | None) -> Initializers:
    """Rules that need no tuning.

    Glorot & Bengio 2010, eq. 16, for kernels, an orthogonal matrix for each recurrent
    product (Saxe et al. 2014), N(0, 1) for embeddings: gates of the first layer then
    have values of about 1, and training is faster than from rows of unit length. Those,
    N(0, 1/E), are for a table that predicts as well: logits should start small. So
    they do from an output layer's N(0, 1/R), whatever the vocabulary's size; Glorot's
    rule makes them smaller the larger it is, and training slow to begin.
    """
    kernel = jax.nn.initializers.glorot_uniform()
    normal = jax.nn.initializers.normal(1.0)
    return Initializers(
        kernel, orthogonal_blocks, normal, unit_rows, kernel, kernel, unit_columns
    )


def unit_row_initializers(scale: float | None) -> Initializers:
    """As the default, with N(0, 1/E) for all embeddings."""
    return default_initializers(scale)._replace(embedding=unit_rows)


def unit_rows(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """N(0, 1/E): rows of unit length on average."""
    return jax.random.normal(key, shape) / jnp.sqrt(shape[-1])


def unit_columns(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """N(0, 1/R): columns of unit length on average."""
    return jax.random.normal(key, shape) / jnp.sqrt(shape[0])


def uniform_initializers(scale: float | None) -> Initializers:
    """U(-x, x) for all matrices and tables, x = 0.1 unless told otherwise.

    Sutskever 2014: 0.08; Luong 2015 and tensorflow/nmt: 0.1; GNMT 2016: 0.04.
    """
    width = 0.1 if scale is None else scale

    def uniform(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return jax.random.uniform(key, shape, minval=-width, maxval=width)

    return Initializers(*[uniform] * 7)


def gaussian_initializers(scale: float | None) -> Initializers:
    """N(0, x^2), x = 0.01 unless told otherwise, and orthogonal recurrent matrices.

    Cho 2014 and Bahdanau 2014, B.1: there the matrices of the alignment model come
    from N(0, 0.001^2), a tenth of x here, and v_a starts at 0. (Cho takes the left
    singular vectors of a white Gaussian matrix, which is an orthogonal matrix too.)
    """
    width = 0.01 if scale is None else scale

    def gaussian(factor: float) -> Initializer:
        return lambda key, shape: width * factor * jax.random.normal(key, shape)

    plain = gaussian(1.0)
    zeros = jax.nn.initializers.zeros
    return Initializers(
        plain, orthogonal_blocks, plain, plain, gaussian(0.1), zeros, plain
    )


def glorot_initializers(kernel: Initializer) -> Callable[..., Initializers]:
    """tensorflow/nmt's `init_op` glorot_normal or glorot_uniform, for everything."""
    return lambda scale: Initializers(*[kernel] * 7)


INITIALIZERS: dict[str, Callable[[float | None], Initializers]] = {
    "default": default_initializers,
    "unit_rows": unit_row_initializers,
    "uniform": uniform_initializers,
    "gaussian": gaussian_initializers,
    "glorot_normal": glorot_initializers(jax.nn.initializers.glorot_normal()),
    "glorot_uniform": glorot_initializers(jax.nn.initializers.glorot_uniform()),
}


def initializers(name: str = "default", scale: float | None = None) -> Initializers:
    """An entry of `INITIALIZERS` at a width.

    >>> values = initializers("uniform", 0.2).kernel(jax.random.key(0), (9, 9))
    >>> bool((abs(values) <= 0.2).all())
    True
    """
    return INITIALIZERS[name](scale)


def orthogonal_blocks(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """`[H, G*H]`: one orthogonal `[H, H]` matrix for each of the G gates.

    One matrix at a time: two batched QR products at once can wait for each other for
    ever on a CPU of few cores (jax 0.10).
    """
    size = shape[0]
    keys = jax.random.split(key, shape[1] // size)
    blocks = jax.lax.map(lambda key: jax.random.orthogonal(key, size), keys)
    return jnp.concatenate(list(blocks), axis=-1)


def dense_init(
    key: jax.Array, inputs: int, outputs: int, init: Initializer, bias: bool = True
) -> Params:
    """A kernel `[inputs, outputs]` and, unless told otherwise, a bias `[outputs]`."""
    params = {"kernel": init(key, (inputs, outputs))}
    return params | {"bias": jnp.zeros(outputs)} if bias else params


def dense(params: Params, x: Array) -> jax.Array:
    """y = x W + b, for x `[..., D]`."""
    y = matmul(x, params["kernel"])
    return y + params["bias"] if "bias" in params else y


def matmul(x: Array, kernel: Array) -> jax.Array:
    """x W in the kernel's type, summed and returned in float32 (float64 stays so).

    A bfloat16 kernel (see `cast_kernels`) makes this a bfloat16 product; states,
    statistics and softmaxes around it stay float32, as they do around a product of
    8 bits, which a `quantised.Quantised` kernel makes it.
    """
    if is_quantised(kernel):
        return quantised.product(x, kernel)
    if x.ndim > 2 and kernel.ndim == 2:
        return many_rows(x, kernel)
    wide = jnp.promote_types(kernel.dtype, jnp.float32)
    return jnp.matmul(x.astype(kernel.dtype), kernel, preferred_element_type=wide)


@jax.custom_vjp
def many_rows(x: Array, kernel: Array) -> jax.Array:
    """`matmul` of `x [..., N, D]` whose gradient in the kernel is `summed_products`."""
    wide = jnp.promote_types(kernel.dtype, jnp.float32)
    return jnp.matmul(x.astype(kernel.dtype), kernel, preferred_element_type=wide)


def _many_rows_back(kept: tuple[Array, Array], d_y: jax.Array) -> tuple:
    x, kernel = kept
    d_y = d_y.astype(kernel.dtype)
    d_x = jnp.matmul(d_y, kernel.T, preferred_element_type=x.dtype)
    d_kernel = summed_products(x.astype(kernel.dtype), d_y)
    return d_x.astype(x.dtype), d_kernel.astype(kernel.dtype)


many_rows.defvjp(lambda x, kernel: (many_rows(x, kernel), (x, kernel)), _many_rows_back)


def summed_products(x: Array, y: Array) -> jax.Array:
    """sum x^T y over all rows, `[..., D], [..., G] -> [D, G]`: a matrix's gradient.

    Summed and returned in float32 (float64 stays so). XLA's CPU compiler has a faster
    product for x^T laid out as it is read than for x; other compilers read either.

    >>> summed_products(jnp.ones((3, 2, 1)), jnp.ones((3, 2, 4))).tolist()
    [[6.0, 6.0, 6.0, 6.0]]
    """
    wide = jnp.promote_types(x.dtype, jnp.float32)

    def product(x: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.matmul(x.T, y, preferred_element_type=wide)

    def laid_out(x: jax.Array, y: jax.Array) -> jax.Array:
        x = jax.lax.optimization_barrier(x.T)
        return jnp.matmul(x, y, preferred_element_type=wide)

    count = math.prod(x.shape[:-1])
    rows = x.reshape(count, x.shape[-1]), y.reshape(count, y.shape[-1])
    return jnp.asarray(jax.lax.platform_dependent(*rows, cpu=laid_out, default=product))


def cast_kernels(params: Params, dtype: str) -> Params:
    """Matrices as `dtype`; vectors (biases, scales) and 8 bits as they are."""

    def cast(p: Any) -> Any:
        return p if is_quantised(p) or p.ndim < 2 else p.astype(dtype)

    return jax.tree.map(cast, params, is_leaf=is_quantised)


@jax.custom_vjp
def embed(table: Array, ids: Array) -> jax.Array:
    """Rows `[..., E]` of `table [V, E]` for `ids [...]`.

    The gradient is autodiff's, but the zeros that rows are added to are made of the
    rows' gradient. Constant ones XLA's CPU compiler makes at the start of a training
    step and keeps through all of it, an array `[V, E]` for each table.

    >>> table = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    >>> jax.grad(lambda table: embed(table, jnp.array([1, 1])).sum())(table).tolist()
    [[0.0, 0.0], [2.0, 2.0]]
    """
    return jnp.asarray(table)[ids]


def _embed(table: Array, ids: Array) -> tuple[jax.Array, tuple[Array, Array]]:
    return embed(table, ids), (table, ids)


def _embed_back(kept: tuple[Array, Array], d_rows: jax.Array) -> tuple:
    table, ids = kept
    # NaN where the first number is not finite: then no update is made anyway.
    zero = 0.0 * jnp.sum(jnp.ravel(d_rows)[:1])
    return jnp.broadcast_to(zero, table.shape).at[ids].add(d_rows), None


embed.defvjp(_embed, _embed_back)


def seeds(key: jax.Array) -> jax.Array:
    """`[..., 2]` uint32 of a key or a batch of keys; seeds come back as they are."""
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return jax.random.key_data(key)[..., :2]
    return key


def mix(x: jax.Array) -> jax.Array:
    """A hash of 32 bits: each bit of the input flips half of the output's bits.

    The constants are "lowbias32" of Wellons' hash prospector (2018). Noise for dropout
    needs no more, and threefry was a third of the time that a step took to compile.
    """
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def split_key(key: Key, parts: int) -> tuple[Key, ...]:
    """`parts` seeds from one key, or from each of a batch of keys; None stays None."""
    if key is None:
        return (None,) * parts
    first, second = jnp.moveaxis(seeds(key), -1, 0)
    made = []
    for part in range(parts):
        first_child = mix(first + jnp.uint32(GOLDEN * (part + 1) % 2**32))
        made.append(jnp.stack([first_child, mix(second ^ first_child)], axis=-1))
    return tuple(made)


def dropout_mask(key: Key, rate: float, shape: tuple[int, ...]) -> jax.Array | None:
    """1/(1-rate) where kept and 0 where dropped, or None where there is nothing to do.

    With one key a row (`key [B]` and `shape [B, S, D]`) a row's noise depends neither
    on the rows beside it, nor on the padding behind it: its places are numbered from
    its first element, and each place's bits are a hash of its number and the row's key.
    """
    if key is None or rate == 0.0:
        return None
    kept = random_bits(key, shape) >= jnp.uint32(rate * 2**32)
    return kept / (1.0 - rate)


def random_bits(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """uint32 for each place, numbered from its row's first: see `dropout_mask`."""
    first, second = jnp.moveaxis(seeds(key)[..., None], -2, 0)
    own = shape[first.ndim - 1 :]
    place = jnp.arange(math.prod(own), dtype=jnp.uint32) * jnp.uint32(GOLDEN)
    return mix(mix(place + first) ^ second).reshape(shape)


def coins(key: Any, share: Array | float, shape: tuple[int, ...]) -> jax.Array:
    """True in a share of the places, all of them where it is 1; it may be traced."""
    return in_share(random_bits(key, shape), share)


def in_share(bits: jax.Array, share: Array | float) -> jax.Array:
    """True for a share of all uint32, all of them where it is 1."""
    return (bits >> 8) < jnp.asarray(share) * 2.0**24


def uniform(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Between 0 and 1, neither of them, for each place, as in `dropout_mask`."""
    # As many bits as a float32 holds with the half, which keeps off 0 and 1.
    return ((random_bits(key, shape) >> 9) + 0.5) / 2.0**23


def gaussian_noise(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """N(0, 1) for each place, by its row's key as in `dropout_mask`."""
    return jax.scipy.special.ndtri(uniform(key, shape))


def dropout(key: Key, rate: float, x: jax.Array) -> jax.Array:
    """Inverted dropout (Srivastava et al. 2014); without a key, x itself."""
    return apply_mask(x, dropout_mask(key, rate, x.shape))


def apply_mask(x: Any, mask: Any) -> Any:
    """x times a dropout mask, or x where the mask is None."""
    return x if mask is None else x * mask
