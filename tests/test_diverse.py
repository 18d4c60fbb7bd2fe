"""Laws of diverse beam search."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from predictors import predictor, texts
from searches import follow, rnn, same, toy, unshared

from seq2seq_jax.errors import InputError
from seq2seq_jax.inference.diverse import diverse_search
from seq2seq_jax.inference.penalties import LENGTH_PENALTIES
from seq2seq_jax.inference.search import beam_search
from seq2seq_jax.types import EOS

LIMITS = jnp.array([9, 5, 1, 9, 0])


@functools.partial(jax.jit, static_argnames=("groups", "n_best"))
def find(params, state, diversity, groups, n_best=6):
    return diverse_search(
        unshared(rnn, params),
        (),
        state,
        LIMITS[: len(state)],
        groups=groups,
        diversity=diversity,
        beam_size=6,
        n_best=n_best,
        max_length=9,
        length_penalty=LENGTH_PENALTIES["gnmt"](1.0),
    )


def rows(found):
    """Outputs of each row, EOS included."""
    lengths = np.asarray(found.lengths)
    return [
        [(*tokens[: n - 1].tolist(), EOS) for tokens, n in zip(*row, strict=True) if n]
        for row in zip(np.asarray(found.tokens), lengths, strict=True)
    ]


def test_one_group_is_beam_search():
    params, state = toy(1, 5)
    found = find(params, state, 0.7, groups=1)
    beam = beam_search(
        unshared(rnn, params),
        (),
        state,
        LIMITS,
        beam_size=6,
        n_best=6,
        max_length=9,
        length_penalty=LENGTH_PENALTIES["gnmt"](1.0),
    )
    there = np.asarray(beam.lengths) > 0
    assert rows(found) == rows(beam)
    for name in ("scores", "log_probs", "alignments"):
        ours, theirs = (np.asarray(getattr(x, name))[there] for x in (found, beam))
        same(ours, theirs)


@pytest.mark.parametrize("groups", [2, 3])
def test_log_probabilities_are_the_models_own(groups):
    params, state = toy(2, 5)
    found = find(params, state, 1.5, groups=groups)
    fewer = find(params, state, 1.5, groups=groups, n_best=1)
    for row, outputs in enumerate(rows(found)):
        assert len(set(outputs)) == len(outputs)
        scores = np.asarray(found.scores[row])
        assert (np.diff(scores[: len(outputs)]) <= 0).all()
        for i, tokens in enumerate(outputs):
            each, _ = follow(params, state[row], [tokens])
            np.testing.assert_allclose(found.log_probs[row, i], each.sum(), rtol=1e-4)
        assert rows(fewer)[row] == outputs[:1]
    (alone,) = rows(find(params, state[:1], 1.5, groups=groups))
    assert alone == rows(found)[0]


def test_groups_that_cost_each_other_much_begin_differently():
    params, state = toy(3, 2)
    for outputs in rows(find(params, state, 1e4, groups=6))[:1]:
        assert len({tokens[0] for tokens in outputs}) == len(outputs) >= 5


def test_a_predictor_has_groups():
    model, given = predictor(), texts(4)
    options = {"beam_size": 4, "groups": 2, "no_repeat_ngram": 2}
    every = list(model.translate(given, n_best=4, **options))
    for text, found in zip(given, every, strict=True):
        for one in found:
            (score,) = model.score([text], [one.text])
            assert one.log_prob == pytest.approx(score.log_prob, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"groups": 2}, r"groups is 2, expected a divisor of beam_size \(5\)"),
        ({"groups": 5, "diversity": -1.0}, "diversity is -1.0"),
        ({"groups": 5, "temperature": 1.0}, "groups is 5 with samples"),
        ({"groups": 5, "stop": "first"}, "groups is 5 with stop 'first'"),
    ],
)
def test_what_cannot_be_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        predictor().translate(["ab"], **options)
