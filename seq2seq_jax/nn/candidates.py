"""Sampled softmax: the target against k sampled tokens in place of the vocabulary.

Jean et al. 2015, section 3, train with an importance-sampled normaliser; what stands
here is tensorflow/nmt's `num_sampled_softmax` (TensorFlow's `sampled_softmax_loss`):
one set of k distinct log-uniform tokens for a whole update, each logit less the log of
how often its token is expected among the k, and of the k those left out that are the
target themselves.

P(i) falls as 1/i, as frequencies of words do (Zipf), so ids should go by frequency.
Those of characters and words do. SentencePiece numbers pieces by the order in which BPE
merged them, which is so only roughly, and bytes are numbered by value: the correction
keeps the loss right there too, with more noise. PAD and BOS, which no target is, are
nearly always among the k: the full softmax of evaluation has them as well.
"""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax.nn import layers
from seq2seq_jax.nn.losses import in_chunks
from seq2seq_jax.types import Array, Sums

HIT = -1e30  # the logit of a sampled token that is the target


def probabilities(vocabulary: int) -> np.ndarray:
    """P(i) = log((i + 2) / (i + 1)) / log(V + 1), float64 `[V]`, for ids by frequency.

    >>> probabilities(3).round(3).tolist()
    [0.5, 0.292, 0.208]
    """
    ids = np.arange(vocabulary, dtype=np.float64)
    return np.log((ids + 2) / (ids + 1)) / np.log(vocabulary + 1)


@lru_cache(maxsize=8)
def expected_counts(vocabulary: int, count: int) -> np.ndarray:
    """Q(i) = 1 - (1 - P(i))^n `[V]`: how often a token is expected among `count`.

    n is the number of draws, repetitions included, that gives `count` distinct tokens
    on average: the Q sum to `count`. (TensorFlow counts the draws of each set instead.)

    >>> expected_counts(3, 2).round(3).tolist(), expected_counts(3, 3).tolist()
    ([0.869, 0.637, 0.494], [1.0, 1.0, 1.0])
    """
    if count >= vocabulary:
        return np.ones(vocabulary)
    rest = np.log1p(-probabilities(vocabulary))
    low, high = 0.0, 1.0
    while -np.expm1(high * rest).sum() < count:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        enough = -np.expm1(middle * rest).sum() >= count
        low, high = (low, middle) if enough else (middle, high)
    return -np.expm1(high * rest)


def draw(key: jax.Array, vocabulary: int, count: int) -> jax.Array:
    """`count` distinct ids `[k]`, as if drawn one by one and repeats thrown away.

    The largest of log P(i) + Gumbel noise (Vieira 2014): no loop of unknown length.

    >>> sorted(draw(jax.random.key(0), 4, 4).tolist())
    [0, 1, 2, 3]
    """
    noise = jax.random.gumbel(key, (vocabulary,))
    log_p = jnp.asarray(np.log(probabilities(vocabulary)), jnp.float32)
    return jax.lax.top_k(log_p + noise, count)[1]


def log_counts(size: int, draws: int) -> jax.Array:
    """The logarithms of `expected_counts`."""
    return jnp.asarray(np.log(expected_counts(size, draws)), jnp.float32)


def sampled_cross_entropy(
    readout: Array,
    rows: Array,
    bias: Array,
    targets: Array,
    mask: Array,
    negatives: Array,
    dtype: str = "float32",
) -> Sums:
    """Sums over real tokens of -log softmax of the target among itself and `negatives`.

    With l'_i = l_i - log Q(i): loss = log(exp l'_y + sum_{i in negatives, i != y}
    exp l'_i) - l'_y. It is smallest where the softmax of l is the data's distribution,
    but it is no estimate of the full loss: `nll` and `correct` are over these
    candidates too, so training's perplexity is not the model's; evaluation's is.

    Args:
        readout: `[..., R]`.
        rows: `[V, R]` float32, the output layer's weights; only k + targets are read.
        bias: `[V]`.
        targets: `[...]` ids.
        mask: `[...]` bool.
        negatives: `[k]` ids, from `draw`.
        dtype: of the products.
    """
    readout, rows, bias = map(jnp.asarray, (readout, rows, bias))
    log_q = log_counts(rows.shape[0], negatives.shape[0])
    # Gathered before the cast, or a frequent token's gradient would add up in bfloat16.
    kernel = rows[negatives].astype(dtype).T
    x, w = readout.astype(dtype), rows[targets].astype(dtype)
    wide = jnp.promote_types(x.dtype, jnp.float32)
    own = jnp.einsum("...r,...r->...", x, w, preferred_element_type=wide)
    own = own + bias[targets]

    @jax.checkpoint
    def body(total: None, chunk: tuple) -> tuple[None, Sums]:
        x, y, real, own = chunk
        others = layers.matmul(x, kernel) + bias[negatives]
        same = negatives == y[:, None]
        corrected = own - log_q[y], jnp.where(same, HIT, others - log_q[negatives])
        both = jnp.concatenate([corrected[0][:, None], corrected[1]], axis=-1)
        nll = jnp.where(real, jax.nn.logsumexp(both, axis=-1) - corrected[0], 0.0)
        right = real & (own >= jnp.max(jnp.where(same, HIT, others), axis=-1))
        loss, weight = jnp.sum(nll), jnp.sum(real).astype(jnp.float32)
        return total, Sums(loss, loss, jnp.sum(right).astype(jnp.float32), weight)

    chunks = in_chunks(readout, targets, mask, len(negatives))
    own_chunks = in_chunks(own[..., None], targets, mask, len(negatives))[0][..., 0]
    _, sums = jax.lax.scan(body, None, (*chunks, own_chunks))
    return jax.tree.map(jnp.sum, sums)
