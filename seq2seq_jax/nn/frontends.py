"""Frontends: what turns a batch's source into vectors `[..., S, E]`, by name."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from seq2seq_jax.nn import layers, shards
from seq2seq_jax.nn.shards import Shards
from seq2seq_jax.types import Array, Params


class Frontend(NamedTuple):
    """One kind of source.

    Attributes:
        init: `(key, source_size, embedding_size, initializers) -> params`;
            `source_size` is the vocabulary's size, or the number of features.
        apply: `(params, source, cut=None) -> [..., S, E]`; with `cut`, params are a
            device's part of them.
    """

    init: Callable[..., Params]
    apply: Callable[..., jax.Array]


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
    >>> features({"kernel": jnp.ones((2, 1)), "bias": jnp.ones(1)}, jnp.ones((3, 2)))
    Array([[3.],
           [3.],
           [3.]], dtype=float32)
    """
    return layers.dense(params, source)


FRONTENDS = {
    "tokens": Frontend(tokens_init, tokens),
    "features": Frontend(features_init, features),
}
