"""Bridges: the encoder's last carry -> the decoder's first one, by name in `BRIDGES`.

Decoder layer i looks at the encoder layer as far from the top as itself, or at the
bottom one where the encoder is shallower. `ends` below is that choice: a tuple over
decoder layers of carries whose parts are `[..., D*H]`, the D directions side by side.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax.nn import layers
from seq2seq_jax.types import Carry, Params


class Bridge(NamedTuple):
    """One kind of bridge.

    Attributes:
        init: `(key, parts, encoder_size, decoder_size, layers, initializers) ->
            params`, `parts` being the number of arrays in a cell's carry.
        apply: `(params, ends, decoder_size) -> carry`, a tuple over decoder layers.
        same_size: whether the encoder's and the decoder's sizes must agree.
    """

    init: Callable[..., Params]
    apply: Callable[..., Carry]
    same_size: bool


def ends(encoder_carry: Any, decoder_layers: int) -> Any:
    """The last carries, directions side by side, one for each decoder layer."""
    joined = [
        tuple(jnp.concatenate(parts, -1) for parts in zip(*directions, strict=True))
        for directions in encoder_carry
    ]
    offset = len(joined) - decoder_layers
    return tuple(joined[max(0, i + offset)] for i in range(decoder_layers))


def nothing(key: jax.Array, *sizes: object) -> Params:
    """No parameters."""
    return {}


def zero(params: Params, ends: Any, decoder_size: int) -> Carry:
    """Zeros: the decoder learns of the source through attention alone.

    >>> [part.tolist() for part in zero({}, ((jnp.ones(4),),), 2)[0]]
    [[0.0, 0.0]]
    """

    def made(x: jax.Array) -> jax.Array:
        return jnp.zeros_like(x, shape=(*x.shape[:-1], decoder_size))

    return jax.tree.map(made, ends)


def same(params: Params, ends: Any, decoder_size: int) -> Carry:
    """The encoder's last state itself (Sutskever 2014).

    >>> [part.tolist() for part in same({}, ((jnp.ones(2),),), 2)[0]]
    [[1.0, 1.0]]
    """
    return ends


def dense_init(
    key: jax.Array,
    parts: int,
    encoder_size: int,
    decoder_size: int,
    decoder_layers: int,
    inits: layers.Initializers,
) -> Params:
    """A matrix and a bias for each part of each decoder layer's carry."""
    keys = jax.random.split(key, (decoder_layers, parts))
    return [
        [
            layers.dense_init(keys[i, j], encoder_size, decoder_size, inits.kernel)
            for j in range(parts)
        ]
        for i in range(decoder_layers)
    ]


def dense(params: Params, ends: Any, decoder_size: int) -> Carry:
    """tanh(W end + b) for each part of the carry, from the ends of all directions.

    Bahdanau 2014, A.2.2, has s_0 = tanh(W_s h<-_1): of the backward direction alone.

    >>> layer = {"kernel": jnp.eye(1), "bias": jnp.zeros(1)}
    >>> print(f"{dense([[layer]], ((jnp.ones(1),),), 1)[0][0][0]:.4f}")
    0.7616
    """
    return tuple(
        tuple(jnp.tanh(layers.dense(p, x)) for p, x in zip(layer, end, strict=True))
        for layer, end in zip(params, ends, strict=True)
    )


BRIDGES = {
    "zero": Bridge(nothing, zero, same_size=False),
    "pass": Bridge(nothing, same, same_size=True),
    "dense": Bridge(dense_init, dense, same_size=False),
}
