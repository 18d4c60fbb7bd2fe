"""Hard attention: one place is looked at, drawn in training (Xu et al. 2015, 4.1)."""

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import layers
from seq2seq_jax.nn.memory import NEVER, TINY, masked_softmax
from seq2seq_jax.types import Array, AttentionState, Params


def likeliest(
    params: Params,
    config: ModelConfig,
    energies: Array,
    query: Array,
    mask: Array,
    state: AttentionState,
) -> jax.Array:
    """All weight on the place with the largest energy: what is used after training.

    >>> e, real = jnp.array([1.0, 2.0, 3.0]), jnp.array([True, True, False])
    >>> state = AttentionState(jnp.zeros(3), jnp.zeros(3), jnp.zeros(()))
    >>> likeliest({}, ModelConfig(), e, jnp.zeros(1), real, state).tolist()
    [0.0, 1.0, 0.0]
    """
    return one_place(energies, mask)


def one_place(energies: Array, mask: Array) -> jax.Array:
    """1 at the largest energy of the real places `[..., S]`; 0 where there is none."""
    real = mask & (energies > NEVER)
    place = jnp.argmax(jnp.where(real, energies, NEVER), axis=-1)[..., None]
    here = real & (jnp.arange(mask.shape[-1]) == place)
    return jnp.where(here, jnp.ones_like(energies), 0.0)


def draw(
    seed: jax.Array,
    row: jax.Array,
    params: Params,
    config: ModelConfig,
    energies: Array,
    query: Array,
    mask: Array,
    state: AttentionState,
) -> tuple[jax.Array, jax.Array]:
    """s_t ~ Multinoulli(alpha_t), alpha_t = softmax(e_t) (Xu et al. 2015, eq. 8).

    The largest energy after Gumbel noise is such a draw. In 1 - `drawn_share` of the
    rows the context is the expected one, sum_s alpha_ts h_s, as section 4.1 ends.

    Args:
        seed: `[..., 2]`, of this step.
        row: `[...]` uint32, the same at all steps of a row.

    Returns:
        Weights `[..., S]`, and `[..., 2]`: log alpha_t(s_t), 0 where nothing is drawn,
        and the entropy of alpha_t. A draw has no gradient but by its log-probability.
    """
    alpha = masked_softmax(energies, mask)
    logs = jnp.log(jnp.maximum(alpha, TINY))
    gumbel = -jnp.log(-jnp.log(layers.uniform(seed, energies.shape)))
    place = one_place(energies + gumbel, mask & (energies > NEVER))
    drawn = layers.in_share(row, config.drawn_share)
    weights = jnp.where(drawn[..., None], jax.lax.stop_gradient(place), alpha)
    log_prob = jnp.where(drawn, jnp.sum(place * logs, axis=-1), 0.0)
    entropy = -jnp.sum(alpha * logs, axis=-1)
    return weights, jnp.stack([log_prob, entropy], axis=-1)


def reinforced_loss(
    nll: Array, drawn: Array, mask: Array, baseline: Array, reward: float, spread: float
) -> jax.Array:
    """What makes draws learn, over real steps: Xu et al. 2015, section 4.1.

    -reward sum_t (R_t - b n_t) log alpha_t(s_t) - spread sum_t H[alpha_t]

    R_t is the log-probability of step t and the n_t - 1 after it: those before it do
    not depend on the draw, so the gradient's mean is that of the paper's whole
    log p(y | s, a), and it varies less. b is the log-probability of a token, as targets
    of many lengths are in a batch; the paper's is of a caption. The first sum is a
    gradient alone, its value is 0: the loss stays that of the tokens.

    Args:
        nll: `[..., T]` -log p(y_t); it gets no gradient here.
        drawn: `[..., T, 2]`, as of `draw`.
        mask: `[..., T]` bool.
        baseline: b.
        reward: lambda_r of the paper.
        spread: lambda_e.

    >>> drawn = jnp.array([[-1.0, 0.5], [-2.0, 0.0]])
    >>> step = jnp.ones(2), drawn, jnp.array([True, True]), jnp.zeros(()), 1.0, 2.0
    >>> float(reinforced_loss(*step))
    -1.0
    """
    won = jnp.where(mask, -jax.lax.stop_gradient(nll) - baseline, 0.0)
    ahead = jnp.cumsum(won[..., ::-1], axis=-1)[..., ::-1]
    log_probs, entropies = drawn[..., 0], drawn[..., 1]
    moved = ahead * (log_probs - jax.lax.stop_gradient(log_probs))
    each = -reward * moved - spread * entropies
    return jnp.sum(jnp.where(mask, each, 0.0))
