"""Metrics agree with values worked out by hand and with a naive edit distance."""

import math

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq_jax.errors import InputError
from seq2seq_jax.evaluation.metrics import (
    METRICS,
    Options,
    chosen,
    distance,
    exact_match,
    measure,
    token_error_rate,
    units_of,
    word_error_rate,
)

WORDS = st.lists(st.sampled_from("abcd"), max_size=8)


def naive_distance(a, b):
    """Wagner and Fischer (1974), by the book."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row = row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (x != y)))
    return row[-1]


@given(WORDS, WORDS)
def test_distance_is_the_edit_distance(a, b):
    assert distance(a, b) == naive_distance(a, b)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=5))
def test_token_error_rate_is_edits_over_reference_tokens(pairs):
    edits = sum(naive_distance(said, wanted) for said, wanted in pairs)
    length = sum(len(wanted) for _, wanted in pairs)
    expected = 100 * edits / length if length else 100.0 * (edits > 0)
    hypotheses = [" ".join(said) for said, _ in pairs]
    references = [[" ".join(wanted)] for _, wanted in pairs]
    assert token_error_rate(hypotheses, references) == pytest.approx(expected)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=5))
def test_more_references_never_make_an_error_rate_worse(pairs):
    hypotheses = ["a b c"] * len(pairs)
    one = [[" ".join(a)] for a, _ in pairs]
    two = [[" ".join(a), " ".join(b)] for a, b in pairs]
    assert exact_match(hypotheses, two) >= exact_match(hypotheses, one)
    assert word_error_rate(hypotheses, two) <= word_error_rate(hypotheses, one)


def naive_rouge(said, wanted, n):
    """Lin 2004: F1 of n-grams in common, each as often as in the poorer of the two."""
    grams = [
        [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]
        for text in (said, wanted)
    ]
    common = sum(min(side.count(gram) for side in grams) for gram in set(grams[0]))
    return 2 * common / max(sum(map(len, grams)), 1)


def naive_rouge_l(said, wanted):
    """Lin 2004: F1 of the longest common subsequence."""
    longest = {}
    for i in range(len(said) + 1):
        for j in range(len(wanted) + 1):
            if not i or not j:
                longest[i, j] = 0
            elif said[i - 1] == wanted[j - 1]:
                longest[i, j] = longest[i - 1, j - 1] + 1
            else:
                longest[i, j] = max(longest[i - 1, j], longest[i, j - 1])
    return 2 * longest[len(said), len(wanted)] / max(len(said) + len(wanted), 1)


@settings(deadline=None)  # the first example imports rouge-score
@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=4))
def test_rouge_is_its_definition_by_the_closest_reference(rows):
    ways = {
        "rouge1": lambda a, b: naive_rouge(a, b, 1),
        "rouge2": lambda a, b: naive_rouge(a, b, 2),
        "rougeL": naive_rouge_l,
    }
    hypotheses = [" ".join(said).upper() for said, _, _ in rows]
    references = [[" ".join(x), " . ".join(y)] for _, x, y in rows]
    measured = measure(list(ways), hypotheses, references)
    for name, way in ways.items():
        best = [max(way(said, x), way(said, y)) for said, x, y in rows]
        assert measured[name].value == pytest.approx(100 * sum(best) / len(best))


def test_rouge_reads_any_script_and_is_measured_where_it_is_asked_for():
    lines = ["Über die Brücke", "за мостом"]
    assert measure(["rougeL"], lines, [[x] for x in lines])["rougeL"].value == 100
    assert set(chosen()) == {n for n, metric in METRICS.items() if not metric.extra}
    assert set(chosen("rouge2")) == set(METRICS)


def test_error_rates_by_hand():
    hypotheses = ["AH P R IY", "K AE T", ""]
    references = [["AH P R AY"], ["K AE T S", "K AE T"], ["D AO G"]]
    # one replaced of 4; the second reference is met, 3 tokens; 3 lacking of 3
    assert token_error_rate(hypotheses, references) == pytest.approx(100 * 4 / 10)
    assert word_error_rate(hypotheses, references) == pytest.approx(100 * 2 / 3)
    assert exact_match(hypotheses, references) == pytest.approx(100 / 3)


def test_the_closest_reference_is_the_one_with_the_smallest_rate():
    # 1 edit of 2 against 2 edits of 10: the longer one is closer.
    assert token_error_rate(["a a a a a a a a"], [["x x", "a " * 10]]) == 20.0


def test_empty_lines_are_compared_like_others():
    assert token_error_rate([""], [[""]]) == 0.0
    assert token_error_rate(["a"], [[""]]) == 100.0
    assert token_error_rate(["", "a"], [["b"], ["a"]]) == 50.0
    assert exact_match(["", " "], [[""], [""]]) == 100.0
    for name in ("bleu", "chrf"):
        assert METRICS[name].function(["", ""], [["a"], ["b"]], Options()) == 0.0


def test_a_hypothesis_may_be_more_than_all_wrong():
    assert token_error_rate(["a b c"], [["d"]]) == 300.0


def test_lowercase_compares_without_case_everywhere():
    hypotheses, references = ["The CAT sat down here"], [["the cat sat down here"]]
    for name, metric in METRICS.items():
        best = 100.0 if metric.higher_is_better else 0.0
        same = metric.function(hypotheses, references, Options(lowercase=True))
        other = metric.function(hypotheses, references, Options())
        assert same == pytest.approx(best), name
        # ROUGE and what is said again know no case.
        assert (other == pytest.approx(best)) == metric.extra, name


def test_bleu_and_chrf_are_sacrebleus_with_its_signature():
    hypotheses = ["the cat sat on a mat .", "hello there world"]
    references = [["the cat sat on the mat ."], ["hello world there", "hi there world"]]
    streams = [
        ["the cat sat on the mat .", "hello world there"],
        [None, "hi there world"],
    ]
    measured = measure(
        ["bleu", "chrf"], hypotheses, references, Options(tokenize="none")
    )
    bleu = sacrebleu.BLEU(tokenize="none", force=True)
    chrf = sacrebleu.CHRF()
    for name, scorer in (("bleu", bleu), ("chrf", chrf)):
        expected = scorer.corpus_score(hypotheses, streams).score
        assert math.isclose(measured[name].value, expected)
        assert measured[name].signature == str(scorer.get_signature())
    assert "nrefs:var" in measured["bleu"].signature
    assert "tok:none" in measured["bleu"].signature


def test_tokens_are_the_target_tokenisers_and_words_for_subwords():
    hypotheses, references = ["ab cé"], [["ab cd"]]
    for tokenizer, rate in (("char", 20), ("byte", 40), ("word", 50)):
        options = Options(units=units_of(tokenizer))
        assert token_error_rate(hypotheses, references, options) == rate
    assert units_of("sentencepiece") is units_of("word")


@pytest.mark.parametrize("name", sorted(METRICS))
@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        (["a"], [["a"], ["b"]], "1 hypotheses and 2 references"),
        ([], [], "no line"),
        (["a"], [[]], "line 1 has no reference"),
    ],
)
def test_what_cannot_be_compared_is_refused(name, hypotheses, references, message):
    with pytest.raises(InputError, match=message):
        METRICS[name].function(hypotheses, references, Options())


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'bleu'"):
        measure(["blue"], ["a"], [["a"]])
    with pytest.raises(InputError, match="did you mean 'none'"):
        measure(["bleu"], ["a"], [["a"]], Options(tokenize="non"))


def test_a_tokenisation_that_needs_more_software_is_refused_not_a_crash():
    pytest.importorskip("sacrebleu")
    try:
        import MeCab  # noqa: F401
    except ImportError:
        with pytest.raises(InputError, match="ja-mecab"):
            measure(["bleu"], ["a"], [["a"]], Options(tokenize="ja-mecab"))
