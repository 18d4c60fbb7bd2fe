"""Gated recurrent units, of which there are three conventions.

Where the reset gate r stands: before the recurrent product, U (r * h), as Cho et al.
and Bahdanau et al. 2014 have it; or after it, r * (U h), as cuDNN has it. What the
other gate z does: it keeps, h_t = z * h_{t-1} + (1 - z) * n, or it updates,
h_t = (1 - z) * h_{t-1} + z * n.

| entry | reset | z | |
|---|---|---|---|
| `gru` | after | keeps | cuDNN, PyTorch, Flax |
| `gru_reset_before` | before | keeps | Cho 2014, TensorFlow's GRUCell |
| `gru_bahdanau` | before | updates | Bahdanau 2014 |

The last two say the same with z and 1 - z exchanged: trained weights of one are those
of the other with z's matrices and bias negated.
"""

import jax
import jax.numpy as jnp

from seq2seq_jax.nn import layers
from seq2seq_jax.nn.gates import make_init
from seq2seq_jax.types import Array, Carry, Params


def gru_init(
    key: jax.Array, input_size: int, hidden_size: int, inits: layers.Initializers
) -> Params:
    """As `make_init(3)`, with the second bias that sits inside the reset."""
    params = make_init(3)(key, input_size, hidden_size, inits)
    return params | {"recurrent_bias": jnp.zeros(hidden_size)}


def gru_step(
    params: Params, carry: Carry, projected: Array, drop: Array | None = None
) -> tuple[Carry, jax.Array]:
    """GRU with the reset after the recurrent product: cuDNN (Appleyard et al. 2016).

    PyTorch and Flax have it so, too; Cho et al. 2014, eqs. 5-8, have it before.

    r = sigma(W_r x + U_r h);  z = sigma(W_z x + U_z h);
    n = tanh(W x + b + r * (U h + b'));  h_t = z * h_{t-1} + (1 - z) * n.

    >>> from seq2seq_jax.nn.cells import CELLS, run_step
    >>> cell = CELLS["gru"]
    >>> params = cell.init(jax.random.key(0), 3, 2, layers.initializers())
    >>> _, h = run_step(cell, params, cell.initial_carry(jnp.ones(3), 2), jnp.ones(3))
    >>> h.shape
    (2,)
    """
    (h,) = carry
    product = layers.matmul(layers.apply_mask(h, drop), params["recurrent"])
    x_r, x_z, x_n = jnp.split(projected, 3, axis=-1)
    h_r, h_z, h_n = jnp.split(product, 3, axis=-1)
    r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
    n = jnp.tanh(x_n + r * (h_n + params["recurrent_bias"]))
    h = z * h + (1.0 - z) * n
    return (h,), h


def gru_reset_before_step(
    params: Params, carry: Carry, projected: Array, drop: Array | None = None
) -> tuple[Carry, jax.Array]:
    """GRU with the reset before the recurrent product: Cho et al. 2014, eqs. 5-8.

    r = sigma(W_r x + U_r h);  z = sigma(W_z x + U_z h);
    n = tanh(W x + U (r * h));  h_t = z * h_{t-1} + (1 - z) * n.
    Bahdanau et al. 2014 turn z round: `gru_bahdanau`.

    >>> from seq2seq_jax.nn.cells import CELLS, run_step
    >>> cell = CELLS["gru_reset_before"]
    >>> params = cell.init(jax.random.key(0), 3, 2, layers.initializers())
    >>> _, h = run_step(cell, params, cell.initial_carry(jnp.ones(3), 2), jnp.ones(3))
    >>> h.shape
    (2,)
    """
    z, n = reset_before(params, carry, projected, drop)
    h = z * carry[0] + (1.0 - z) * n
    return (h,), h


def gru_bahdanau_step(
    params: Params, carry: Carry, projected: Array, drop: Array | None = None
) -> tuple[Carry, jax.Array]:
    """GRU with the reset before the product, z updates: Bahdanau et al. 2014, A.1.1.

    r = sigma(W_r x + U_r h);  z = sigma(W_z x + U_z h);
    n = tanh(W x + U (r * h));  h_t = (1 - z) * h_{t-1} + z * n.
    In the decoder x is [E y_{i-1} ; c_i], which is A.2.2 with its C inside W.
    Cho et al. 2014 turn z round: `gru_reset_before`.

    >>> from seq2seq_jax.nn.cells import CELLS, run_step
    >>> zeros = {"input": jnp.zeros((1, 3)), "recurrent": jnp.zeros((1, 3))}
    >>> updates = zeros | {"bias": jnp.array([0.0, 99.0, 0.0])}  # z = 1: all is new
    >>> x = jnp.ones(1)
    >>> run_step(CELLS["gru_bahdanau"], updates, (x,), x)[1].item()
    0.0
    >>> run_step(CELLS["gru_reset_before"], updates, (x,), x)[1].item()
    1.0
    """
    z, n = reset_before(params, carry, projected, drop)
    h = (1.0 - z) * carry[0] + z * n
    return (h,), h


def reset_before(
    params: Params, carry: Carry, projected: Array, drop: Array | None
) -> tuple[jax.Array, jax.Array]:
    """The gate z and the new value n = tanh(W x + U (r * h)), `[..., H]` each."""
    (h,) = carry
    size = h.shape[-1]
    recurrent = params["recurrent"]
    gate_kernel, kernel = recurrent[:, : 2 * size], recurrent[:, 2 * size :]
    seen = layers.apply_mask(h, drop)
    gates = projected[..., : 2 * size] + layers.matmul(seen, gate_kernel)
    r, z = jnp.split(jax.nn.sigmoid(gates), 2, axis=-1)
    return z, jnp.tanh(projected[..., 2 * size :] + layers.matmul(r * seen, kernel))
