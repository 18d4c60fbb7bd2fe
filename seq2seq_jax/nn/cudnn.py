"""An LSTM's layer by NVIDIA's cuDNN, through `jax.experimental.rnn`.

cuDNN makes all steps of a layer in one call (Appleyard et al. 2016), its input product
too, so it takes x and not the projected gates. Its equations and its order of the
gates are those of `cells.lstm_step`; it adds a second bias, which is 0 here. It has no
zoneout, no dropout mask on h_{t-1} and no reading from the end: a layer that reads in
reverse gets its rows reversed, each within its length. JAX cannot `vmap` it: give it
leading dimensions.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from seq2seq_jax.types import Array, Carry, Params


def flat_weights(params: Params) -> jax.Array:
    """cuDNN's one vector: W_ih `[4H, D]`, W_hh `[4H, H]`, b_ih and b_hh in a row.

    >>> params = {"input": jnp.ones((3, 8)), "recurrent": jnp.ones((2, 8))}
    >>> flat_weights(params | {"bias": jnp.zeros(8)}).shape
    (56,)
    """
    bias = params["bias"]
    pieces = params["input"].T, params["recurrent"].T, bias, jnp.zeros_like(bias)
    return jnp.concatenate([piece.ravel() for piece in pieces])


def params_of(weights: Array, input_size: int, hidden_size: int) -> Params:
    """What `flat_weights` made a vector of; two biases become their sum.

    >>> params_of(jnp.arange(16.0), 1, 1)["bias"].tolist()  # 8 to 11 and 12 to 15
    [20.0, 22.0, 24.0, 26.0]
    """
    width = 4 * hidden_size
    sizes = [width * input_size, width * hidden_size, width, width]
    if weights.shape != (sum(sizes),):
        raise ValueError(
            f"{weights.size} weights, but an LSTM of {input_size} inputs and "
            f"{hidden_size} units has {sum(sizes)}"
        )
    ends = [sum(sizes[:n]) for n in (1, 2, 3)]
    kernel, recurrent, bias, second = jnp.split(weights, ends)
    return {
        "input": kernel.reshape(width, input_size).T,
        "recurrent": recurrent.reshape(width, hidden_size).T,
        "bias": bias + second,
    }


def flipped(x: Array, lengths: Array) -> jax.Array:
    """`x [B, T, D]` with each row's first `lengths [B]` positions reversed.

    >>> x = jnp.arange(4.0)[None, :, None]
    >>> flipped(x, jnp.array([3])).ravel().tolist()
    [2.0, 1.0, 0.0, 3.0]
    """
    place, length = jnp.arange(x.shape[1]), lengths[:, None]
    order = jnp.where(place < length, length - 1 - place, place)
    return jnp.take_along_axis(x, order[..., None], axis=1)


def cudnn_lstm(x: Any, h: Any, c: Any, weights: Any, lengths: Any, hidden: int) -> Any:
    """`(outputs, h, c)` by cuDNN; states are `[1, B, H]`."""
    # It comes with JAX's plugin for CUDA.
    from jax.experimental import rnn

    return rnn.lstm(x, h, c, weights, lengths, x.shape[-1], hidden, 1, 0.0, False)


def run(
    params: Params,
    carry: Carry,
    x: Array,
    mask: Array | None = None,
    reverse: bool = False,
    lstm: Callable[..., tuple] = cudnn_lstm,
) -> tuple[Carry, jax.Array]:
    """What `cells.run_cell` gives for an LSTM, from its input `x [..., T, D]`.

    Args:
        params: of the cell.
        carry: the first one.
        x: the input, in float32.
        mask: `[..., T]`, true up to a length in each row: there are no gaps.
        reverse: from the last real position to the first.
        lstm: as `cudnn_lstm`.
    """
    *lead, steps, inputs = x.shape
    size = carry[-1].shape[-1]
    x = x.reshape(-1, steps, inputs)
    c, h = (jnp.broadcast_to(part, (*lead, size)).reshape(-1, size) for part in carry)
    real = jnp.ones_like(x, bool, shape=(*lead, steps)) if mask is None else mask
    real = jnp.broadcast_to(real, (*lead, steps)).reshape(-1, steps)
    lengths = jnp.sum(real, axis=1, dtype=jnp.int32)
    if reverse:
        x = flipped(x, lengths)
    # cuDNN wants a length of at least 1; an empty row's results are set aside below.
    least = jnp.maximum(lengths, 1)
    outputs, new_h, new_c = lstm(x, h[None], c[None], flat_weights(params), least, size)
    some = (lengths > 0)[:, None]
    last = jnp.where(some, new_c[0], c), jnp.where(some, new_h[0], h)
    outputs = jnp.where(real[..., None], outputs, 0.0)
    if reverse:
        outputs = flipped(outputs, lengths)
    carried = tuple(part.reshape(*lead, size) for part in last)
    return carried, outputs.reshape(*lead, steps, size)
