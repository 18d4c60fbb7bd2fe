"""Scores that look at where a position is, not at what stands there, for `SCORES`."""

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import layers
from seq2seq_jax.nn.memory import NEVER, last_position
from seq2seq_jax.types import Array, AttentionMemory, AttentionState, Params


def last_energies(
    params: Params, query: Array, memory: AttentionMemory, state: AttentionState
) -> jax.Array:
    """All weight on the last real position: c_i = h_T at every step.

    With an encoder that reads in one direction h_T has read everything, and Bahdanau's
    decoder becomes RNNencdec, his model without attention (Bahdanau 2014, section 4.2:
    Cho 2014 with one fixed c). Of two directions the backward half of h_T has read the
    last item alone.

    >>> memory = AttentionMemory(jnp.eye(3), jnp.eye(3), jnp.arange(3) < 2)
    >>> state = AttentionState(jnp.zeros(3), jnp.zeros(3), jnp.zeros(()))
    >>> (last_energies({}, jnp.zeros(3), memory, state) == 0).tolist()
    [False, True, False]
    """
    places = jnp.arange(memory.mask.shape[-1])
    here = places == last_position(memory.mask)[..., None]
    nothing = jnp.zeros_like(state.weights)
    return jnp.where(here, nothing, nothing + NEVER)


def last_refuse(config: ModelConfig) -> str:
    """Other positions are all the same to it."""
    if config.alignment == "global":
        return ""
    return (
        f"looks at the last position alone, which model.alignment "
        f"{config.alignment!r} need not see: set model.alignment global"
    )


def location_init(
    key: jax.Array,
    config: ModelConfig,
    query_size: int,
    value_size: int,
    inits: layers.Initializers,
) -> Params:
    """W_a as `[H, P]`, P = `config.positions`."""
    shape = query_size, config.positions
    return layers.dense_init(key, *shape, inits.attention, bias=False)


def location_energies(
    params: Params, query: Array, memory: AttentionMemory, state: AttentionState
) -> jax.Array:
    """Luong 2015, eq. 8, location: a_t = softmax(W_a h_t), whatever stands there.

    W_a has a row for each of the first P positions: short sources use the head of
    W_a h_t, and of longer ones the tail gets no weight, nor does a local alignment's
    window that lies in the tail: its context is 0. The softmax is over the real
    positions alone; the authors' code takes it over all P and cuts it to them after,
    which leaves the weights of a short source with a sum below 1.

    >>> memory = AttentionMemory(jnp.eye(3), jnp.zeros((3, 0)), jnp.ones(3, bool))
    >>> state = AttentionState(jnp.zeros(3), jnp.zeros(3), jnp.zeros(()))
    >>> two = {"kernel": jnp.array([[1.0, 2.0]])}
    >>> energies = location_energies(two, jnp.ones(1), memory, state)
    >>> energies[:2].tolist(), bool(energies[2] < -1e29)
    ([1.0, 2.0], True)
    """
    source = memory.mask.shape[-1]
    head = layers.matmul(query, params["kernel"][:, :source])
    tail = [(0, 0)] * (head.ndim - 1) + [(0, source - head.shape[-1])]
    return jnp.pad(head, tail, constant_values=NEVER)
