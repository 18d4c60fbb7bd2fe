"""Laws of forbidden texts, the repetition penalty and lengths by ratio."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from predictors import close, predictor, texts, tokenizer
from searches import brute_force, rnn, toy, unshared

from seq2seq_jax.errors import InputError
from seq2seq_jax.inference.constraints import FREE, Manners, constrained
from seq2seq_jax.inference.forbidden import Banned, as_arrays, banned
from seq2seq_jax.inference.search import beam_search
from seq2seq_jax.types import BOS, EOS, PAD


def test_full_width_finds_the_best_without_what_is_forbidden():
    params, state = toy(5, 4, vocab=6, sharpness=1.0)
    ids, phrases = as_arrays([(4,), (3, 5), (5, 5, 3)], 6)
    step = unshared(rnn, params)
    parts = constrained(step, (), state, 4, FREE, Manners(0, ids, phrases))
    search = functools.partial(beam_search, beam_size=6**3, n_best=5, max_length=4)
    found = jax.jit(lambda: search(*parts, jnp.full(4, 4)))()
    for row in range(4):
        every = brute_force(params, state[row], 4, 6, ("gnmt", 0.0, None))
        fine = [x for x in every if not holds(x[1], [(4,), (3, 5), (5, 5, 3)])]
        for i, (best, tokens) in enumerate(fine[:5]):
            length = int(found.lengths[row, i])
            assert (*found.tokens[row, i, : length - 1].tolist(), EOS) == tokens
            np.testing.assert_allclose(found.scores[row, i], best, rtol=1e-5)


def holds(tokens, phrases):
    """Whether any of the phrases stands in the tokens."""
    return any(
        tokens[i : i + len(phrase)] == phrase
        for phrase in phrases
        for i in range(len(tokens))
    )


def test_what_was_said_counts_theta_times():
    """By hand, along one sequence; what was not said keeps its log-probability."""
    params, state = toy(3, 1)
    theta, said = 1.7, [BOS, 5, 7, 5]
    manners = Manners(repetition=jnp.float32(theta))
    step, shared, bent = constrained(unshared(rnn, params), (), state, 6, FREE, manners)
    for place, token in enumerate(said):
        tokens = jnp.array([token])
        bent, found, _ = step(shared, bent, tokens)
        state, own, _ = rnn(params, state, tokens)
        times = [theta if v in said[1 : place + 1] else 1.0 for v in range(12)]
        # BOS, which the penalty bends as well, is never said.
        want = np.asarray(own * np.array(times))
        np.testing.assert_allclose(found[:, EOS:], want[:, EOS:], rtol=1e-5)


def test_log_probabilities_are_the_models_own_whatever_the_penalty():
    model, given = predictor(), texts(6)
    options = {"beam_size": 3, "repetition_penalty": 3.0, "forbidden": ("a", "bc")}
    bent = [best for best, *_ in model.translate(given, **options)]
    said = [best.text for best in bent]
    for found, score in zip(bent, model.score(given, said), strict=True):
        assert "a" not in found.text and "bc" not in found.text
        np.testing.assert_allclose(
            found.token_log_probs, score.token_log_probs, atol=1e-4
        )
        assert found.log_prob == pytest.approx(score.log_prob, abs=1e-3)
    (alone,) = model.translate(given[:1], **options)
    close(alone[0], bent[0])


def test_lengths_keep_to_the_ratios():
    model, given = predictor(), texts(12)
    ratios = {"min_output_ratio": 0.5, "max_output_ratio": 0.8}
    for text, (best, *_) in zip(
        given, model.translate(given, beam_size=3, **ratios), strict=True
    ):
        read = len(text) + 1
        most = max(1, math.floor(0.8 * read))
        assert min(math.ceil(0.5 * read), most) <= len(best.tokens) <= most


def test_a_text_is_forbidden_as_a_piece_or_as_its_tokens():
    says = tokenizer()
    a, b = says.encode("ab")
    found = banned(("a", "<unk>", "ab", "a?b"), says)  # no "?" can be said
    assert np.flatnonzero(found.ids).tolist() == [3, a]
    assert found.phrases.tolist() == [[a, b]]
    assert banned((), says) == Banned()
    padded = as_arrays([(4, 5), (5, 4), (4, 4, 5)], 9).phrases
    assert padded.shape == (4, 4)
    assert padded[3].tolist() == [PAD, PAD, PAD, 9]
    with pytest.raises(InputError, match="'</s>' cannot be forbidden"):
        banned(("</s>",), says)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"repetition_penalty": 0.0}, "repetition_penalty is 0.0"),
        ({"repetition_penalty": math.inf}, "repetition_penalty is inf"),
        ({"forbidden": "ab"}, "forbidden is one string"),
        ({"max_output_ratio": 0.0}, "max_output_ratio is 0.0"),
        ({"min_output_ratio": -1.0}, "min_output_ratio is -1.0"),
        (
            {"min_output_ratio": 2.0, "max_output_ratio": 1.0},
            r"min_output_ratio is 2.0, .* up to max_output_ratio \(1.0\)",
        ),
    ],
)
def test_what_cannot_be_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        predictor().translate(["ab"], **options)
