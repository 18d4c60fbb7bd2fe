"""Searches over step functions that a test can see through."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax.inference.penalties import LENGTH_PENALTIES, gnmt_coverage
from seq2seq_jax.inference.search import beam_search, greedy_search
from seq2seq_jax.types import BOS, EOS, PAD

VOCAB, HIDDEN, SOURCE = 12, 6, 5
# Kind of length penalty, alpha, beta of the coverage penalty.
PENALTIES = [
    ("gnmt", 0.0, None),
    ("gnmt", 1.0, None),
    ("gnmt", -1.0, None),
    ("average", 1.0, None),
    ("none", 1.0, None),
    ("gnmt", 0.2, 0.2),
    ("gnmt", 1.0, 0.7),
    ("gnmt", -1.0, 3.0),
]


def toy(seed, rows, vocab=VOCAB, sharpness=3.0, end=0.0):
    """A small random RNN: its parameters, and a first state for each row."""
    rng = np.random.default_rng(seed)
    sizes = {"embed": (vocab, HIDDEN), "recur": (HIDDEN, HIDDEN)}
    sizes |= {"out": (HIDDEN, vocab), "look": (HIDDEN, SOURCE)}
    params = {name: rng.normal(size=size) for name, size in sizes.items()}
    params["out"] *= sharpness
    params["bias"] = np.where(np.arange(vocab) == EOS, end, 0.0)
    state = rng.normal(size=(rows, HIDDEN))
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), (params, state))


def rnn(params, state, tokens):
    # Sums of products, not matmuls: bit for bit the same for any number of rows.
    recurrent = (state[..., None] * params["recur"]).sum(-2)
    state = jnp.tanh(params["embed"][tokens] + recurrent)
    logits = (state[..., None] * params["out"]).sum(-2) + params["bias"]
    weights = jax.nn.softmax((state[..., None] * params["look"]).sum(-2))
    return state, jax.nn.log_softmax(logits), weights


def real(rows):
    """Which source positions count `[B, S]`, by the last number of a row's state."""
    lengths = 2 + (rows[:, -1] > 0) + (rows[:, -1] > 0.7)
    return jnp.arange(SOURCE) < lengths[:, None]


def search(step, params, state, limits, size=None, penalty=PENALTIES[0], **options):
    """Beam search, greedy where `size` is None."""
    kind, alpha, beta = penalty
    options["length_penalty"] = LENGTH_PENALTIES[kind](alpha)
    if beta is not None:
        options |= {"coverage_penalty": gnmt_coverage(beta), "mask": real(state)}
    given = unshared(step, params), (), state, jnp.asarray(limits)
    if size is None:
        return greedy_search(*given, **options)
    return beam_search(*given, beam_size=size, **options)


def unshared(step, params):
    """A search's step function of which nothing is a row's alone."""
    return lambda shared, state, tokens: step(params, state, tokens)


@functools.partial(
    jax.jit,
    static_argnames=(
        "step",
        "size",
        "kind",
        "max_length",
        "n_best",
        "forbidden",
        "stop",
    ),
)
def compiled(step, params, state, limits, size, kind, alpha, beta, **options):
    return search(step, params, state, limits, size, (kind, alpha, beta), **options)


def find(params, state, limits, size=None, penalty=PENALTIES[0], step=rnn, **options):
    """`search` in jit, as NumPy arrays; tests that share shapes share its programs."""
    limits = np.asarray(limits, np.int32)
    found = compiled(step, params, state, limits, size, *penalty, **options)
    return jax.tree.map(np.asarray, found)


def same(a, b):
    """Equal: tokens and lengths exactly, numbers as far as programs round alike."""
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=2e-5)
    jax.tree.map(close, a, b)


def follow(params, state, tokens):
    """Log-probabilities `[N, T]` and weights of sequences `[N, T]`, token by token."""
    state = jnp.broadcast_to(state, (len(tokens), HIDDEN))
    last, log_probs, looks = jnp.full(len(tokens), BOS), [], []
    for token in np.asarray(tokens).T:
        state, log_prob, weights = rnn(params, state, last)
        log_probs.append(np.asarray(log_prob)[np.arange(len(token)), token])
        looks.append(np.asarray(weights))
        last = jnp.asarray(token)
    return np.stack(log_probs, 1), np.stack(looks, 1)


def score(penalty, total, looks, state):
    """The score of a hypothesis, from its weights `[T, S]`, as the paper writes it."""
    kind, alpha, beta = penalty
    length = len(looks)
    divisor = {"gnmt": ((5 + length) / 6) ** alpha, "average": length**alpha, "none": 1}
    divisor = divisor[kind]
    if beta is None:
        return total / divisor
    sums = [looks[:, i].sum() for i in np.flatnonzero(real(state[None])[0])]
    return total / divisor + beta * sum(np.log(min(each, 1.0)) for each in sums)


def every_sequence(limit, vocab):
    """Lists, by length, of all sequences of at most `limit` tokens that end."""
    said = [v for v in range(vocab) if v not in (PAD, BOS, EOS)]
    for length in range(1, limit + 1):
        yield [(*tokens, EOS) for tokens in itertools.product(said, repeat=length - 1)]


def brute_force(params, state, limit, vocab, penalty):
    """`(score, tokens)` of every sequence of at most `limit` tokens, best first."""
    found = []
    for sequences in every_sequence(limit, vocab):
        log_probs, looks = follow(params, state, sequences)
        scores = [
            score(penalty, total, look, state)
            for total, look in zip(log_probs.sum(1), looks, strict=True)
        ]
        found += zip(scores, sequences, strict=True)
    return sorted(found, key=lambda item: -item[0])
