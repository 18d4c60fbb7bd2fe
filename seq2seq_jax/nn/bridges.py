"""Bridges: the encoder's last carry -> the decoder's first one, by name in `BRIDGES`.

Decoder layer i looks at the encoder layer as far from the top as itself, or at the
bottom one where the encoder is shallower (`layer_below`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import layers, sizes
from seq2seq_jax.types import Carry, EncoderOutput, Params


class Bridge(NamedTuple):
    """One kind of bridge.

    Attributes:
        init: `(key, config, parts, initializers) -> params`, `parts` being the number
            of arrays in a cell's carry.
        apply: `(params, config, encoded) -> carry`, a tuple over decoder layers.
        sizes: `(config) -> list` over decoder layers of the sizes that `apply` gives,
            for `checks.check`.
        reads: whether it reads the encoder's last carry.
    """

    init: Callable[..., Params]
    apply: Callable[[Params, ModelConfig, EncoderOutput], Carry]
    sizes: Callable[[ModelConfig], list[int]]
    reads: bool = True


def layer_below(config: ModelConfig, layer: int) -> int:
    """The encoder layer that decoder layer `layer` starts from.

    >>> [layer_below(ModelConfig(encoder_layers=2, decoder_layers=3), i)
    ...  for i in range(3)]
    [0, 0, 1]
    """
    return max(0, layer + sizes.top_layer(config) + 1 - config.decoder_layers)


def ends(config: ModelConfig, encoded: EncoderOutput) -> Any:
    """The last carries, directions side by side, one for each decoder layer."""
    joined = [
        tuple(jnp.concatenate(parts, -1) for parts in zip(*directions, strict=True))
        for directions in encoded.carry
    ]
    return tuple(
        joined[layer_below(config, layer)] for layer in range(config.decoder_layers)
    )


def end_sizes(config: ModelConfig) -> list[int]:
    """Sizes of `ends`."""
    return [
        sizes.encoder_layer_size(config, layer_below(config, layer))
        for layer in range(config.decoder_layers)
    ]


def all_agree(config: ModelConfig) -> list[int]:
    """The decoder's own sizes: the bridge fits any encoder."""
    return [sizes.decoder_size(config)] * config.decoder_layers


def no_init(
    key: jax.Array, config: ModelConfig, parts: int, inits: layers.Initializers
) -> Params:
    """No parameters."""
    return {}


def zero(params: Params, config: ModelConfig, encoded: EncoderOutput) -> Carry:
    """Zeros: the decoder learns of the source through attention alone.

    >>> end = (((jnp.ones(4),),),)
    >>> encoded = EncoderOutput(jnp.ones((1, 4)), end, jnp.ones(1, bool))
    >>> zero({}, ModelConfig(decoder_hidden_size=2), encoded)[0][0].tolist()
    [0.0, 0.0]
    """

    def made(x: jax.Array) -> jax.Array:
        return jnp.zeros_like(x, shape=(*x.shape[:-1], sizes.decoder_size(config)))

    return jax.tree.map(made, ends(config, encoded))


def same(params: Params, config: ModelConfig, encoded: EncoderOutput) -> Carry:
    """The encoder's last state itself: v of Sutskever et al. 2014, eq. 1.

    >>> end = (((jnp.ones(2),),),)
    >>> encoded = EncoderOutput(jnp.ones((1, 2)), end, jnp.ones(1, bool))
    >>> same({}, ModelConfig(), encoded)[0][0].tolist()
    [1.0, 1.0]
    """
    return ends(config, encoded)


def direction_order(config: ModelConfig) -> list[tuple[int, int]]:
    """`(encoder layer, direction)` of each decoder layer under `each_direction`."""
    every = [
        (layer, direction)
        for layer in range(sizes.top_layer(config) + 1)
        for direction in range(sizes.directions(config, layer))
    ]
    offset = len(every) - config.decoder_layers
    return [every[max(0, i + offset)] for i in range(config.decoder_layers)]


def each_direction(
    params: Params, config: ModelConfig, encoded: EncoderOutput
) -> Carry:
    """tensorflow/nmt: each direction's last state starts a decoder layer of its own.

    Forward and backward states of all layers, from the bottom up, are matched with the
    decoder's layers from the top. So a `bi` encoder of L/2 layers serves L decoder
    layers, and of a `gnmt` encoder's bottom layer the backward state alone is used.

    >>> gnmt = ModelConfig(encoder_layers=2, decoder_layers=2, bidirectional_layers=1)
    >>> end = (((jnp.zeros(1),), (jnp.ones(1),)), ((jnp.full(1, 2.0),),))
    >>> encoded = EncoderOutput(jnp.ones((1, 1)), end, jnp.ones(1, bool))
    >>> [carry[0].tolist() for carry in each_direction({}, gnmt, encoded)]
    [[1.0], [2.0]]
    """
    order = direction_order(config)
    return tuple(encoded.carry[layer][direction] for layer, direction in order)


def dense_init(
    key: jax.Array, config: ModelConfig, parts: int, inits: layers.Initializers
) -> Params:
    """A matrix and a bias for each part of each decoder layer's carry."""
    return matrices(key, end_sizes(config), config, parts, inits)


def matrices(
    key: jax.Array,
    inputs: list[int],
    config: ModelConfig,
    parts: int,
    inits: layers.Initializers,
) -> Params:
    """For each decoder layer and part of its carry, a dense layer from `inputs`."""
    keys = jax.random.split(key, (config.decoder_layers, parts))
    size = sizes.decoder_size(config)
    return [
        [layers.dense_init(k, width, size, inits.kernel) for k in row]
        for row, width in zip(keys, inputs, strict=True)
    ]


def transformed(params: Params, first: Any) -> Carry:
    """tanh(W x + b) for each part of each layer's carry."""
    return tuple(
        tuple(jnp.tanh(layers.dense(p, x)) for p, x in zip(layer, end, strict=True))
        for layer, end in zip(params, first, strict=True)
    )


def dense(params: Params, config: ModelConfig, encoded: EncoderOutput) -> Carry:
    """tanh(W end + b) for each part of the carry, from the ends of all directions.

    >>> layer = {"kernel": jnp.eye(1), "bias": jnp.zeros(1)}
    >>> encoded = EncoderOutput(jnp.ones((1, 1)), (((jnp.ones(1),),),), jnp.ones(1))
    >>> print(f"{dense([[layer]], ModelConfig(), encoded)[0][0][0]:.4f}")
    0.7616
    """
    return transformed(params, ends(config, encoded))


def backward_init(
    key: jax.Array, config: ModelConfig, parts: int, inits: layers.Initializers
) -> Params:
    """W_s `[H, H']` for each part of each decoder layer's carry."""
    inputs = [config.hidden_size] * config.decoder_layers
    return matrices(key, inputs, config, parts, inits)


def backward(params: Params, config: ModelConfig, encoded: EncoderOutput) -> Carry:
    """Bahdanau 2014, A.2.2: s_0 = tanh(W_s h<-_1), of the backward direction alone.

    Of a layer that reads in one direction, that one.

    >>> layer = {"kernel": jnp.eye(1), "bias": jnp.zeros(1)}
    >>> end = (((jnp.zeros(1),), (jnp.ones(1),)),)
    >>> encoded = EncoderOutput(jnp.ones((1, 2)), end, jnp.ones(1, bool))
    >>> print(f"{backward([[layer]], ModelConfig(), encoded)[0][0][0]:.4f}")
    0.7616
    """
    last = [
        encoded.carry[layer_below(config, layer)][-1]
        for layer in range(config.decoder_layers)
    ]
    return transformed(params, last)


BRIDGES = {
    "zero": Bridge(no_init, zero, all_agree, reads=False),
    "pass": Bridge(no_init, same, end_sizes),
    "each_direction": Bridge(
        no_init,
        each_direction,
        lambda config: [config.hidden_size] * config.decoder_layers,
    ),
    "dense": Bridge(dense_init, dense, all_agree),
    "backward": Bridge(backward_init, backward, all_agree),
}
