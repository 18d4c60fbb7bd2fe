"""What ranks a predictor's outputs: length and coverage penalties."""

import dataclasses
import math

import numpy as np
import pytest
from predictors import TINY, close, predictor, texts

from seq2seq_jax.errors import InputError
from seq2seq_jax.inference import programs

BOTH = {"length_penalty": 0.2, "coverage_penalty": 0.2}


def expected_score(one, kind, alpha, beta):
    """Of a hypothesis, by what it says of itself: the paper's eq. 14."""
    length = len(one.tokens)
    divisor = {"gnmt": ((5 + length) / 6) ** alpha, "average": length**alpha, "none": 1}
    sums = [min(column.sum(), 1.0) for column in one.alignment.T]
    return one.log_prob / divisor[kind] + beta * sum(map(math.log, sums))


@pytest.mark.parametrize("kind", ["gnmt", "average", "none"])
def test_a_score_is_what_the_penalties_say(kind):
    """The sums run over the text's tokens and its end, not over padding."""
    options = {"length_penalty_kind": kind, "alignments": True}
    options |= {"length_penalty": 0.8} if kind != "none" else {}
    for beta in (0.0, 0.5):
        found = predictor().translate(
            texts(12), beam_size=4, n_best=4, coverage_penalty=beta, **options
        )
        for many in found:
            for one in many:
                score = expected_score(one, kind, 0.8, beta)
                np.testing.assert_allclose(one.score, score, rtol=1e-4)
            scores = [one.score for one in many]
            assert scores == sorted(scores, reverse=True)


def test_penalties_do_not_need_alignments_in_the_result():
    (one,), (other,) = (
        next(predictor().translate(["abcde"], alignments=wanted, **BOTH))
        for wanted in (True, False)
    )
    assert (one.tokens, one.score) == (other.tokens, other.score)
    assert other.alignment is None


def test_neither_the_batch_nor_n_changes_what_is_best():
    model_, lines = predictor(), texts(30)
    together = list(model_.translate(lines, beam_size=4, n_best=3, **BOTH))
    plain = list(model_.translate(lines, beam_size=4, n_best=3, length_penalty=0.2))
    for line, found in list(zip(lines, together, strict=True))[::5]:
        (alone,) = model_.translate([line], beam_size=4, **BOTH)
        close(alone[0], found[0])
    assert [a.text for (a, *_) in plain] != [a.text for (a, *_) in together]


def test_other_penalties_need_no_other_program():
    model_ = predictor(seed=3)
    list(model_.translate(["abc"], **BOTH))
    before = programs.decode._cache_size()
    list(model_.translate(["abc"], length_penalty=1.0, coverage_penalty=0.9))
    assert programs.decode._cache_size() == before


def test_without_attention_there_is_no_coverage_to_penalise():
    model_ = predictor(dataclasses.replace(TINY, attention="none"))
    with pytest.raises(
        InputError, match=r"coverage_penalty is 0\.2, but the model has"
    ):
        model_.translate(["abc"], coverage_penalty=0.2)
