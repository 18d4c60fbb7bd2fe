"""LSTMs with a layer normalisation in each gate (Ba, Kiros & Hinton 2016, eq. 4).

LN(x) = (x - mean x) / sqrt(var x + 1e-8), mean and variance over the H units of one
gate; then a gain and a shift for each unit, which start at 1 and 0. What is normalised
is the sum of the input's and the recurrent product; the former, without bias (a shift
follows), is still one product for the whole sequence. (In Ba et al.'s own LSTM, eqs. 20
to 22 of their supplement, each of the two products is normalised by itself, over all
gates together. That is not here: a decoder adds two shares of the input product, see
`nn/stack.py`.)
"""

from typing import Any

import jax
import jax.numpy as jnp

from seq2seq_jax.nn import layers
from seq2seq_jax.nn.gates import make_init
from seq2seq_jax.types import Array, Carry, Params

EPSILON = 1e-8  # lingvo's; TensorFlow's 1e-12 makes gradients of 1e6 where all is equal


def normalize(x: Array) -> jax.Array:
    """Mean 0 and variance 1 over the last axis.

    >>> normalize(jnp.array([1.0, 3.0])).tolist()
    [-1.0, 1.0]
    """
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
    return jnp.asarray(centred * jax.lax.rsqrt(variance + EPSILON))


def rnmt_lstm_init(
    key: jax.Array, input_size: int, hidden_size: int, inits: layers.Initializers
) -> Params:
    """Kernels of four gates, a gain and a shift `[4*H]` for their units."""
    params = make_init(4)(key, input_size, hidden_size, inits)
    return {
        "input": params["input"],
        "recurrent": params["recurrent"],
        "gain": jnp.ones(4 * hidden_size),
        "shift": jnp.zeros(4 * hidden_size),
    }


def layer_norm_lstm_init(
    key: jax.Array, input_size: int, hidden_size: int, inits: layers.Initializers
) -> Params:
    """As `rnmt_lstm_init`, and a gain and a shift `[H]` for the cell's state."""
    params = rnmt_lstm_init(key, input_size, hidden_size, inits)
    return params | {
        "cell_gain": jnp.ones(hidden_size),
        "cell_shift": jnp.zeros(hidden_size),
    }


def normed_gates(params: Params, h: Array, projected: Array, drop: Array | None) -> Any:
    """Pre-activations i, f, g, o, `[..., H]` each, normalised each by itself."""
    gates = projected + layers.matmul(layers.apply_mask(h, drop), params["recurrent"])
    parted = gates.reshape(*gates.shape[:-1], 4, -1)
    normed = normalize(parted).reshape(gates.shape)
    return jnp.split(normed * params["gain"] + params["shift"], 4, axis=-1)


def layer_norm_lstm_step(
    params: Params, carry: Carry, projected: Array, drop: Array | None = None
) -> tuple[Carry, jax.Array]:
    """tensorflow/nmt's `layer_norm_lstm`, which is TensorFlow's LayerNormBasicLSTMCell.

    i, f, g, o = the four parts of W x_t + U h_{t-1}, each a_k * LN(.) + b_k;
    c_t = a_c * LN(sigma(f + 1) * c_{t-1} + sigma(i) * tanh(g)) + b_c;
    h_t = sigma(o) * tanh(c_t).
    The 1 is the forget bias. The normalised c_t is handed on; in Ba et al. 2016 LN(c_t)
    is seen by h_t alone.

    Equal pre-activations are normalised to 0, so here only the last state speaks:

    >>> params = layer_norm_lstm_init(jax.random.key(0), 2, 2, layers.initializers())
    >>> params |= {"recurrent": jnp.full((2, 8), 0.5)}
    >>> carry = jnp.array([0.0, 0.1]), jnp.array([0.2, 0.3])
    >>> (c, h), _ = layer_norm_lstm_step(params, carry, jnp.ones(8))
    >>> print(", ".join(f"{x:.4f}" for x in [*c, *h]))
    -1.0000, 1.0000, -0.3808, 0.3808
    """
    c, h = carry
    i, f, g, o = normed_gates(params, h, projected, drop)
    c = jax.nn.sigmoid(f + 1.0) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    c = params["cell_gain"] * normalize(c) + params["cell_shift"]
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (c, h), h


def rnmt_lstm_step(
    params: Params,
    carry: Carry,
    projected: Array,
    drop: Array | None = None,
    cap: float | None = None,
) -> tuple[Carry, jax.Array]:
    """RNMT+, Chen et al. 2018, section 4.1: no non-linearity on the output.

    i, f, g, o = the four parts of W x_t + U h_{t-1}, each a_k * LN(.) + b_k;
    c_t = sigma(f) * c_{t-1} + sigma(i) * tanh(g);  h_t = sigma(o) * c_t.
    (The section tells this in words and numbers no equation.) The forget gate has no
    bias of its own and c_t is not normalised, as in the authors' code, lingvo's
    LayerNormalizedLSTMCellSimple. That code besides cuts c_t at +-`cap`, 10: the entry
    `rnmt_lstm_capped`.

    >>> params = rnmt_lstm_init(jax.random.key(0), 2, 2, layers.initializers())
    >>> carry = jnp.array([4.0, 8.0]), jnp.zeros(2)
    >>> rnmt_lstm_step(params, carry, jnp.ones(8))[1].tolist()
    [1.0, 2.0]
    """
    c, h = carry
    i, f, g, o = normed_gates(params, h, projected, drop)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    c = c if cap is None else jnp.clip(c, -cap, cap)
    h = jax.nn.sigmoid(o) * c
    return (c, h), h
