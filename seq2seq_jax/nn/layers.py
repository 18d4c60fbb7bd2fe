"""Dense, embedding and dropout as pure functions, and the initial values of weights."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax.types import Array, Key, Params

Initializer = Callable[[jax.Array, tuple[int, ...]], jax.Array]


class Initializers(NamedTuple):
    """How a model draws its first weights; biases start at 0."""

    kernel: Initializer
    recurrent: Initializer
    embedding: Initializer


def initializers(scale: float | None) -> Initializers:
    """Weights from U(-scale, scale), or, for None, from rules that need no tuning.

    The rules: Glorot & Bengio 2010 uniform for kernels, an orthogonal matrix for each
    recurrent product (Saxe et al. 2014), N(0, 1/E) for embeddings.
    """
    if scale is None:
        return Initializers(
            jax.nn.initializers.glorot_uniform(),
            orthogonal_blocks,
            lambda key, shape: jax.random.normal(key, shape) / jnp.sqrt(shape[-1]),
        )

    def uniform(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return jax.random.uniform(key, shape, minval=-scale, maxval=scale)

    return Initializers(uniform, uniform, uniform)


def orthogonal_blocks(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """`[H, G*H]`: one orthogonal `[H, H]` matrix for each of the G gates."""
    size = shape[0]
    blocks = jax.random.orthogonal(key, size, shape=(shape[1] // size,))
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
    statistics and softmaxes around it stay float32.
    """
    wide = jnp.promote_types(kernel.dtype, jnp.float32)
    return jnp.matmul(x.astype(kernel.dtype), kernel, preferred_element_type=wide)


def cast_kernels(params: Params, dtype: str) -> Params:
    """Matrices as `dtype`; vectors (biases, scales) as they are."""
    return jax.tree.map(lambda p: p.astype(dtype) if p.ndim > 1 else p, params)


def embed(table: Array, ids: Array) -> jax.Array:
    """Rows `[..., E]` of `table [V, E]` for `ids [...]`."""
    return jnp.asarray(table)[ids]


def split_key(key: Key, parts: int) -> tuple[Key, ...]:
    """`parts` keys from one key, or from each of a batch of keys; None stays None."""
    if key is None:
        return (None,) * parts
    flat = jax.vmap(lambda k: jax.random.split(k, parts))(key.reshape(-1))
    return tuple(flat[:, i].reshape(key.shape) for i in range(parts))


def dropout_mask(key: Key, rate: float, shape: tuple[int, ...]) -> jax.Array | None:
    """1/(1-rate) where kept and 0 where dropped, or None where there is nothing to do.

    With one key a row (`key [B]` and `shape [B, S, D]`) a row's noise depends neither
    on the rows beside it, nor on the padding behind it: JAX's counter-based bits are
    numbered from the row's first element.
    """
    if key is None or rate == 0.0:
        return None
    own = shape[key.ndim :]
    kept = jax.vmap(lambda k: jax.random.bernoulli(k, 1.0 - rate, own))(key.reshape(-1))
    return kept.reshape(shape) / (1.0 - rate)


def dropout(key: Key, rate: float, x: jax.Array) -> jax.Array:
    """Inverted dropout (Srivastava et al. 2014); without a key, x itself."""
    return apply_mask(x, dropout_mask(key, rate, x.shape))


def apply_mask(x: Any, mask: Any) -> Any:
    """x times a dropout mask, or x where the mask is None."""
    return x if mask is None else x * mask
