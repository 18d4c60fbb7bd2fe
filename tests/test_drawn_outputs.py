"""Laws of a predictor's samples; `test_sampling.py` has those of the search."""

import itertools

import numpy as np
import pytest
from predictors import close, predictor, texts

from seq2seq_jax.errors import InputError
from seq2seq_jax.inference import programs


def test_neither_the_batch_nor_the_window_nor_n_changes_a_sample():
    model_, lines = predictor(), texts(40)
    options = {"temperature": 0.7, "seed": 5, "length_penalty": 0.5}
    options["coverage_penalty"] = 0.2
    together = list(model_.translate(lines, n_best=3, **options))
    assert {len(many) for many in together} == {3}
    for window, n in ((7, 3), (40, 1)):
        others = model_.translate(lines, n_best=n, window=window, **options)
        for many, few in zip(together, others, strict=True):
            assert len(few) == n
            for one, other in zip(many, few, strict=False):
                close(one, other)


def test_the_seed_and_the_place_decide_what_is_drawn():
    model_ = predictor()

    def said(seed):
        found = model_.translate(["abcdefgh"] * 9, temperature=4.0, seed=seed)
        return [one.text for (one,) in found]

    first, again, other = said(0), said(0), said(2**32 - 1)
    assert first == again
    assert len({*first, *other}) > 15


def test_samples_have_the_models_own_log_probabilities():
    model_, lines = predictor(), texts(10)
    found = model_.translate(lines, n_best=4, temperature=1.5, length_penalty=0)
    pairs = [
        (line, one)
        for line, many in zip(lines, found, strict=True)
        for one in many
        if 3 not in one.tokens  # as text, what is unknown cannot be read back
    ]
    assert len(pairs) > 20
    sources, ones = zip(*pairs, strict=True)
    scores = model_.score(sources, [one.text for one in ones])
    for one, score in zip(ones, scores, strict=True):
        np.testing.assert_allclose(score.log_prob, one.log_prob, rtol=1e-4)
        np.testing.assert_allclose(one.score, one.log_prob, rtol=1e-6)
        np.testing.assert_allclose(score.alignment, one.alignment, atol=1e-4)


def test_temperature_zero_is_greedy():
    model_, lines = predictor(), texts(20)
    greedy = model_.translate(lines, beam_size=1)
    drawn = model_.translate(lines, temperature=0.0, n_best=2, seed=3)
    for (one,), (first, second) in zip(greedy, drawn, strict=True):
        close(one, first)
        close(one, second)


def test_an_empty_line_has_one_empty_sample():
    found = list(predictor().translate(["", "ab"], n_best=2, temperature=1.0))
    assert [one.text for one in found[0]] == [""]
    assert len(found[1]) == 2


def test_other_seeds_and_temperatures_need_no_other_program():
    model_ = predictor(seed=3)
    list(model_.translate(["abc"], temperature=1.0))
    before = programs.decode._cache_size()
    for temperature, seed in itertools.product((0.0, 0.5), (1, 2)):
        list(model_.translate(["abc"], temperature=temperature, seed=seed))
    assert programs.decode._cache_size() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1.0}, "temperature is -1.0, expected a finite number, 0"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"temperature": 1.0, "n_best": 0}, "n_best is 0, expected 1 or more samples"),
        ({"temperature": 1.0, "seed": -1}, "seed is -1, expected 0 to 4294967295"),
        ({"temperature": 1.0, "seed": 2**32}, "seed is 4294967296"),
    ],
)
def test_impossible_options_are_refused_at_once(options, message):
    with pytest.raises(InputError, match=message):
        predictor().translate(iter(()), **options)
