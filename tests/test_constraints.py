"""Laws of what outputs may say: shortest lengths, beginnings, repeated n-grams."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from predictors import close, predictor, texts
from searches import PENALTIES, brute_force, rnn, same, toy, unshared

from seq2seq_jax.errors import InputError
from seq2seq_jax.inference.constraints import FREE, Constraints, Manners, constrained
from seq2seq_jax.inference.draws import narrowed
from seq2seq_jax.inference.penalties import LENGTH_PENALTIES
from seq2seq_jax.inference.search import beam_search, greedy_search, sample_search
from seq2seq_jax.types import EOS, PAD

LIMITS = [1, 3, 4, 4]


def find(params, state, limits, search, asked=FREE, ngram=0, max_length=4, **options):
    """A search under constraints, as NumPy arrays."""

    def run(params, state, limits, asked):
        step = unshared(rnn, params)
        given = step, (), state, max_length
        parts = constrained(*given, asked, Manners(ngram))
        return search(*parts, limits, max_length=max_length, **options)

    asked = jax.tree.map(jnp.asarray, asked)
    found = jax.jit(run)(params, state, jnp.asarray(limits), asked)
    return jax.tree.map(np.asarray, found)


def keeps(tokens, least, prefix, n):
    """Whether an output, EOS included, is as it is asked."""
    grams = [tokens[i : i + n] for i in range(len(tokens) - n + 1)] if n else []
    begun = tokens[: len(prefix)] == tuple(prefix)
    return len(tokens) >= least and begun and len(set(grams)) == len(grams)


ASKED = [
    ((1, 2, 3, 4), ((), (), (), ()), 0),
    ((1, 1, 1, 1), ((), (4,), (3, 5), (4, 4)), 0),
    ((1, 2, 2, 4), ((), (3,), (), (5, 3)), 1),
    ((1, 1, 1, 1), ((), (), (), ()), 1),
    ((1, 3, 4, 1), ((), (), (), ()), 2),
]


@pytest.mark.parametrize("case", ASKED)
@pytest.mark.parametrize("penalty", [PENALTIES[0], PENALTIES[1]])
def test_a_beam_of_full_width_finds_the_best_of_what_is_allowed(case, penalty):
    least, prefixes, n = case
    params, state = toy(5, 4, vocab=6, sharpness=1.0)
    kind, alpha, _ = penalty
    ids = np.array([[*p, *[PAD] * (2 - len(p))] for p in prefixes], np.int32)
    found = find(
        params,
        state,
        LIMITS,
        beam_search,
        Constraints(np.array(least), ids),
        n,
        beam_size=6**3,
        n_best=5,
        length_penalty=LENGTH_PENALTIES[kind](alpha),
    )
    for row, limit in enumerate(LIMITS):
        every = brute_force(params, state[row], limit, 6, penalty)
        truth = [x for x in every if keeps(x[1], least[row], prefixes[row], n)]
        assert truth and (found.lengths[row] > 0).sum() == min(5, len(truth))
        for i, (best, tokens) in enumerate(truth[:5]):
            length = found.lengths[row, i]
            assert (*found.tokens[row, i, : length - 1], EOS) == tokens
            np.testing.assert_allclose(found.scores[row, i], best, rtol=1e-5)


@pytest.mark.parametrize("case", ASKED)
def test_every_search_keeps_to_them(case):
    least, prefixes, n = case
    params, state = toy(2, 4, vocab=12, end=1.0)
    ids = np.array([[*p, *[PAD] * (2 - len(p))] for p in prefixes], np.int32)
    asked = Constraints(np.array(least), ids)
    keys = jax.vmap(jax.random.key)(jnp.arange(4))
    sampled = functools.partial(sample_search, keys=keys, samples=7)
    beams = functools.partial(beam_search, beam_size=3, n_best=3)
    for search in (greedy_search, beams, sampled):
        found = find(params, state, LIMITS, search, asked, n)
        assert (found.lengths[:, 0] > 0).all()
        for row in range(4):
            for i, length in enumerate(found.lengths[row]):
                if not length:  # there are no more
                    continue
                said = (*found.tokens[row, i, : length - 1].tolist(), EOS)
                assert keeps(said, least[row], prefixes[row], n)
    one = find(params, state, LIMITS, greedy_search, asked, n)
    beam = functools.partial(beam_search, beam_size=1)
    same(one, find(params, state, LIMITS, beam, asked, n))


def test_what_forbids_nothing_changes_nothing():
    params, state = toy(1, 4)
    asked = Constraints(np.ones(4, np.int32), np.full((4, 3), PAD, np.int32))
    beams = functools.partial(beam_search, beam_size=4, n_best=4)
    for n in (0, 9):
        free = beams(
            unshared(rnn, params),
            (),
            state,
            jnp.array([9, 5, 1, 9]),
            max_length=9,
            length_penalty=LENGTH_PENALTIES["gnmt"](1.0),
        )
        bound = find(
            params,
            state,
            [9, 5, 1, 9],
            beams,
            asked,
            n,
            max_length=9,
            length_penalty=LENGTH_PENALTIES["gnmt"](1.0),
        )
        same(jax.tree.map(np.asarray, free), bound)


def test_an_output_ends_where_nothing_else_is_left_to_say():
    """Of 12 ids 9 are words: without repeats no output has more than 10 tokens."""
    params, state = toy(0, 3, end=-5.0)
    asked = Constraints(np.full(3, 20, np.int32))
    for search in (greedy_search, functools.partial(beam_search, beam_size=3)):
        found = find(params, state, [20] * 3, search, asked, 1, max_length=20)
        assert found.lengths[:, 0].tolist() == [10] * 3


def test_samples_are_drawn_from_the_most_probable():
    rng = np.random.default_rng(0)
    log_probs = np.log(rng.dirichlet(np.ones(20), 50)).astype(np.float32)
    for t, k, p in [(1.0, 3, None), (0.5, None, 0.7), (2.0, 5, 0.8), (1.0, 1, 1.0)]:
        numbers = (None if x is None else jnp.asarray(x) for x in (k, p))
        kept = np.isfinite(narrowed(jnp.asarray(log_probs), t, *numbers))
        for row, given in zip(kept, log_probs, strict=True):
            order = np.argsort(-given)[: k or 20]
            shares = np.exp(given[order] / t) / np.exp(given[order] / t).sum()
            few = len(order) if p is None else 1 + (np.cumsum(shares)[:-1] < p).sum()
            assert sorted(np.flatnonzero(row)) == sorted(order[:few])


BOUND = {"min_output_length": 6, "no_repeat_ngram": 2}


@pytest.mark.parametrize("options", [{}, {"temperature": 1.0, "top_k": 4}])
def test_neither_batches_nor_n_best_change_a_result(options):
    model, given = predictor(), texts(20)
    begun = [text[:2] if i % 3 else "" for i, text in enumerate(given)]
    n = {"n_best": 3, "seed": 4}
    every = list(model.translate(given, prefixes=begun, **n, **BOUND, **options))
    alone = [
        next(iter(model.translate([text], prefixes=[prefix], **n, **BOUND)))
        for text, prefix in zip(given, begun, strict=True)
    ]
    fewer = model.translate(given, prefixes=begun, seed=4, **BOUND, **options)
    for found, one, prefix, first in zip(every, alone, begun, fewer, strict=True):
        close(found[0], first[0])
        if not options:  # samples depend on a text's place
            for a, b in zip(found, one, strict=True):
                close(a, b)
        for best in found:
            assert best.text.startswith(prefix) and len(best.tokens) >= 6
            assert keeps(tuple(best.tokens), 6, (), 2) or prefix


def test_log_probabilities_are_those_of_score():
    model, given = predictor(), texts(12)
    found = [best for best, *_ in model.translate(given, prefixes=given, **BOUND)]
    scores = model.score(given, [best.text for best in found])
    for best, score_ in zip(found, scores, strict=True):
        assert best.log_prob == pytest.approx(score_.log_prob, rel=1e-4, abs=1e-4)


def test_the_models_own_beginning_changes_nothing():
    model, given = predictor(), texts(12)
    own = [best for best, *_ in model.translate(given, beam_size=1)]
    begun = [best.text[: len(best.text) // 2] for best in own]
    for found, (again, *_) in zip(
        own, model.translate(given, beam_size=1, prefixes=begun), strict=True
    ):
        assert again.text[: len(found.text)] == found.text or len(found.tokens) > 16


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"min_output_length": 0}, "min_output_length is 0, expected 1 or more"),
        ({"min_output_length": 9, "max_output_length": 8}, "up to max_output_length"),
        ({"no_repeat_ngram": -1}, "no_repeat_ngram is -1"),
        ({"top_k": 3}, "top_k is 3 without temperature"),
        ({"top_p": 0.5}, "top_p is 0.5 without temperature"),
        ({"temperature": 1.0, "top_k": 0}, "top_k is 0"),
        ({"temperature": 1.0, "top_p": 1.5}, "top_p is 1.5"),
        ({"prefixes": "ab"}, "prefixes is one string"),
        ({"prefixes": ["a"]}, "prefixes end after 1 lines"),
    ],
)
def test_what_cannot_be_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        list(predictor().translate(["ab", "cd"], **options))
