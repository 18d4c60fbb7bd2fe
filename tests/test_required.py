"""Laws of outputs that must hold given phrases."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from predictors import close, predictor, texts
from searches import brute_force, rnn, same, toy, unshared

from seq2seq_jax.errors import InputError
from seq2seq_jax.inference.ensemble import Ensemble
from seq2seq_jax.inference.holding import (
    allotted,
    first_of,
    follow,
    holding_search,
    phrases_of,
    said,
)
from seq2seq_jax.inference.penalties import LENGTH_PENALTIES
from seq2seq_jax.inference.required import within
from seq2seq_jax.inference.search import beam_search
from seq2seq_jax.types import EOS, PAD

SIZES = ("search", "size", "n_best", "longest", "alpha")


@functools.partial(jax.jit, static_argnames=SIZES)
def compiled(search, params, state, limits, size, n_best, longest, alpha, **more):
    return search(
        unshared(rnn, params),
        (),
        state,
        limits,
        beam_size=size,
        n_best=n_best,
        max_length=longest,
        length_penalty=LENGTH_PENALTIES["gnmt"](alpha),
        **more,
    )


def find(params, state, limits, wanted, size=3, n_best=2, longest=9, alpha=1.0):
    """A search for what holds each row's phrases, as NumPy arrays."""
    more = {} if wanted is None else {"wanted": table(wanted)}
    search = beam_search if wanted is None else holding_search
    found = compiled(
        search, params, state, jnp.array(limits), size, n_best, longest, alpha, **more
    )
    return jax.tree.map(np.asarray, found)


def table(lists, width=12):
    ids = np.full((len(lists), width), PAD, np.int32)
    for row, phrases in zip(ids, lists, strict=True):
        line = [token for phrase in phrases for token in (*phrase, PAD)]
        row[: len(line)] = line
    return ids


def outputs(found, row):
    """What was found for a row, EOS included, best first."""
    lengths = found.lengths[row]
    pairs = zip(found.tokens[row], lengths, strict=True)
    return [(*tokens[: n - 1].tolist(), EOS) for tokens, n in pairs if n]


def holds(tokens, phrases):
    return all(within(tuple(phrase), tokens) for phrase in phrases)


WANTED = [
    [[], [[4]], [[3, 5]], [[4, 4], [5]]],
    [[[5, 4, 5]], [[3]], [[3], [5]], [[3, 4], [5]]],
]


@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_beam_of_full_width_finds_the_best_of_all_that_hold_them(wanted, alpha):
    params, state = toy(5, 4, vocab=6, sharpness=1.0)
    limits = [4, 3, 4, 4]
    found = find(params, state, limits, wanted, 6**3, 5, 4, alpha)
    for row, limit in enumerate(limits):
        every = brute_force(params, state[row], limit, 6, ("gnmt", alpha, None))
        truth = [x for x in every if holds(x[1], wanted[row])][:5]
        assert truth and outputs(found, row) == [tokens for _, tokens in truth]
        scores = found.scores[row, : len(truth)]
        np.testing.assert_allclose(scores, [x for x, _ in truth], rtol=1e-5)


MANY = [
    [],
    [[4]],
    [[3, 5, 5]],
    [[4, 4], [5]],
    [[7, 8, 9], [10, 11], [6]],
    [[9, 9, 8]],
]


@pytest.mark.parametrize("size", [2, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_output_holds_its_phrases(size, seed):
    params, state = toy(seed, 6)
    limits = [9, 2, 9, 5, 9, 4]
    found = find(params, state, limits, MANY, size)
    for row, (limit, phrases) in enumerate(zip(limits, MANY, strict=True)):
        said = outputs(found, row)
        assert said
        for tokens in said:
            assert holds(tokens, phrases) and len(tokens) <= limit
        assert len(set(said)) == len(said)
    best = find(params, state, limits, MANY, size, n_best=1)
    for row in range(6):
        assert outputs(best, row) == outputs(found, row)[:1]


@pytest.mark.parametrize("size", [2, 5])
def test_rows_without_phrases_are_found_as_ever(size):
    params, state = toy(1, 4)
    limits = [9, 5, 1, 0]
    wanted = [[]] * 4
    free = find(params, state, limits, None, size)
    same(free, find(params, state, limits, wanted, size))
    beside = find(params, state, limits, [[], [[4, 5]], [], []], size)
    for row in (0, 2, 3):
        assert outputs(beside, row) == outputs(free, row)


def test_what_does_not_fit_is_given_up():
    params, state = toy(0, 2)
    found = find(params, state, [3, 0], [[[3, 4, 5]], [[3]]])
    assert len(outputs(found, 0)) > 0 and not outputs(found, 1)


def test_what_was_said_of_phrases_is_counted_as_by_hand():
    rng, width = np.random.default_rng(0), 12
    for _ in range(20):
        phrases = [tuple(rng.integers(3, 5, rng.integers(1, 4))) for _ in range(3)]
        own = phrases_of(jnp.asarray(table([phrases], width)))
        one = jax.tree.map(lambda x: x[0], own)
        running, held = first_of((), own)[2:]
        running, held, tokens = running[0], held[0], ()
        for token in rng.integers(3, 6, 8):
            tokens += (int(token),)
            running, held = jax.jit(follow)(one, running, held, token)
            there = [holds(tokens, [phrase]) for phrase in phrases]
            begun = [
                max(n for n in range(len(p)) if tokens[len(tokens) - n :] == p[:n])
                for p, known in zip(phrases, there, strict=True)
                if not known
            ]
            full = sum(len(p) for p, yes in zip(phrases, there, strict=True) if yes)
            assert int(jax.jit(said)(one, running, held)) == full + max(
                begun, default=0
            )


def test_places_are_shared_out_by_banks():
    """Of six banks four get a place, evenly apart."""
    banks = jnp.array([[0, 0, 1, 2, 3, 4, 5, 5]])
    every = jnp.ones((1, 8), bool)
    places = allotted(banks, every, 4, 6)[0]
    assert banks[0, places].tolist() == [1, 2, 4, 5]
    assert allotted(banks, every, 8, 6)[0].tolist() == list(range(8))
    fewer = every.at[0, 0].set(False)
    assert allotted(banks, fewer, 8, 6)[0].tolist() == [*range(1, 8), 0]


REQUIRED = [["ab", "c"], [], ["ha"], ["aab"]]


def wishes(count):
    return [REQUIRED[i % len(REQUIRED)] for i in range(count)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {
            "coverage_penalty": 0.3,
            "no_repeat_ngram": 3,
            "min_output_length": 9,
            "forbidden": ("de",),
        },
    ],
)
def test_neither_batches_nor_n_best_change_a_result(options):
    model, given = predictor(), texts(8, longest=7)
    asked = wishes(len(given))
    every = list(model.translate(given, n_best=3, required=asked, **options))
    fewer = model.translate(given, required=asked, **options)
    for text, wish, found, first in zip(given, asked, every, fewer, strict=True):
        close(found[0], first[0])
        (alone,) = model.translate([text], n_best=3, required=[wish], **options)
        for a, b in zip(found, alone, strict=True):
            close(a, b)
            assert all(phrase in a.text for phrase in wish)
        (score,) = model.score([text], [found[0].text])
        assert found[0].log_prob == pytest.approx(score.log_prob, abs=1e-3)


def test_without_phrases_nothing_changes():
    model, given = predictor(), texts(8, longest=7)
    free = model.translate(given, n_best=3)
    bound = model.translate(given, n_best=3, required=[[]] * 8)
    for one, other in zip(free, bound, strict=True):
        for a, b in zip(one, other, strict=True):
            close(a, b)


def test_ensembles_and_beginnings_hold_them_too():
    model, given = Ensemble([predictor(), predictor(seed=1)]), texts(8, longest=7)
    begun, asked = ["ba"] * 8, wishes(8)
    found = model.translate(given, prefixes=begun, required=asked)
    for (best, *_), wish in zip(found, asked, strict=True):
        assert best.text.startswith("ba")
        assert all(phrase in best.text for phrase in wish)


def test_what_outputs_do_not_hold_is_told():
    told = []
    model = predictor(warn=told.append)
    found = list(
        model.translate(
            ["ab", "", "abc"], required=[["abcd"], ["a"], []], max_output_length=3
        )
    )
    assert len(found) == 3
    (line,) = told
    assert line.startswith("2 of 3 outputs do not hold") and "line 1" in line


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"beam_size": 1}, "beam_size is 1 .* expected 2 or more"),
        ({"temperature": 1.0}, "temperature is 1.0 and outputs must hold"),
        ({"groups": 5}, "groups is 5 and"),
        ({"stop": "first"}, "stop is 'first'"),
        ({"places": "lost"}, "places is 'lost'"),
        ({"prune": 3.0}, "prune is 3.0"),
        ({"required": "ab"}, "required is one string"),
        ({"required": ["ab", "c"]}, "required of line 1 is one string"),
        ({"required": [["a"]]}, "required end after 1 lines"),
        ({"required": [["a?"], []]}, r"line 1: 'a\?' .* what the vocabulary lacks"),
        ({"required": [[], ["ab" * 8]]}, "line 2: 16 tokens are required, .* most 15"),
    ],
)
def test_what_cannot_be_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        list(predictor().translate(["ab", "cd"], **{"required": [["a"], []]} | options))
