"""Alignments: from energies to weights over the source, by name in `ALIGNMENTS`."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import hard, layers
from seq2seq_jax.nn.memory import last_position, masked_softmax
from seq2seq_jax.types import Array, AttentionState, Params


class Alignment(NamedTuple):
    """One way from energies to weights.

    Attributes:
        init: `(key, config, query_size, initializers) -> params`.
        weights: `(params, config, energies [..., S], query [..., H], mask [..., S],
            state) -> [..., S]`, at least 0, and 0 where the mask is false.
        recurrent: whether the weights depend on those of the step before.
        sums_to_one: whether the weights of a row that has a real position do, where
            not all that it may look at have the energy `NEVER`; they never sum to more.
        settings: fields of the config that it reads and some other entries do not.
        noisy: what takes the place of `weights` where there is noise, in training: its
            arguments, after a seed `[..., 2]`; None: nothing does.
        draw: the same where a place is drawn, as `hard.draw`; None: none is.
    """

    init: Callable[..., Params]
    weights: Callable[..., jax.Array]
    recurrent: bool = False
    sums_to_one: bool = True
    settings: tuple[str, ...] = ()
    noisy: Callable[..., jax.Array] | None = None
    draw: Callable[..., tuple[jax.Array, jax.Array]] | None = None


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

    >>> real = jnp.array([True, True, False])
    >>> state = AttentionState(jnp.zeros(3), jnp.zeros(3), jnp.zeros(()))
    >>> e, q = jnp.zeros(3), jnp.zeros(1)
    >>> global_weights({}, ModelConfig(), e, q, real, state).tolist()
    [0.5, 0.5, 0.0]
    """
    return masked_softmax(energies, mask)


def window_softmax(
    config: ModelConfig, energies: Array, mask: Array, centre: Array
) -> jax.Array:
    """A softmax over the real positions of [centre - D, centre + D] alone."""
    places = jnp.arange(mask.shape[-1])
    near = jnp.abs(places - centre[..., None]) <= config.window
    return masked_softmax(energies, mask & near)


def local_m_weights(
    params: Params,
    config: ModelConfig,
    energies: Array,
    query: Array,
    mask: Array,
    state: AttentionState,
) -> jax.Array:
    """Luong 2015, section 3.2, local-m: p_t = t, a softmax over [p_t - D, p_t + D].

    t counts target steps from 0 and, as in the authors' code, goes no further than the
    last real position, so that the window is never empty: here that is the end
    marker's, which the code does not have among its annotations. The paper does not
    stop it: `local_m_paper`. D is `config.window`.

    >>> real, e, q = jnp.ones(5, bool), jnp.zeros(5), jnp.zeros(1)
    >>> state = AttentionState(jnp.zeros(5), jnp.zeros(5), jnp.asarray(9.0))
    >>> local_m_weights({}, ModelConfig(window=1), e, q, real, state).tolist()
    [0.0, 0.0, 0.0, 0.5, 0.5]
    """
    centre = jnp.minimum(state.time, last_position(mask))
    return window_softmax(config, energies, mask, centre)


def local_m_paper_weights(
    params: Params,
    config: ModelConfig,
    energies: Array,
    query: Array,
    mask: Array,
    state: AttentionState,
) -> jax.Array:
    """Luong 2015, section 3.2, local-m to the letter: p_t = t, wherever a source ends.

    More than D steps after its end the window is empty, and the context 0.

    >>> real, e, q = jnp.ones(5, bool), jnp.zeros(5), jnp.zeros(1)
    >>> state = AttentionState(jnp.zeros(5), jnp.zeros(5), jnp.asarray(5.0))
    >>> local_m_paper_weights({}, ModelConfig(window=1), e, q, real, state).tolist()
    [0.0, 0.0, 0.0, 0.0, 1.0]
    """
    return window_softmax(config, energies, mask, jnp.asarray(state.time))


def local_p_init(
    key: jax.Array, config: ModelConfig, query_size: int, inits: layers.Initializers
) -> Params:
    """W_p `[H, H]` as kernel, v_p `[H]`, without biases."""
    key_w, key_v = jax.random.split(key)
    return {
        "kernel": inits.attention(key_w, (query_size, query_size)),
        "v": inits.vector(key_v, (query_size, 1))[:, 0],
    }


def local_p_weights(
    params: Params,
    config: ModelConfig,
    energies: Array,
    query: Array,
    mask: Array,
    state: AttentionState,
) -> jax.Array:
    """Luong 2015, eqs. 9 and 10, local-p: a window around a predicted position.

    p_t = (L - 1) sigma(v_p . tanh(W_p h_t));
    a_t(s) = align(h_t, hbar_s) exp(-(s - p_t)^2 / (2 sigma^2)), sigma = D / 2.

    From the authors' code: positions run from the first to the last (the paper's
    p_t = S sigma(...) is `local_p_paper`), the window is centred on floor(p_t) while
    the Gaussian is on p_t itself, and the softmax inside the window comes first, so the
    product with the Gaussian is not normalised again and sums to less than 1. L is the
    number of real positions, the end marker included (the code's L is without it). The
    gradient reaches p_t through the Gaussian alone.

    >>> real, e, q = jnp.ones(3, bool), jnp.zeros(3), jnp.zeros(1)
    >>> state = AttentionState(jnp.zeros(3), jnp.zeros(3), jnp.zeros(()))
    >>> params = {"kernel": jnp.eye(1), "v": jnp.ones(1)}  # p_t is the middle
    >>> a = local_p_weights(params, ModelConfig(window=1), e, q, real, state)
    >>> [f"{weight:.4f}" for weight in a]  # exp(-2) / 3 on both sides
    ['0.0451', '0.3333', '0.0451']
    """
    at = last_position(mask) * predicted(params, query)
    weights = window_softmax(config, energies, mask, jnp.floor(at))
    return weights * gaussian(config, mask, at)


def local_p_paper_weights(
    params: Params,
    config: ModelConfig,
    energies: Array,
    query: Array,
    mask: Array,
    state: AttentionState,
) -> jax.Array:
    """Luong 2015, eqs. 9 and 10, to the letter: p_t = S sigma(v_p . tanh(W_p h_t)).

    Positions count from 1 to S, the number of real ones, and p_t from 0 to S; the
    window holds the positions within D of p_t itself. All else is `local_p`'s.

    >>> real, e, q = jnp.ones(3, bool), jnp.zeros(3), jnp.zeros(1)
    >>> state = AttentionState(jnp.zeros(3), jnp.zeros(3), jnp.zeros(()))
    >>> params = {"kernel": jnp.eye(1), "v": jnp.ones(1)}  # p_t is 1.5
    >>> a = local_p_paper_weights(params, ModelConfig(window=1), e, q, real, state)
    >>> [f"{weight:.4f}" for weight in a]  # exp(-1/2) / 2 for the positions 1 and 2
    ['0.3033', '0.3033', '0.0000']
    """
    at = (last_position(mask) + 1) * predicted(params, query) - 1.0
    weights = window_softmax(config, energies, mask, at)
    return weights * gaussian(config, mask, at)


def predicted(params: Params, query: Array) -> jax.Array:
    """sigma(v_p . tanh(W_p h_t)) `[...]`: how far on in the source to look, 0 to 1."""
    energy = jnp.tanh(layers.matmul(query, params["kernel"])) * params["v"]
    return jax.nn.sigmoid(energy.sum(-1))


def gaussian(config: ModelConfig, mask: Array, at: jax.Array) -> jax.Array:
    """exp(-(s - p_t)^2 / (2 sigma^2)) `[..., S]`, sigma = D / 2, s from 0."""
    distance = jnp.arange(mask.shape[-1]) - at[..., None]
    return jnp.exp(-2.0 * jnp.square(distance / config.window))


def monotonic_init(
    key: jax.Array, config: ModelConfig, query_size: int, inits: layers.Initializers
) -> Params:
    """The offset r, -1 at first: p is about a quarter where energies are about 0."""
    return {"offset": -jnp.ones(())}


def monotonic_weights(
    params: Params,
    config: ModelConfig,
    energies: Array,
    query: Array,
    mask: Array,
    state: AttentionState,
) -> jax.Array:
    """Raffel et al. 2017, eqs. 9 and 11-14: the expectation of a walk to the right.

    Each step goes on from where the last one stopped, and stops at position j with
    probability p_j:

    p_j = sigma(e_j + r);  q_j = (1 - p_{j-1}) q_{j-1} + a_{t-1,j};  a_j = p_j q_j,

    where a_0 is all on the first position. What walks off the end is lost, so weights
    may sum to less than 1. There is no noise in training, and decoding uses the
    expectation that was trained; the paper's noise and its walk in decoding are
    `monotonic_hard`. (The paper takes the energies of `normed_additive`.)

    >>> real, e, q = jnp.ones(3, bool), jnp.zeros(3), jnp.zeros(1)
    >>> state = AttentionState(jnp.zeros(3), jnp.zeros(3), jnp.zeros(()))
    >>> half = {"offset": jnp.zeros(())}
    >>> monotonic_weights(half, ModelConfig(), e, q, real, state).tolist()
    [0.5, 0.25, 0.125]
    """
    stops = jax.nn.sigmoid(energies + params["offset"])
    return expected_walk(jnp.where(mask, stops, 0.0), state)


def expected_walk(stops: jax.Array, state: AttentionState) -> jax.Array:
    """a_j = p_j q_j of `monotonic_weights`, from the p_j `[..., S]`.

    The q_j of all positions are one associative scan, which divides by nothing:
    products of (1 - p) may be as small as they like.
    """
    start = jnp.arange(stops.shape[-1]) == 0
    start = start.astype(state.weights.dtype)
    stood = jnp.where(state.time[..., None] == 0, start, state.weights)
    goes_on = jnp.concatenate(
        [jnp.zeros_like(stops[..., :1]), 1.0 - stops[..., :-1]], -1
    )

    def both(left: tuple, right: tuple) -> tuple:
        """q -> g q + a twice over, as one step of that kind."""
        return left[0] * right[0], right[0] * left[1] + right[1]

    stood = jnp.broadcast_to(stood, stops.shape)
    _, reached = jax.lax.associative_scan(both, (goes_on, stood), axis=-1)
    return stops * reached


def hard_weights(
    params: Params,
    config: ModelConfig,
    energies: Array,
    query: Array,
    mask: Array,
    state: AttentionState,
) -> jax.Array:
    """Raffel et al. 2017, section 2.2: the walk itself stops where p_j > 1/2 at first.

    All weight is on that position. Where the walk goes off the end it finds nothing,
    now and at all later steps, and the context is 0.

    >>> e, real, q = jnp.array([-1.0, 1.0, 2.0]), jnp.ones(3, bool), jnp.zeros(1)
    >>> state = AttentionState(jnp.zeros(3), jnp.zeros(3), jnp.zeros(()))
    >>> no_offset = {"offset": jnp.zeros(())}
    >>> hard_weights(no_offset, ModelConfig(), e, q, real, state).tolist()
    [0.0, 1.0, 0.0]
    """
    stops = mask & (energies + params["offset"] > 0)
    return expected_walk(jnp.where(stops, jnp.ones_like(energies), 0.0), state)


def noisy_weights(
    seed: jax.Array,
    params: Params,
    config: ModelConfig,
    energies: Array,
    query: Array,
    mask: Array,
    state: AttentionState,
) -> jax.Array:
    """Raffel et al. 2017, section 2.5: `monotonic_weights` of e_j + N(0, 1).

    Noise before the sigmoid makes training prefer p near 0 and 1, where the expectation
    is the walk itself.
    """
    moved = energies + layers.gaussian_noise(seed, energies.shape)
    return monotonic_weights(params, config, moved, query, mask, state)


ALIGNMENTS = {
    "global": Alignment(no_init, global_weights),
    "local_m": Alignment(no_init, local_m_weights, settings=("window",)),
    "local_m_paper": Alignment(
        no_init, local_m_paper_weights, sums_to_one=False, settings=("window",)
    ),
    "local_p": Alignment(
        local_p_init, local_p_weights, sums_to_one=False, settings=("window",)
    ),
    "local_p_paper": Alignment(
        local_p_init, local_p_paper_weights, sums_to_one=False, settings=("window",)
    ),
    "monotonic": Alignment(
        monotonic_init, monotonic_weights, recurrent=True, sums_to_one=False
    ),
    "monotonic_hard": Alignment(
        monotonic_init,
        hard_weights,
        recurrent=True,
        sums_to_one=False,
        noisy=noisy_weights,
    ),
    "hard": Alignment(
        no_init, hard.likeliest, settings=("drawn_share",), draw=hard.draw
    ),
}
