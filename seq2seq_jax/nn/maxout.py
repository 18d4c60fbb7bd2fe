"""The deep output of Bahdanau's and Cho's decoders: one layer of maxima over pairs."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import attention, layers, sizes
from seq2seq_jax.types import Array, Params


class Share(NamedTuple):
    """C_o c_i `[..., 2 l]`, in the place of the context c_i itself."""

    value: Array


def size(config: ModelConfig) -> int:
    """l, the units of a maxout readout."""
    return config.readout_size or config.embedding_size


def maxima(wide: jax.Array) -> jax.Array:
    """`[..., 2 l] -> [..., l]`: t_j = max(t~_{2j-1}, t~_{2j}).

    Goodfellow et al. 2013, section 2, with two pieces to a unit.

    >>> maxima(jnp.array([1.0, 2.0, 4.0, 3.0])).tolist()
    [2.0, 4.0]
    """
    return jnp.max(wide.reshape(*wide.shape[:-1], -1, 2), axis=-1)


def init(key: jax.Array, config: ModelConfig, inits: layers.Initializers) -> Params:
    """U_o, V_o and C_o, one above the other, `[H + E + C, 2 l]`, and a bias."""
    width = sizes.decoder_size(config) + config.embedding_size
    width += attention.context_size(config)
    return layers.dense_init(key, width, 2 * size(config), inits.kernel)


def readout(
    params: Params, config: ModelConfig, features: Any, embedded: Array
) -> jax.Array:
    """Bahdanau 2014, A.2.2: the deep output, from the `features` (s, c_i).

    t~_i = U_o s + V_o E y_{i-1} + C_o c_i;  t_i = [max(t~_{i,2j-1}, t~_{i,2j})]_j.

    >>> params = {"kernel": jnp.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])}
    >>> s, y, c = jnp.array([4.0]), jnp.array([2.0]), jnp.array([3.0])
    >>> readout(params, ModelConfig(), (s, c), y).tolist()
    [5.0]
    """
    output, context = features
    if isinstance(context, Share):
        known = jnp.concatenate([output, embedded], axis=-1)
        cut = params | {"kernel": params["kernel"][: known.shape[-1]]}
        return maxima(layers.dense(cut, known) + context.value)
    together = jnp.concatenate([output, embedded, context], axis=-1)
    return maxima(layers.dense(params, together))


def context_rows(params: Params, config: ModelConfig) -> Array:
    """C_o `[C, 2 l]`."""
    return params["kernel"][-attention.context_size(config) :]
