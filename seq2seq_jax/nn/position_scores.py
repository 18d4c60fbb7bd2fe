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
    positions alone; in the authors' code it is not: `location_code`.

    >>> memory = AttentionMemory(jnp.eye(3), jnp.zeros((3, 0)), jnp.ones(3, bool))
    >>> state = AttentionState(jnp.zeros(3), jnp.zeros(3), jnp.zeros(()))
    >>> two = {"kernel": jnp.array([[1.0, 2.0]])}
    >>> energies = location_energies(two, jnp.ones(1), memory, state)
    >>> energies[:2].tolist(), bool(energies[2] < -1e29)
    ([1.0, 2.0], True)
    """
    source = memory.mask.shape[-1]
    return fitted(layers.matmul(query, params["kernel"][:, :source]), source)


def fitted(energies: jax.Array, source: int) -> jax.Array:
    """`[..., P] -> [..., S]`: the first S, or P of them and `NEVER` for what is left.

    >>> fitted(jnp.ones(2), 1).tolist(), fitted(jnp.ones(1), 2)[1].item() == NEVER
    ([1.0], False)
    """
    head = energies[..., :source]
    tail = [(0, 0)] * (head.ndim - 1) + [(0, source - head.shape[-1])]
    return jnp.pad(head, tail, constant_values=NEVER)


def location_code_energies(
    params: Params, query: Array, memory: AttentionMemory, state: AttentionState
) -> jax.Array:
    """nmt.matlab's location: log softmax(W_a h_t) over all P positions, then cut.

    Luong 2015's own code takes the softmax of eq. 8 before it knows how long a source
    is. The weights of a short one sum to less than 1: the rest is on positions that it
    does not have. Where it has more than P, those behind get none.

    >>> memory = AttentionMemory(jnp.eye(1), jnp.zeros((1, 0)), jnp.ones(1, bool))
    >>> state = AttentionState(jnp.zeros(1), jnp.zeros(1), jnp.zeros(()))
    >>> alike = {"kernel": jnp.zeros((1, 4))}
    >>> jnp.exp(location_code_energies(alike, jnp.ones(1), memory, state)).tolist()
    [0.25]
    """
    energies = jax.nn.log_softmax(layers.matmul(query, params["kernel"]))
    return fitted(energies, memory.mask.shape[-1])


def location_code_refuse(config: ModelConfig) -> str:
    """Its weights are there already."""
    if config.alignment == "global":
        return ""
    return (
        f"gives weights over all positions, of which model.alignment "
        f"{config.alignment!r} cannot make others: set model.alignment global, or "
        f"model.attention location"
    )
