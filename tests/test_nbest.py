"""N-best lists in Moses' format: what is read, rescored and sorted."""

import pytest
from predictors import predictor

from seq2seq_jax.errors import InputError
from seq2seq_jax.inference import nbest

LINES = ["0 ||| ab ||| A= 1 ||| -1", "0 ||| c ||| ||| -2 ||| 0-0", "2 ||| dd ||| -3.5"]
SOURCES = ["fg", "h", "klm"]


def rescored(**options):
    entries = nbest.read(LINES, "list")
    return list(nbest.rescored(predictor(), entries, iter(SOURCES), **options))


def test_a_new_feature_is_the_log_probability():
    found = rescored(feature="New")
    scores = predictor().score(["fg", "fg", "klm"], ["ab", "c", "dd"])
    olds = ["A= 1 ", "", ""]
    for entry, old, score in zip(found, olds, scores, strict=True):
        assert entry.features == f"{old}New= {score.log_prob:.6f}"
    assert [entry.score for entry in found] == [-1, -2, -3.5]
    assert found[1].more == ("0-0",)
    lines = [nbest.line_of(entry) for entry in found]
    again = list(nbest.read(lines, "again"))
    assert again == found


def test_lists_are_sorted_by_what_is_asked():
    values = {entry.text: float(entry.features.split()[-1]) for entry in rescored()}
    olds = {"ab": -1, "c": -2, "dd": -3.5}
    for weight in (0.0, 1.0, -1.0):
        found = rescored(rank="sum", weight=weight)
        for entry in found:
            total = olds[entry.text] + weight * values[entry.text]
            assert entry.score == pytest.approx(total, abs=1e-5)
        assert [entry.number for entry in found] == [0, 0, 2]
        assert found[0].score >= found[1].score
    best, second, _ = rescored(rank="feature")
    assert best.score >= second.score == pytest.approx(values[second.text], abs=1e-5)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["0 ||| a"], "list, line 1 is '0 ||| a', expected number"),
        (["x ||| a ||| -1"], "list, line 1"),
        (["0 ||| a ||| nan"], "list, line 1"),
        (["1 ||| a ||| -1", "0 ||| b ||| -1"], "line 2 has number 0 after 1"),
        (["3 ||| a ||| -1"], "number 3, but there are 3 sources"),
    ],
)
def test_what_is_no_list_is_refused(lines, said):
    with pytest.raises(InputError) as error:
        entries = nbest.read(lines, "list")
        list(nbest.rescored(predictor(), entries, iter(SOURCES)))
    assert said in str(error.value)


@pytest.mark.parametrize(
    "options", [{"rank": "best"}, {"feature": "a b"}, {"weight": float("inf")}]
)
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(InputError):
        rescored(**options)
