"""Laws of minimum Bayes risk."""

import random
from collections import Counter

import pytest
from predictors import predictor, texts

from seq2seq_jax.errors import InputError
from seq2seq_jax.evaluation.utilities import UTILITIES
from seq2seq_jax.inference import risk
from seq2seq_jax.inference.results import Hypothesis


def said(text, log_prob=-1.0):
    return Hypothesis(text, [], [], log_prob, log_prob, None, [])


def test_by_equality_the_most_frequent_sample_is_best():
    for seed in range(20):
        drawn = random.Random(seed).choices(["a", "bc", "d e", "f"], k=9)
        every = risk.best([said(text) for text in drawn], "exact", 4, sampled=True)
        counts = Counter(drawn)
        assert [one.text for one in every] == [text for text, _ in counts.most_common()]
        for one in every:
            assert one.score == pytest.approx(100 * counts[one.text] / 9)


def test_of_a_search_the_most_probable_is_best_by_equality():
    found = [said("a", -1.0), said("b", -3.0), said("c", -2.0)]
    best = risk.best(found, "exact", 3, sampled=False)
    assert [one.text for one in best] == ["a", "c", "b"]


@pytest.mark.parametrize("utility", UTILITIES)
def test_a_text_that_all_agree_on_serves_wholly(utility):
    (best,) = risk.best([said("ab cd")] * 3, utility, 2, sampled=True)
    assert (best.text, best.score) == ("ab cd", 100.0)


def test_what_most_candidates_are_near_to_beats_a_stranger():
    drawn = ["zz zz zz", "the cat sat", "the cat sits", "the cat sat on"]
    best, *_ = risk.best([said(text) for text in drawn], "chrf", 1, sampled=True)
    assert best.text.startswith("the cat")


def test_a_predictor_ranks_its_samples():
    model, given = predictor(), texts(5)
    options = {"temperature": 1.0, "seed": 3}
    drawn = list(model.translate(given, n_best=8, **options))
    found = model.translate(given, n_best=2, mbr=8, utility="exact", **options)
    for samples, best in zip(drawn, found, strict=True):
        want = risk.best(samples, "exact", 2, sampled=True)
        assert [(x.text, x.score) for x in best] == [(x.text, x.score) for x in want]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mbr": 9, "beam_size": 5}, r"mbr is 9, expected n_best \(1\) or more, up to"),
        ({"mbr": 2, "n_best": 3}, "mbr is 2"),
        ({"mbr": -1, "temperature": 1.0}, "mbr is -1"),
        ({"utility": "wer"}, "utility is 'wer', expected one of bleu, chrf, exact"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        predictor().translate(["ab"], **options)
