"""Attention scores: how well a query fits each key, by name in `SCORES`.

Energies are finite everywhere, padding included; an alignment masks them.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import additive_scores as additive
from seq2seq_jax.nn import layers
from seq2seq_jax.nn import position_scores as position
from seq2seq_jax.nn.memory import (
    empty_memory,
    keyless_memory,
    plain_memory,
    products,
    projected_memory,
)
from seq2seq_jax.types import (
    Array,
    AttentionMemory,
    AttentionState,
    EncoderOutput,
    Params,
)


class Score(NamedTuple):
    """One kind of attention score.

    Attributes:
        init: `(key, config, query_size, value_size, initializers) -> params`.
        memory: `(params, encoded) -> AttentionMemory`; projects the keys, once.
        energies: `(params, query [..., H], memory, state) -> [..., S]`.
        recurrent: whether the energies depend on where earlier steps looked.
        same_size: whether the query must be as wide as an annotation.
        refuse: `(config) -> reason` why it cannot serve a config and a way out, or "".
        settings: fields of the config that it reads and some other entries do not.
        looks: whether its weights tell where a step looks; if not, they are the same at
            every step.
        empty: whether there is nothing to look at, so that contexts have no numbers and
            only the encoder's last state reaches the decoder.
        shares: whether exp(energies) are the weights as they are, parts of a whole that
            may be more than the source; no alignment has a say then.
    """

    init: Callable[..., Params]
    memory: Callable[[Params, EncoderOutput], AttentionMemory]
    energies: Callable[..., jax.Array]
    recurrent: bool = False
    same_size: bool = False
    refuse: Callable[[ModelConfig], str] = lambda config: ""
    settings: tuple[str, ...] = ()
    looks: bool = True
    empty: bool = False
    shares: bool = False


def no_init(
    key: jax.Array,
    config: ModelConfig,
    query_size: int,
    value_size: int,
    inits: layers.Initializers,
) -> Params:
    """No parameters."""
    return {}


def none_energies(
    params: Params, query: Array, memory: AttentionMemory, state: AttentionState
) -> jax.Array:
    """No preference; with an empty memory only the final state reaches the decoder.

    >>> memory = AttentionMemory(jnp.ones((2, 0)), jnp.ones((2, 0)), jnp.ones(2, bool))
    >>> state = AttentionState(jnp.zeros(2), jnp.zeros(2), jnp.zeros(()))
    >>> none_energies({}, jnp.ones(3), memory, state).tolist()
    [0.0, 0.0]
    """
    return jnp.zeros_like(state.weights)


def none_refuse(config: ModelConfig) -> str:
    """Nothing to part into heads or to align."""
    if config.attention_heads == 1 and config.alignment == "global":
        return ""
    return (
        f"looks nowhere, but model.attention_heads is {config.attention_heads} and "
        f"model.alignment {config.alignment!r}: leave both out, or set model.attention "
        f"general"
    )


def dot_energies(
    params: Params, query: Array, memory: AttentionMemory, state: AttentionState
) -> jax.Array:
    """Luong 2015, section 3.1, dot: e_s = h_t . hbar_s.

    >>> memory = AttentionMemory(jnp.eye(2), jnp.eye(2), jnp.ones(2, bool))
    >>> state = AttentionState(jnp.zeros(2), jnp.zeros(2), jnp.zeros(()))
    >>> dot_energies({}, jnp.array([1.0, 2.0]), memory, state).tolist()
    [1.0, 2.0]
    """
    return products(query, memory.keys)


def scaled_dot_energies(
    params: Params, query: Array, memory: AttentionMemory, state: AttentionState
) -> jax.Array:
    """Vaswani et al. 2017, eq. 1: e_s = q . k_s / sqrt(d), d units in q and k.

    >>> four = jnp.ones((1, 4))
    >>> memory = AttentionMemory(four, four, jnp.ones(1, bool))
    >>> state = AttentionState(jnp.zeros(1), jnp.zeros(1), jnp.zeros(()))
    >>> scaled_dot_energies({}, four[0], memory, state).tolist()
    [2.0]
    """
    return products(query, memory.keys) / math.sqrt(query.shape[-1])


def general_init(
    key: jax.Array,
    config: ModelConfig,
    query_size: int,
    value_size: int,
    inits: layers.Initializers,
) -> Params:
    """W_a as `[C, H]`."""
    return layers.dense_init(key, value_size, query_size, inits.attention, bias=False)


def general_energies(
    params: Params, query: Array, memory: AttentionMemory, state: AttentionState
) -> jax.Array:
    """Luong 2015, section 3.1, general: e_s = h_t . W_a hbar_s; keys: W_a hbar_s.

    >>> two = jnp.array([[2.0]])
    >>> memory = AttentionMemory(two, two, jnp.ones(1, bool))
    >>> state = AttentionState(jnp.zeros(1), jnp.zeros(1), jnp.zeros(()))
    >>> general_energies({}, jnp.array([3.0]), memory, state).tolist()
    [6.0]
    """
    return products(query, memory.keys)


def scaled_general_init(
    key: jax.Array,
    config: ModelConfig,
    query_size: int,
    value_size: int,
    inits: layers.Initializers,
) -> Params:
    """As `general_init`, with g = 1 as scale."""
    params = general_init(key, config, query_size, value_size, inits)
    return params | {"scale": jnp.ones(())}


def scaled_general_energies(
    params: Params, query: Array, memory: AttentionMemory, state: AttentionState
) -> jax.Array:
    """tensorflow/nmt's scaled_luong: e_s = g h_t . W_a hbar_s with a learned scalar g.

    >>> two = jnp.array([[2.0]])
    >>> memory = AttentionMemory(two, two, jnp.ones(1, bool))
    >>> state = AttentionState(jnp.zeros(1), jnp.zeros(1), jnp.zeros(()))
    >>> half = {"scale": jnp.asarray(0.5)}
    >>> scaled_general_energies(half, jnp.array([3.0]), memory, state).tolist()
    [3.0]
    """
    return params["scale"] * products(query, memory.keys)


SIZED = ("attention_size",)
ADDITIVE = Score(
    additive.additive_init,
    projected_memory,
    additive.additive_energies,
    settings=SIZED,
)

SCORES = {
    "none": Score(
        no_init,
        empty_memory,
        none_energies,
        refuse=none_refuse,
        looks=False,
        empty=True,
    ),
    "last": Score(
        no_init,
        keyless_memory,
        position.last_energies,
        refuse=position.last_refuse,
        looks=False,
    ),
    "location": Score(
        position.location_init,
        keyless_memory,
        position.location_energies,
        settings=("positions",),
    ),
    "location_code": Score(
        position.location_init,
        keyless_memory,
        position.location_code_energies,
        refuse=position.location_code_refuse,
        settings=("positions",),
        shares=True,
    ),
    "dot": Score(no_init, plain_memory, dot_energies, same_size=True),
    "scaled_dot": Score(no_init, plain_memory, scaled_dot_energies, same_size=True),
    "general": Score(general_init, projected_memory, general_energies),
    "scaled_general": Score(
        scaled_general_init, projected_memory, scaled_general_energies
    ),
    "additive": ADDITIVE,
    "concat": ADDITIVE,  # the same function under Luong's name
    "concat_code": Score(
        additive.concat_code_init,
        plain_memory,
        additive.additive_energies,
        refuse=additive.concat_code_refuse,
        settings=SIZED,  # as no more than what they are
    ),
    "normed_additive": Score(
        additive.normed_additive_init,
        projected_memory,
        additive.normed_additive_energies,
        settings=SIZED,
    ),
    "coverage": Score(
        additive.coverage_init,
        projected_memory,
        additive.coverage_energies,
        recurrent=True,
        settings=SIZED,
    ),
    "location_sensitive": Score(
        additive.location_sensitive_init,
        projected_memory,
        additive.location_sensitive_energies,
        recurrent=True,
        settings=(*SIZED, "window"),
    ),
}
