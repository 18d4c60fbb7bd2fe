"""The pointer-generator head (See et al. 2017): it says a word or copies one.

Ids go beyond the vocabulary. The id of a source token that the vocabulary lacks is V
plus the first position at which the source has that token, so a row of S source tokens
has V + S ids, of which those that no source position has are impossible. A decoder
reads such an id as UNK.
"""

import jax
import jax.numpy as jnp

from seq2seq_jax.nn import layers
from seq2seq_jax.nn.given import log_probs_of
from seq2seq_jax.nn.memory import NEVER, TINY
from seq2seq_jax.types import UNK, Array, Looked, Params, Sums


def readable(ids: Array, size: int) -> jax.Array:
    """Ids as embeddings know them: UNK for what the vocabulary of `size` lacks.

    >>> readable(jnp.array([5, 9]), 9).tolist()
    [5, 3]
    """
    return jnp.where(jnp.asarray(ids) < size, ids, UNK)


def shares(weights: Array) -> tuple[jax.Array, jax.Array]:
    """Weights as shares of what is copied, and whether there are any.

    They are the weights themselves under a softmax. Some alignments have less than 1 in
    all, and none in a row of padding: there nothing can be copied.
    """
    total = jnp.sum(weights, axis=-1, keepdims=True)
    return jnp.asarray(weights / jnp.maximum(total, TINY)), total[..., 0] > 0


def gate(params: Params, readout: Array, some: Array) -> tuple[jax.Array, jax.Array]:
    """log p_gen and log(1 - p_gen) `[...]`, See et al. 2017, eq. 8.

    p_gen = sigma(w . r + b), of what the decoder hands to its head: r holds h*_t, s_t
    and x_t one by one for `decoder see`, and is made of them for others. It is 1 where
    `some` is false, as nothing can be copied there.
    """
    z = layers.dense(params["gate"], readout)[..., 0].astype(jnp.float32)
    say, copy = jax.nn.log_sigmoid(z), jax.nn.log_sigmoid(-z)
    return jnp.where(some, say, 0.0), jnp.where(some, copy, NEVER)


def parts(
    params: Params, readout: Array, table: Array | None
) -> tuple[Array, jax.Array]:
    """The output layer's matrix `[R, V]`, and the part of the readout that it reads."""
    kernel = params["kernel"] if table is None else table.T
    return kernel, jnp.asarray(readout)[..., : kernel.shape[0]]


def pointer_init(
    key: jax.Array,
    readout_size: int,
    target_size: int,
    inits: layers.Initializers,
    tied: bool,
    beside: int = 0,
) -> Params:
    """The output layer, and the gate's `[R + beside, 1]` and bias."""
    out_key, gate_key = jax.random.split(key)
    params = layers.dense_init(out_key, readout_size, target_size, inits.output)
    width = readout_size + beside
    made = {"gate": layers.dense_init(gate_key, width, 1, inits.kernel)}
    return made | ({"bias": params["bias"]} if tied else params)


def pointer(
    params: Params, readout: Array, table: Array | None, looked: Looked
) -> jax.Array:
    """log P(w) `[..., V + S]`, See et al. 2017, eq. 9.

    P(w) = p_gen P_vocab(w) + (1 - p_gen) sum_{i: w_i = w} a_i

    >>> params = {"kernel": jnp.zeros((1, 5)), "bias": jnp.zeros(5)}
    >>> params["gate"] = {"kernel": jnp.zeros((1, 1)), "bias": jnp.zeros(1)}
    >>> looked = Looked(jnp.array([0.5, 0.5]), jnp.array([4, 6]))
    >>> found = jnp.exp(pointer(params, jnp.ones(1), None, looked))
    >>> [f"{p:.2f}" for p in found]
    ['0.10', '0.10', '0.10', '0.10', '0.35', '0.00', '0.25']
    """
    kernel, said = parts(params, readout, table)
    logits = layers.matmul(said, kernel) + params["bias"]
    copied, some = shares(looked.weights)
    say, copy = gate(params, readout, some)
    words = jax.nn.log_softmax(logits.astype(jnp.float32)) + say[..., None]
    size, places = words.shape[-1], copied.shape[-1]
    ids = jnp.broadcast_to(looked.items, copied.shape).reshape(-1, places)
    flat = jnp.zeros_like(words, shape=(len(ids), size + places))
    rows = jnp.arange(len(ids))[:, None]
    mass = flat.at[rows, ids].add(copied.reshape(-1, places), mode="drop")
    mass = mass.reshape(*words.shape[:-1], size + places)
    copies = jnp.log(mass) + copy[..., None]
    spare = [(0, 0)] * (words.ndim - 1) + [(0, places)]
    return jnp.logaddexp(jnp.pad(words, spare, constant_values=-jnp.inf), copies)


def copied_mass(looked: Looked, targets: Array) -> tuple[jax.Array, ...]:
    """Of weights `[..., T, S]` and targets `[..., T]`: mass, most, whether any.

    The share of the weights that is on the target, the largest share that is on one
    token, both `[..., T]`, and whether there is any weight.
    """
    copied, some = shares(looked.weights)
    here = looked.items == targets[..., None]
    mass = jnp.sum(jnp.where(here, copied, 0.0), axis=-1)
    items = jnp.broadcast_to(looked.items, copied.shape)[..., 0, :]
    same = (items[..., :, None] == items[..., None, :]).astype(copied.dtype)
    each = jnp.einsum("...ts,...sr->...tr", jax.lax.stop_gradient(copied), same)
    return mass, jnp.max(each, axis=-1), some


def pointer_loss(
    params: Params,
    readout: Array,
    targets: Array,
    mask: Array,
    label_smoothing: float,
    table: Array | None,
    looked: Looked,
) -> Sums:
    """-log P(w*) of the targets (See et al. 2017, eq. 6), in `Sums`.

    Label smoothing u takes that share for the mean over the vocabulary of
    -log P_vocab, as for the head `vocabulary`: no share falls on what is only copied.
    A prediction counts as correct where P of the target is no less than the most that
    either part gives to any token.

    Args:
        params: of `pointer_init`.
        readout: `[..., T, R + beside]`.
        targets: `[..., T]` ids, below V + S.
        mask: `[..., T]` bool.
        label_smoothing: u.
        table: tied embeddings, or None.
        looked: weights `[..., T, S]` and items `[..., 1, S]`.
    """
    kernel, said = parts(params, readout, table)
    size = kernel.shape[-1]
    known = targets < size
    own, mean, best = log_probs_of(
        said, kernel, params["bias"], readable(targets, size), mask
    )
    mass, most, some = copied_mass(looked, targets)
    say, copy = gate(params, readout, some)
    words = jnp.where(known, say + own, NEVER)
    # The inner maximum keeps the logarithm's slope finite where nothing can be copied.
    copies = copy + jnp.log(jnp.maximum(mass, TINY))
    log_prob = jnp.logaddexp(words, copies)
    loss = -((1.0 - label_smoothing) * log_prob + label_smoothing * mean)
    rival = jnp.maximum(say + best, copy + jnp.log(jnp.maximum(most, TINY)))
    return Sums(
        loss=jnp.sum(jnp.where(mask, loss, 0.0)),
        nll=jnp.sum(jnp.where(mask, -log_prob, 0.0)),
        correct=jnp.sum(mask & (log_prob >= rival)).astype(jnp.float32),
        weight=jnp.sum(mask).astype(jnp.float32),
    )
