"""Laws of the alignment error rate, and of links between words."""

import random

import numpy as np
import pytest

from seq2seq_jax.data import tokenizers
from seq2seq_jax.errors import InputError
from seq2seq_jax.evaluation import aer


def test_an_alignment_has_no_error_against_itself():
    draw = random.Random(0)
    for _ in range(20):
        links = {(draw.randrange(5), draw.randrange(5)) for _ in range(6)}
        line = " ".join(f"{i}-{j}" for i, j in links)
        gold = aer.parse(line)
        assert aer.rates([gold.possible], [gold]) == (0.0, 100.0, 100.0)


@pytest.mark.parametrize(
    ("found", "gold", "possible", "rate"),
    [
        ("0-0 1-1", "0-0 1-1", "", 0),
        ("0-0", "1-1", "", 100),
        ("0-0 1-1", "0-0 1?1", "", 0),  # 1 - (1 + 2) / (2 + 1)
        ("0-0 1-1", "0-0", "1-1", 0),
        ("0-0 2-2", "0-0 1-1", "", 50),  # 1 - (1 + 1) / (2 + 2)
        ("0-0 1-2 2-1", "0-0 1-1 2?1", "", 40),  # 1 - (1 + 2) / (3 + 2)
        ("", "0-0", "", 100),
        ("", "", "", 0),
    ],
)
def test_by_hand(found, gold, possible, rate):
    links = aer.parse(found).possible
    measured = aer.rates([links], [aer.parse(gold, possible)])
    assert measured.aer == pytest.approx(rate, abs=1e-9)


def test_lines_are_summed_up():
    gold = [aer.parse("0-0"), aer.parse("0-0 1-1 2-2")]
    found = [aer.parse("0-1").possible, gold[1].sure]
    assert aer.rates(found, gold).aer == pytest.approx(25.0)  # 1 - 6 / 8


def test_units_belong_to_the_words_of_the_line():
    text = "été  le chat"
    trained = {
        kind: tokenizers.train(kind, [text] * 20, 24)
        for kind in ("char", "byte", "word", "sentencepiece")
    }
    for kind, one in trained.items():
        units = one.written(text)
        assert len(units) == len(one.encode(text))
        words = aer.words_of(units, "▁" if one.units is None else "")
        told = {word for word in words if word is not None}
        assert told == {0, 1, 2}, kind
        for word, whole in enumerate(text.split()):
            parts = [u for u, w in zip(units, words, strict=True) if w == word]
            assert "".join(parts).strip(" ▁") == whole


def test_words_are_linked_where_any_of_their_tokens_are():
    weights = np.array([[0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0, 0, 1], [0, 0, 1]])
    assert aer.hard(weights, [0, 1], [0, 0, 1]) == {(0, 0), (1, 0)}
    assert aer.hard(weights, [0, 0], [0, 0, 1]) == {(0, 0)}
    assert aer.hard(weights, [0, None], [0, 0, 1]) == {(0, 0)}


def test_what_is_no_alignment_is_refused():
    with pytest.raises(InputError, match="gold, line 2 is no alignment"):
        aer.read(["0-0", "0:0"], "gold")
    with pytest.raises(InputError, match="line 1"):
        aer.read(["1-2-3"], "gold")
