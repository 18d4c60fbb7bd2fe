"""Frontends: what turns a batch's source into vectors `[..., S, E]`, by name."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from seq2seq_jax.nn import layers
from seq2seq_jax.types import Array, Params


class Frontend(NamedTuple):
    """One kind of source.

    Attributes:
        init: `(key, source_size, embedding_size, initializers) -> params`;
            `source_size` is the vocabulary's size, or the number of features.
        apply: `(params, source) -> [..., S, E]`.
    """

    init: Callable[..., Params]
    apply: Callable[[Params, Array], jax.Array]


def tokens_init(
    key: jax.Array, source_size: int, embedding_size: int, inits: layers.Initializers
) -> Params:
    """One row of `[V, E]` for each token."""
    return {"table": inits.embedding(key, (source_size, embedding_size))}


def tokens(params: Params, source: Array) -> jax.Array:
    """Embeddings of token ids `[..., S]`.

    >>> import jax.numpy as jnp
    >>> tokens({"table": jnp.eye(3)}, jnp.array([2, 0])).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    return layers.embed(params["table"], source)


FRONTENDS = {"tokens": Frontend(tokens_init, tokens)}
