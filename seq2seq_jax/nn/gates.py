"""What cells with fused gates share: first parameters and carries, input products.

The G gates of a cell stand side by side in one matrix `[D, G*H]`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from seq2seq_jax.nn import layers
from seq2seq_jax.types import Array, Carry, Params


def make_init(gates: int, forget_bias: float = 0.0) -> Callable[..., Params]:
    """`init` with fused gates: input `[D, G*H]`, recurrent `[H, G*H]`, bias.

    A forget gate, where there is one, is the second gate.
    """

    def init(
        key: jax.Array, input_size: int, hidden_size: int, inits: layers.Initializers
    ) -> Params:
        input_key, recurrent_key = jax.random.split(key)
        width = gates * hidden_size
        bias = jnp.zeros(width).at[hidden_size : 2 * hidden_size].add(forget_bias)
        return {
            "input": inits.kernel(input_key, (input_size, width)),
            "recurrent": inits.recurrent(recurrent_key, (hidden_size, width)),
            "bias": bias,
        }

    return init


def zeros(like: Array, hidden_size: int) -> jax.Array:
    """`[..., H]` zeros made from data: they vary over devices as the data does."""
    return jnp.zeros_like(
        like, shape=(*like.shape[:-1], hidden_size), dtype=jnp.float32
    )


def one_part(like: Array, hidden_size: int) -> Carry:
    """The carry (h,) of zeros."""
    return (zeros(like, hidden_size),)


def two_parts(like: Array, hidden_size: int) -> Carry:
    """The carry (c, h) of zeros."""
    return zeros(like, hidden_size), zeros(like, hidden_size)


def project(params: Params, x: Array) -> jax.Array:
    """x W + b for all gates at once."""
    return layers.matmul(x, params["input"]) + params["bias"]


def project_without_bias(params: Params, x: Array) -> jax.Array:
    """x W for all gates at once."""
    return layers.matmul(x, params["input"])
