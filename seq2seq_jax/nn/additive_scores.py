"""The additive attention scores: v . tanh(a sum), for the table `scores.SCORES`.

What has all S positions times A units is rematerialised (`jax.checkpoint`): saving the
tanh(...) of every step for the backward pass would take `[T, B, S, A]` numbers. The
query's product stays outside, where `nn.deferred` finds it.
"""

import math

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import layers, sizes
from seq2seq_jax.nn.memory import TINY
from seq2seq_jax.types import Array, AttentionMemory, AttentionState, Params

FILTERS = 10  # of location_sensitive, as in Chorowski et al. 2015


def additive_init(
    key: jax.Array,
    config: ModelConfig,
    query_size: int,
    value_size: int,
    inits: layers.Initializers,
) -> Params:
    """U_a `[C, A]` as kernel, W_a `[H, A]` as query, v_a `[A]`."""
    key_k, key_q, key_v = jax.random.split(key, 3)
    size = config.attention_size or query_size
    return {
        "kernel": inits.attention(key_k, (value_size, size)),
        "query": inits.attention(key_q, (query_size, size)),
        "v": inits.vector(key_v, (size, 1))[:, 0],
    }


def query_share(params: Params, query: Array) -> jax.Array:
    """W_a s `[..., 1, A]`, to be added to the keys of all positions."""
    return layers.matmul(query, params["query"])[..., None, :]


@jax.checkpoint
def tanh_products(vector: Array, *summands: Array) -> jax.Array:
    """v . tanh(x_s) `[..., S]` for x, the sum of what `[..., S, A]` comes of."""
    return jnp.sum(jnp.tanh(sum(summands)) * vector, axis=-1)


def additive_energies(
    params: Params, query: Array, memory: AttentionMemory, state: AttentionState
) -> jax.Array:
    """Bahdanau 2014, A.1.2: e_j = v_a . tanh(W_a s_{i-1} + U_a h_j); keys: U_a h_j.

    Luong 2015, section 3.1, concat, v_a . tanh(W_a [h_t ; hbar_s]), is the same
    function with its one matrix written as two: [W_a ; U_a].

    >>> half = jnp.array([[0.5]])
    >>> memory = AttentionMemory(half, half, jnp.ones(1, bool))
    >>> state = AttentionState(jnp.zeros(1), jnp.zeros(1), jnp.zeros(()))
    >>> params = {"query": jnp.eye(1), "v": jnp.ones(1)}
    >>> print(f"{additive_energies(params, jnp.zeros(1), memory, state)[0]:.4f}")
    0.4621
    """
    return tanh_products(params["v"], query_share(params, query), memory.keys)


def concat_code_init(
    key: jax.Array,
    config: ModelConfig,
    query_size: int,
    value_size: int,
    inits: layers.Initializers,
) -> Params:
    """W_a `[H, C]` as query, v_a `[C]`; its energies are `additive_energies`.

    Luong 2015's own code (nmt.matlab), which footnote 15 of the paper admits to:
    e_s = v_a . tanh(hbar_s + W_a h_t). The annotations are the keys as they are, so
    there are as many units as an annotation has.

    >>> inits = layers.initializers()
    >>> made = concat_code_init(jax.random.key(0), ModelConfig(), 3, 2, inits)
    >>> {name: leaf.shape for name, leaf in made.items()}
    {'query': (3, 2), 'v': (2,)}
    """
    key_q, key_v = jax.random.split(key)
    return {
        "query": inits.attention(key_q, (query_size, value_size)),
        "v": inits.vector(key_v, (value_size, 1))[:, 0],
    }


def concat_code_refuse(config: ModelConfig) -> str:
    """Its units are the annotations' own."""
    size = sizes.annotation_size(config) // config.attention_heads
    if config.attention_size in (None, size):
        return ""
    return (
        f"adds W_a h_t to annotations of size {size} (of one head), but "
        f"model.attention_size is {config.attention_size}: leave that out, or set "
        f"model.attention concat"
    )


def normed_additive_init(
    key: jax.Array,
    config: ModelConfig,
    query_size: int,
    value_size: int,
    inits: layers.Initializers,
) -> Params:
    """As `additive_init`, with g = sqrt(1 / A) as scale and b `[A]` = 0 as bias.

    v is drawn as matrices are: a v of zeros (init gaussian) has no direction.
    """
    params = additive_init(key, config, query_size, value_size, inits)
    size = params["v"].shape[0]
    direction = inits.kernel(jax.random.fold_in(key, 1), (size, 1))[:, 0]
    scale = jnp.asarray(math.sqrt(1.0 / size))
    return params | {"v": direction, "scale": scale, "bias": jnp.zeros(size)}


def normed_additive_energies(
    params: Params, query: Array, memory: AttentionMemory, state: AttentionState
) -> jax.Array:
    """tensorflow/nmt's normed_bahdanau: e_j = g v/||v|| . tanh(W s + U h_j + b).

    Weight normalisation (Salimans & Kingma 2016, eq. 2) of `additive`: the size of v is
    learnt apart from its direction.

    >>> half = jnp.array([[0.5]])
    >>> memory = AttentionMemory(half, half, jnp.ones(1, bool))
    >>> state = AttentionState(jnp.zeros(1), jnp.zeros(1), jnp.zeros(()))
    >>> params = {"query": jnp.eye(1), "v": jnp.full(1, 9.0), "bias": jnp.zeros(1)}
    >>> params["scale"] = jnp.asarray(1.0)
    >>> print(f"{normed_additive_energies(params, jnp.zeros(1), memory, state)[0]:.4f}")
    0.4621
    """
    v = params["v"].astype(memory.keys.dtype)
    unit = v * jax.lax.rsqrt(jnp.sum(v * v) + TINY)
    vector = params["scale"] * unit
    asked = query_share(params, query)
    return tanh_products(vector, asked, memory.keys, params["bias"])


def coverage_init(
    key: jax.Array,
    config: ModelConfig,
    query_size: int,
    value_size: int,
    inits: layers.Initializers,
) -> Params:
    """As `additive_init`, with w_c `[A]` as coverage and b `[A]` = 0 as bias."""
    params = additive_init(key, config, query_size, value_size, inits)
    size = params["v"].shape[0]
    row = inits.attention(jax.random.fold_in(key, 1), (1, size))[0]
    return params | {"coverage": row, "bias": jnp.zeros(size)}


def coverage_energies(
    params: Params, query: Array, memory: AttentionMemory, state: AttentionState
) -> jax.Array:
    """See et al. 2017, eq. 11: e_i = v . tanh(W_h h_i + W_s s_t + w_c c_i + b).

    c_i is the sum of the weights that position i got in all steps before (eq. 10), 0 at
    the first one. (Their coverage loss, eq. 12, is no part of the score.)

    >>> half = jnp.array([[0.5]])
    >>> memory = AttentionMemory(half, half, jnp.ones(1, bool))
    >>> state = AttentionState(jnp.zeros(1), jnp.ones(1), jnp.ones(()))
    >>> params = {"query": jnp.eye(1), "v": jnp.ones(1), "bias": jnp.zeros(1)}
    >>> params["coverage"] = jnp.full(1, -0.5)
    >>> coverage_energies(params, jnp.zeros(1), memory, state).tolist()
    [0.0]
    """

    @jax.checkpoint
    def energies(v: Array, row: Array, bias: Array, *summands: Array) -> jax.Array:
        coverage, *others = summands
        return tanh_products(v, *others, coverage[..., None] * row, bias)

    own = params["v"], params["coverage"], params["bias"]
    return energies(*own, state.coverage, query_share(params, query), memory.keys)


def location_sensitive_init(
    key: jax.Array,
    config: ModelConfig,
    query_size: int,
    value_size: int,
    inits: layers.Initializers,
) -> Params:
    """As `additive_init`, with F `[r, k]` as filters, U `[k, A]` as location, b = 0."""
    params = additive_init(key, config, query_size, value_size, inits)
    key_f, key_u = jax.random.split(jax.random.fold_in(key, 1))
    size, width = params["v"].shape[0], 2 * config.window + 1
    return params | {
        "filters": inits.attention(key_f, (width, FILTERS)),
        "location": inits.attention(key_u, (FILTERS, size)),
        "bias": jnp.zeros(size),
    }


def location_sensitive_energies(
    params: Params, query: Array, memory: AttentionMemory, state: AttentionState
) -> jax.Array:
    """Chorowski et al. 2015, eqs. 8 and 9: the last weights, convolved, as a feature.

    f_i = F * a_{i-1};  e_ij = w . tanh(W s_{i-1} + V h_j + U f_ij + b), with k = 10
    filters of r = 2 D + 1 positions around j, D = `model.window`. (The paper, on speech
    of some hundred frames, has r = 201: D = 100.) a_0 = 0.

    >>> two = jnp.zeros((2, 1))
    >>> memory = AttentionMemory(two, two, jnp.ones(2, bool))
    >>> state = AttentionState(jnp.array([1.0, 0.0]), jnp.zeros(2), jnp.ones(()))
    >>> params = {"query": jnp.eye(1), "v": jnp.ones(1), "bias": jnp.zeros(1)}
    >>> params["filters"] = jnp.array([[9.0], [0.0], [0.0]])  # sees what is to the left
    >>> params["location"] = jnp.ones((1, 1))
    >>> found = location_sensitive_energies(params, jnp.zeros(1), memory, state)
    >>> found.round(3).tolist()
    [0.0, 1.0]
    """

    @jax.checkpoint
    def energies(v: Array, matrix: Array, bias: Array, *summands: Array) -> jax.Array:
        features, *others = summands
        return tanh_products(v, *others, layers.matmul(features, matrix), bias)

    own = params["v"], params["location"], params["bias"]
    features = convolved(state.weights, params["filters"])
    return energies(*own, features, query_share(params, query), memory.keys)


def convolved(weights: Array, filters: Array) -> jax.Array:
    """f_jk = sum_i F_ik a_{j+i-D} `[..., S, K]`, from `[..., S]` and `[2 D + 1, K]`.

    >>> convolved(jnp.array([1.0, 2.0]), jnp.array([[1.0], [10.0], [100.0]])).tolist()
    [[210.0], [21.0]]
    """
    rows = jnp.reshape(weights, (-1, 1, weights.shape[-1]))
    kernel = jnp.asarray(filters, rows.dtype).T[:, None]  # one channel in
    made = jax.lax.conv_general_dilated(rows, kernel, (1,), "SAME")
    return jnp.moveaxis(made, -2, -1).reshape(*weights.shape, -1)
