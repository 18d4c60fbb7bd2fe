"""A small convolutional net that makes annotations of a picture, trained with the rest.

A picture is a sequence of its rows of pixels `[S, W * 3]`, so one that is lower than
others of its batch is padded as a short sentence is. What is padding stays 0 through
all layers.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax.nn import layers
from seq2seq_jax.types import Array, Params

COLOURS = 3  # of a pixel


class Layer(NamedTuple):
    """A convolution of 3 x 3 pixels: steps of `stride`, E / `share` filters."""

    stride: int
    share: int


LAYERS = (Layer(1, 4), Layer(2, 2), Layer(2, 1), Layer(1, 1))
SMALL = 1e-5  # of a variance


def init(
    key: jax.Array, source_size: int, embedding_size: int, inits: layers.Initializers
) -> Params:
    """Of each layer filters `[9 * D, D']` and bias, and the scale of what they give."""
    made, inputs = [], COLOURS
    for own, layer in zip(jax.random.split(key, len(LAYERS)), LAYERS, strict=True):
        outputs = max(1, embedding_size // layer.share)
        dense = layers.dense_init(own, 9 * inputs, outputs, inits.kernel)
        made.append(dense | {"scale": jnp.ones(outputs)})
        inputs = outputs
    return {"layers": made}


def annotate(params: Params, source: Array, mask: Array) -> tuple[jax.Array, jax.Array]:
    """Annotations `[..., h * w, E]` of pictures `[..., H, W * 3]`, row by row.

    Each layer: relu(g n(k * x) + b), k * x the convolution, n the values of a place
    less their mean over their deviation (layer normalisation, Ba et al. 2016).

    >>> params = init(jax.random.key(0), 12, 8, layers.initializers())
    >>> x, mask = annotate(params, jnp.ones((2, 6, 12)), jnp.arange(6) < 4)
    >>> x.shape, mask.tolist()
    ((2, 2, 8), [True, False])
    """
    source, rows = jnp.asarray(source, jnp.float32), jnp.asarray(mask)
    x = source.reshape(*source.shape[:-1], -1, COLOURS)
    x = jnp.where(rows[..., None, None], x, 0.0)
    for own, layer in zip(params["layers"], LAYERS, strict=True):
        rows = rows[..., :: layer.stride]
        x = jax.nn.relu(own["scale"] * normal(convolved(own, x, layer)) + own["bias"])
        x = jnp.where(rows[..., None, None], x, 0.0)
    width = x.shape[-2]
    return x.reshape(*x.shape[:-3], -1, x.shape[-1]), jnp.repeat(rows, width, axis=-1)


def convolved(params: Params, x: jax.Array, layer: Layer) -> jax.Array:
    """Of `[..., H, W, D]`; a border of one place of zeros on each side."""
    flat = x.reshape(-1, *x.shape[-3:])
    kernel = params["kernel"].reshape(3, 3, x.shape[-1], -1)
    made = jax.lax.conv_general_dilated(
        flat,
        kernel,
        (layer.stride, layer.stride),
        [(1, 1), (1, 1)],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return made.reshape(*x.shape[:-3], *made.shape[1:])


def normal(x: jax.Array) -> jax.Array:
    """Mean 0 and variance 1 over the last axis."""
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt((centred**2).mean(axis=-1, keepdims=True) + SMALL)


def grid(shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the annotations of a picture `(H, W * 3)`.

    >>> grid((32, 96)), grid((33, 96))
    ((8, 8), (9, 8))
    """
    high, wide = shape[0], shape[1] // COLOURS
    for layer in LAYERS:
        high, wide = (-(-size // layer.stride) for size in (high, wide))
    return high, wide
