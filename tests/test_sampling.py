"""Laws of sampling: what is drawn, how often, and on what that depends."""

import collections
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from searches import every_sequence, find, follow, real, rnn, same, score, toy, unshared

from seq2seq_jax.inference.draws import draw as draw_one
from seq2seq_jax.inference.penalties import gnmt_coverage, gnmt_penalty
from seq2seq_jax.inference.search import sample_search
from seq2seq_jax.types import BOS, EOS, PAD


@functools.partial(
    jax.jit, static_argnames=("samples", "max_length", "forbidden", "scored")
)
def drawn(params, state, limits, keys, temperature, scored=False, **options):
    step = unshared(rnn, params)
    if scored:
        options["length_penalty"] = gnmt_penalty(0.7)
        options |= {"coverage_penalty": gnmt_coverage(0.5), "mask": real(state)}
    limits = jnp.asarray(limits)
    given = step, (), state, limits, keys
    return sample_search(*given, temperature=temperature, **options)


def draw(params, state, limits, seed=0, temperature=1.0, **options):
    """Samples as NumPy arrays; row n has the key `fold_in(key(seed), n)`."""
    rows = jnp.arange(len(state))
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), rows)
    found = drawn(params, state, np.asarray(limits), keys, temperature, **options)
    return jax.tree.map(np.asarray, found)


def probabilities(params, state, limit, vocab, temperature):
    """Of every sequence of at most `limit` tokens, by the softmax of each step."""
    said = [v for v in range(vocab) if v not in (PAD, BOS)]
    found = {}
    for sequences in every_sequence(limit, vocab):
        for tokens in sequences:
            now, last, product = state, BOS, 1.0
            for time, token in enumerate(tokens):
                now, log_probs, _ = rnn(params, now, last)
                open_ = np.exp(np.asarray(log_probs, np.float64) / temperature)
                if time + 1 < limit:  # at the limit EOS alone may be said
                    product *= open_[token] / open_[said].sum()
                last = token
            found[tokens] = product
    assert abs(sum(found.values()) - 1) < 1e-9
    return found


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_samples_are_as_frequent_as_the_model_says(temperature):
    """Chi square, within four standard deviations of its mean."""
    params, state = toy(7, 1, vocab=6, sharpness=1.0)
    rows, samples = 64, 64
    states = jnp.broadcast_to(state, (rows, *state.shape[1:]))
    found = draw(
        params, states, [3] * rows, 1, temperature, samples=samples, max_length=3
    )
    counts = collections.Counter(
        (*tokens[: length - 1].tolist(), EOS)
        for tokens, length in zip(
            found.tokens.reshape(-1, 3), found.lengths.ravel(), strict=True
        )
    )
    expected = probabilities(params, state[0], 3, 6, temperature)
    assert set(counts) <= set(expected)
    often = {s: p * rows * samples for s, p in expected.items()}
    cells = [(counts[s], n) for s, n in often.items() if n >= 5]
    rest = rows * samples - sum(n for _, n in cells)
    if rest >= 5:
        cells.append((rows * samples - sum(n for n, _ in cells), rest))
    freedom = len(cells) - 1
    assert freedom >= 8
    square = sum((seen - n) ** 2 / n for seen, n in cells)
    assert abs(square - freedom) < 4 * np.sqrt(2 * freedom)


@pytest.mark.parametrize("temperature", [0.0, 1e-6])
def test_without_temperature_a_sample_is_greedy(temperature):
    limits = [0, 1, 2, 5, 9, 9, 30, 9]
    for seed, end in enumerate([-2.0, 2.0, 4.0]):
        params, state = toy(seed, 8, end=end)
        found = draw(params, state, limits, 5, temperature, samples=3, max_length=9)
        greedy = find(params, state, limits, max_length=9)
        for n in range(3):
            one = jax.tree.map(lambda x, n=n: x[:, n, None], found)
            same(one.tokens, greedy.tokens)
            same(one.lengths, greedy.lengths)
            np.testing.assert_allclose(one.log_probs, greedy.log_probs, rtol=1e-6)
            np.testing.assert_allclose(one.alignments, greedy.alignments, rtol=1e-5)


def test_scores_and_alignments_are_those_of_the_sample():
    """Log-probabilities are the model's, whatever the temperature."""
    params, state = toy(17, 4)
    options = {"samples": 5, "max_length": 9, "scored": True}
    found = draw(params, state, [9, 3, 9, 6], 2, 1.7, **options)
    for row in range(4):
        for n in range(5):
            length = found.lengths[row, n]
            tokens = [*found.tokens[row, n, : length - 1], EOS]
            log_probs, looks = follow(params, state[row], [tokens])
            total = log_probs.sum()
            np.testing.assert_allclose(found.log_probs[row, n], total, rtol=1e-5)
            expected = score(("gnmt", 0.7, 0.5), total, looks[0], state[row])
            np.testing.assert_allclose(found.scores[row, n], expected, rtol=1e-5)
            alignment = found.alignments[row, n]
            np.testing.assert_allclose(alignment[:length], looks[0], 1e-5)
            assert (alignment[length:] == 0).all()
            assert (found.tokens[row, n, length - 1 :] == PAD).all()


def test_a_sample_depends_on_its_own_row_and_number_alone():
    params, state = toy(13, 6)
    limits = [4, 1, 10, 7, 0, 10]
    whole = draw(params, state, limits, samples=4, max_length=10)
    fewer = draw(params, state, limits, samples=2, max_length=10)
    same(fewer, jax.tree.map(lambda x: x[:, :2], whole))
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), jnp.arange(6))
    for row, limit in enumerate(limits):
        one = drawn(
            *(params, state[row, None], np.asarray([limit]), keys[row, None], 1.0),
            samples=4,
            max_length=15,
        )
        one = one.replace(
            tokens=one.tokens[:, :, :10], alignments=one.alignments[:, :, :10]
        )
        other = jax.tree.map(lambda x, row=row: x[row, None], whole)
        same((one.tokens, one.lengths), (other.tokens, other.lengths))
        # A product of another shape may round otherwise.
        np.testing.assert_allclose(one.log_probs, other.log_probs, rtol=1e-6)
        np.testing.assert_allclose(one.alignments, other.alignments, rtol=1e-5)


def test_other_keys_rows_and_numbers_draw_otherwise():
    params, state = toy(3, 1, sharpness=1.0)
    states = jnp.broadcast_to(state, (4, *state.shape[1:]))
    options = {"samples": 4, "max_length": 12}
    one, other = (draw(params, states, [12] * 4, seed, **options) for seed in (0, 1))
    texts = {tuple(x) for found in (one, other) for x in found.tokens.reshape(-1, 12)}
    assert len(texts) > 28
    same(one, draw(params, states, [12] * 4, 0, **options))


def test_what_is_forbidden_is_never_drawn():
    params, state = toy(23, 20, sharpness=0.1)
    found = draw(
        *(params, state, [10] * 20),
        samples=8,
        max_length=10,
        forbidden=(PAD, BOS, 5),
    )
    inside = np.arange(10) < found.lengths[..., None] - 1
    said = set(found.tokens[inside].tolist())
    assert said == {3, 4, 6, 7, 8, 9, 10, 11}
    assert (found.lengths >= 1).all()
    assert found.lengths.max() == 10


@pytest.mark.parametrize("size", [5, 64, 65, 1000])
def test_one_of_many_is_drawn_as_often_as_its_probability(size):
    """Chi square, within four standard deviations of its mean; -inf is never drawn."""
    rng, count, temperature = np.random.default_rng(size), 40_000, 1.3
    log_probs = rng.normal(size=size)
    log_probs[rng.random(size) < 0.2] = -np.inf
    keys = jax.random.split(jax.random.key(size), count)
    some = jax.vmap(draw_one, (0, None, None))
    found = np.asarray(some(keys, jnp.float32(log_probs), temperature))
    weights = np.exp(log_probs / temperature)
    expected = count * weights / weights.sum()
    counts = np.bincount(found, minlength=size)
    real_ = expected > 0
    assert (counts[~real_] == 0).all()
    freedom = real_.sum() - 1
    square = ((counts - expected)[real_] ** 2 / expected[real_]).sum()
    assert abs(square - freedom) < 4 * np.sqrt(2 * freedom)
    cold = some(keys[:9], jnp.float32(log_probs), 0.0)
    assert (np.asarray(cold) == log_probs.argmax()).all()
    assert draw_one(keys[0], jnp.full(size, -jnp.inf), 1.0) == 0


def test_a_step_that_allows_nothing_ends():
    def nothing(params, state, tokens):
        return (
            state,
            jnp.full((*tokens.shape, 5), -jnp.inf),
            jnp.ones((*tokens.shape, 1)),
        )

    found = sample_search(
        unshared(nothing, ()),
        (),
        jnp.zeros((2, 1)),
        jnp.array([4, 4]),
        jax.random.split(jax.random.key(0), 2),
        samples=2,
        max_length=4,
    )
    assert (found.lengths == 0).all()
    assert np.isneginf(found.scores).all()
