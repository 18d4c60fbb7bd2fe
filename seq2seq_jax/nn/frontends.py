"""Frontends: what turns a batch's source into vectors `[..., S, E]`, by name."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from seq2seq_jax.nn import convolutions, layers, shards
from seq2seq_jax.nn.shards import Shards
from seq2seq_jax.types import Array, Params


class Frontend(NamedTuple):
    """One kind of source.

    Attributes:
        init: `(key, source_size, embedding_size, initializers) -> params`;
            `source_size` is the vocabulary's size, or the number of features.
        apply: `(params, source, cut=None) -> [..., S, E]`; with `cut`, params are a
            device's part of them.
        annotate: `(params, source [..., S, F], mask) -> (vectors, mask)` of an entry
            whose vectors are not one for each of the source's S; None: they are, and
            `apply` makes them.
        grid: `((S, F)) -> ` the dimensions that its vectors lie in, one after the
            other; their product is the length of what attention looks at.
    """

    init: Callable[..., Params]
    apply: Callable[..., jax.Array]
    annotate: Callable[..., tuple[jax.Array, Array]] | None = None
    grid: Callable[[tuple[int, int]], tuple[int, ...]] = lambda shape: shape[:1]


def tokens_init(
    key: jax.Array, source_size: int, embedding_size: int, inits: layers.Initializers
) -> Params:
    """One row of `[V, E]` for each token."""
    return {"table": inits.embedding(key, (source_size, embedding_size))}


def tokens(params: Params, source: Array, cut: Shards | None = None) -> jax.Array:
    """Embeddings of token ids `[..., S]`.

    >>> import jax.numpy as jnp
    >>> tokens({"table": jnp.eye(3)}, jnp.array([2, 0])).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    return shards.embed(params["table"], source, cut)


def features_init(
    key: jax.Array, source_size: int, embedding_size: int, inits: layers.Initializers
) -> Params:
    """A layer `[F, E]` with a bias."""
    return layers.dense_init(key, source_size, embedding_size, inits.kernel)


def features(params: Params, source: Array, cut: Shards | None = None) -> jax.Array:
    """A projection of feature vectors: `[..., S, F] -> [..., S, E]`, x W + b.

    >>> import jax.numpy as jnp
    >>> params = {"kernel": jnp.ones((2, 1)), "bias": jnp.ones(1)}
    >>> features(params, jnp.ones((3, 2))).tolist()
    [[3.0], [3.0], [3.0]]
    """
    return layers.dense(params, source)


FRONTENDS = {
    "tokens": Frontend(tokens_init, tokens),
    "features": Frontend(features_init, features),
    "convolutions": Frontend(
        convolutions.init, features, convolutions.annotate, convolutions.grid
    ),
}
