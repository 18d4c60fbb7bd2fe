"""Alignments: from energies to weights over the source, by name in `ALIGNMENTS`."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import layers
from seq2seq_jax.nn.memory import masked_softmax
from seq2seq_jax.types import Array, AttentionState, Params


class Alignment(NamedTuple):
    """One way from energies to weights.

    Attributes:
        init: `(key, config, query_size, initializers) -> params`.
        weights: `(params, config, energies [..., S], query [..., H], mask [..., S],
            state) -> [..., S]`, at least 0, and 0 where the mask is false.
        recurrent: whether the weights depend on those of the step before.
        sums_to_one: whether the weights of a row that has a real position do; they
            never sum to more.
    """

    init: Callable[..., Params]
    weights: Callable[..., jax.Array]
    recurrent: bool = False
    sums_to_one: bool = True


def no_init(
    key: jax.Array, config: ModelConfig, query_size: int, inits: layers.Initializers
) -> Params:
    """No parameters."""
    return {}


def global_weights(
    params: Params,
    config: ModelConfig,
    energies: Array,
    query: Array,
    mask: Array,
    state: AttentionState,
) -> jax.Array:
    """a_s = exp(e_s) / sum_s' exp(e_s') (Bahdanau 2014, eq. 6; Luong 2015, eq. 7).

    >>> import jax.numpy as jnp
    >>> real = jnp.array([True, True, False])
    >>> state = AttentionState(jnp.zeros(3), jnp.zeros(3), jnp.zeros(()))
    >>> e, q = jnp.zeros(3), jnp.zeros(1)
    >>> global_weights({}, ModelConfig(), e, q, real, state).tolist()
    [0.5, 0.5, 0.0]
    """
    return masked_softmax(energies, mask)


ALIGNMENTS = {"global": Alignment(no_init, global_weights)}
