"""Residual connections around a layer, by name in `RESIDUALS`.

`below` are the inputs of this layer and of all layers under it, from the bottom up.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax

from seq2seq_jax.nn import layers
from seq2seq_jax.types import Params


class Residual(NamedTuple):
    """One kind of residual connection.

    Attributes:
        init: `(key, size, initializers) -> params`.
        apply: `(params, below, output) -> [..., H]`, what the layer above reads.
    """

    init: Callable[..., Params]
    apply: Callable[[Params, Sequence[jax.Array], jax.Array], jax.Array]


def no_init(key: jax.Array, size: int, inits: layers.Initializers) -> Params:
    """No parameters."""
    return {}


def none(params: Params, below: Sequence[jax.Array], output: jax.Array) -> jax.Array:
    """The output itself.

    >>> import jax.numpy as jnp
    >>> none({}, [jnp.ones(1)], jnp.full(1, 2.0)).tolist()
    [2.0]
    """
    return output


def add(params: Params, below: Sequence[jax.Array], output: jax.Array) -> jax.Array:
    """x^i = m^i + x^{i-1} (Wu et al. 2016, eq. 6).

    >>> import jax.numpy as jnp
    >>> add({}, [jnp.ones(1)], jnp.full(1, 2.0)).tolist()
    [3.0]
    """
    return output + below[-1]


def highway_init(key: jax.Array, size: int, inits: layers.Initializers) -> Params:
    """W_T `[H, H]` and b_T, which starts at -1: most of the input passes at first."""
    params = layers.dense_init(key, size, size, inits.kernel)
    return params | {"bias": params["bias"] - 1.0}


def highway(params: Params, below: Sequence[jax.Array], output: jax.Array) -> jax.Array:
    """Srivastava et al. 2015, eq. 3: y = t * m + (1 - t) * x, t = sigma(W_T x + b_T).

    >>> import jax.numpy as jnp
    >>> params = {"kernel": jnp.zeros((1, 1)), "bias": jnp.zeros(1)}
    >>> highway(params, [jnp.ones(1)], jnp.full(1, 2.0)).tolist()
    [1.5]
    """
    gate = jax.nn.sigmoid(layers.dense(params, below[-1]))
    return gate * output + (1.0 - gate) * below[-1]


def dense(params: Params, below: Sequence[jax.Array], output: jax.Array) -> jax.Array:
    """x^{l+1} = m^l + sum_{j <= l} x^j (Britz et al. 2017, section 4.3, dense).

    Of the inputs below, those of the output's size.

    >>> import jax.numpy as jnp
    >>> dense({}, [jnp.ones(1), jnp.full(1, 5.0)], jnp.full(1, 2.0)).tolist()
    [8.0]
    """
    for x in below:
        output = output + x if x.shape == output.shape else output
    return output


RESIDUALS = {
    "none": Residual(no_init, none),
    "add": Residual(no_init, add),
    "highway": Residual(highway_init, highway),
    "dense": Residual(no_init, dense),
}
