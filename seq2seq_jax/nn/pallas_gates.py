"""What a step of a recurrent cell does besides its product, and its slope by hand.

A persistent kernel (`pallas_cells`) makes the product U h_{t-1} itself, all gates at
once; the rest of a step is elementwise, and stands here for each cell that has a
kernel. Matrices `[B, n*H]` hold n gates side by side.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax.types import Carry, Params


class Gates(NamedTuple):
    """The elementwise part of one cell.

    Attributes:
        fused: G, the gates in a product.
        parts: arrays in a carry, the last of which is h.
        saved: S, the gates that the gradient needs.
        forward: `(projected [B, G*H], product [B, G*H], carry) -> (carry, saved [B,
            S*H])`; `product` is U h_{t-1} + b', see `row`.
        backward: `(saved, carry, slopes of the next carry) -> (slope of projected,
            slopes of the carry)`, without the share that comes through the product.
        through: `(saved, slope of projected) -> slope of product`.
        row: `params -> b' [1, G*H]`, the bias inside the product.
    """

    fused: int
    parts: int
    saved: int
    forward: Callable[..., tuple[Carry, jax.Array]]
    backward: Callable[..., tuple[jax.Array, Carry]]
    through: Callable[[jax.Array, jax.Array], jax.Array]
    row: Callable[[Params], jax.Array]


def cut(x: jax.Array, count: int) -> list[jax.Array]:
    """`[..., n*H]` in n pieces; as slices, since a kernel knows no split."""
    size = x.shape[-1] // count
    return [x[..., i * size : (i + 1) * size] for i in range(count)]


def joined(pieces: Sequence[jax.Array]) -> jax.Array:
    """The pieces side by side."""
    return jnp.concatenate(pieces, axis=-1)


def lstm_forward(
    projected: jax.Array, product: jax.Array, carry: Carry
) -> tuple[Carry, jax.Array]:
    """The equations of `cells.lstm_step`; kept are the four gates.

    >>> zeros = jnp.zeros((1, 4))
    >>> (c, h), kept = lstm_forward(zeros, zeros, (jnp.ones((1, 1)), zeros[:, :1]))
    >>> c.item(), kept.tolist()  # half of c is forgotten
    (0.5, [[0.5, 0.5, 0.0, 0.5]])
    """
    i, f, g, o = cut(projected + product, 4)
    i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
    c = f * carry[0] + i * g
    return (c, o * jnp.tanh(c)), joined([i, f, g, o])


def lstm_backward(
    saved: jax.Array, carry: Carry, slopes: Carry
) -> tuple[jax.Array, Carry]:
    """Of h = o tanh(c) and c = f c_{t-1} + i g, slopes before sigma and tanh.

    c is made anew from what was kept, which is cheaper than reading it.
    """
    i, f, g, o = cut(saved, 4)
    c_before, (d_c, d_h) = carry[0], slopes
    tanh_c = jnp.tanh(f * c_before + i * g)
    d_c = d_c + d_h * o * (1.0 - tanh_c * tanh_c)
    gates = [
        d_c * g * i * (1.0 - i),
        d_c * c_before * f * (1.0 - f),
        d_c * i * (1.0 - g * g),
        d_h * tanh_c * o * (1.0 - o),
    ]
    # h_{t-1} is read by the product alone.
    return joined(gates), (d_c * f, jnp.zeros_like(d_h))


def gru_forward(
    projected: jax.Array, product: jax.Array, carry: Carry
) -> tuple[Carry, jax.Array]:
    """The equations of `gru_cells.gru_step`; kept are r, z, n and U h + b' of n.

    >>> zeros = jnp.zeros((1, 3))
    >>> gru_forward(zeros, zeros, (jnp.ones((1, 1)),))[0][0].item()  # z = 1/2, n = 0
    0.5
    """
    (h,) = carry
    (x_r, x_z, x_n), (h_r, h_z, h_n) = cut(projected, 3), cut(product, 3)
    r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
    n = jnp.tanh(x_n + r * h_n)
    return (z * h + (1.0 - z) * n,), joined([r, z, n, h_n])


def gru_backward(
    saved: jax.Array, carry: Carry, slopes: Carry
) -> tuple[jax.Array, Carry]:
    """Of h = z h_{t-1} + (1 - z) n and n = tanh(x + r (U h_{t-1} + b'))."""
    r, z, n, h_n = cut(saved, 4)
    (h,), (d_h,) = carry, slopes
    d_n = d_h * (1.0 - z) * (1.0 - n * n)
    gates = [d_n * h_n * r * (1.0 - r), d_h * (h - n) * z * (1.0 - z), d_n]
    return joined(gates), (d_h * z,)


def gru_through(saved: jax.Array, slope: jax.Array) -> jax.Array:
    """The reset r stands between n and the product."""
    d_r, d_z, d_n = cut(slope, 3)
    return joined([d_r, d_z, d_n * cut(saved, 4)[0]])


def no_row(params: Params) -> jax.Array:
    """Zeros: `project` has added all biases."""
    return jnp.zeros_like(params["bias"])[None]


def gru_row(params: Params) -> jax.Array:
    """The second bias, which sits inside the reset."""
    bias = params["recurrent_bias"]
    return jnp.pad(bias, (2 * bias.size, 0))[None]


GATES = {
    "lstm": Gates(
        4, 2, 4, lstm_forward, lstm_backward, lambda saved, slope: slope, no_row
    ),
    "gru": Gates(3, 1, 4, gru_forward, gru_backward, gru_through, gru_row),
}
