"""Unknown words replaced by what attention looked at."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from predictors import TINY, close, predictor, texts

from seq2seq_jax.commands.decoding import pharaoh
from seq2seq_jax.data import tokenizers
from seq2seq_jax.errors import InputError
from seq2seq_jax.inference import unknown
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.inference.results import Hypothesis
from seq2seq_jax.nn import model
from seq2seq_jax.types import EOS, UNK

WORDS = tokenizers.train("word", ["der Hund bellt laut the dog barks"])
CHARACTERS = tokenizers.train("char", ["abc "])
ATTENTION_FREE = [("none", "plain"), ("last", "bahdanau")]
THE, DOG = WORDS.encode("the dog")


def said(tokens, weights, tokenizer=WORDS):
    """A hypothesis of tokens and of where each looked; the last column is EOS."""
    return Hypothesis(
        text=tokenizer.decode(tokens),
        tokens=tokens,
        pieces=tokenizer.pieces(tokens),
        score=-1.0,
        log_prob=-2.0,
        alignment=np.asarray(weights, np.float32),
        source_pieces=[],
    )


replaced = functools.partial(
    unknown.replaced,
    dictionary={"Schnorchel": "snorkel", "gut": "very good"},
    source_tokenizer=WORDS,
    target_tokenizer=WORDS,
)


def test_unk_becomes_the_dictionarys_entry_or_a_copy():
    one = said(
        [THE, UNK, UNK, DOG, UNK, EOS],
        [
            [1, 0, 0, 0],
            [0, 0.1, 0.9, 0],  # Xaver: no entry
            [0.1, 0.5, 0.4, 0],
            [1, 0, 0, 0],
            [0.9, 0, 0, 0.1],
            [0, 0, 0, 1],
        ],
    )
    assert one.text == "the <unk> <unk> dog <unk>"
    new = replaced(one, "gut  Schnorchel Xaver")
    assert new.text == "the Xaver snorkel dog very good"
    for name in ("tokens", "pieces", "score", "log_prob"):
        assert getattr(new, name) == getattr(one, name)


def test_neither_the_end_nor_what_was_cut_off_is_copied():
    one = said([UNK, EOS], [[0.1, 0.2, 0.7], [0, 0, 1]])  # most looks at EOS
    assert replaced(one, "ein Mops").text == "Mops"
    assert replaced(one, "ein Mops kam in die Küche").text == "Mops"


def test_a_token_that_looked_at_no_word_has_no_hard_alignment():
    weights = [[0, 0, 1], [0.1, 0.2, 0.7], [0, 0, 0], [0, 0, 1]]
    assert pharaoh(said([THE, DOG, DOG, EOS], weights)) == "1-1"


def test_where_no_word_has_weight_unk_stays():
    one = said([UNK, UNK, EOS], [[0, 0, 1], [0, 0.2, 0.8], [0, 0, 1]])
    assert replaced(one, "ein Mops").text == "<unk> Mops"


@pytest.mark.parametrize(("attention", "decoder"), ATTENTION_FREE)
def test_a_model_that_looks_nowhere_has_nothing_to_copy_or_to_cover(attention, decoder):
    one = predictor(dataclasses.replace(TINY, attention=attention, decoder=decoder))
    for option in ({"replace_unk": True}, {"coverage_penalty": 0.2}):
        with pytest.raises(InputError, match=f"model.attention is '{attention}'"):
            one.translate(["a"], **option)
    (line,) = one.translate(["a"])
    assert line[0].alignment is None
    (line,) = one.score(["a"], ["b"])
    assert line.alignment is None


def test_without_unk_nothing_changes():
    one = said([THE, DOG, EOS], np.ones((3, 2)))
    assert replaced(one, "Hund") == one


def test_words_are_looked_up_as_the_model_reads_them(tmp_path):
    lower = tokenizers.train("word", ["der hund"], lowercase=True)
    path = tmp_path / "lexicon.tsv"
    path.write_text("Katze\tcat\nkatze\tpuss\nMops \t pug dog\n", encoding="utf-8")
    words = unknown.read_dictionary(path, lower)
    assert words == {"katze": "cat", "mops": "pug dog"}
    one = said([UNK, UNK, EOS], [[0.9, 0.1, 0], [0.2, 0.8, 0], [0, 0, 1]], lower)
    args = {"source_tokenizer": lower, "target_tokenizer": lower}
    new = replaced(one, "KATZE Möwe", dictionary=words, **args)
    assert new.text == "cat möwe"


def test_characters_are_copied_one_by_one():
    weights = [[0.6, 0.4, 0, 0], [0.6, 0.4, 0, 0], [0, 0.2, 0.8, 0], [0, 0, 0, 1]]
    one = said([4, UNK, UNK, EOS], weights, CHARACTERS)
    args = {"source_tokenizer": CHARACTERS, "target_tokenizer": CHARACTERS}
    first = CHARACTERS.decode([4])
    assert one.text == f"{first}⁇⁇"
    assert replaced(one, "xyz", **args).text == f"{first}xz"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\nc\n", "line 2 has 1 column, expected 2: source word<TAB>target word"),
        ("a\tb\tc\n", "line 1 has 3 columns, expected 2"),
        ("a\tb\n \tc\n", "line 2: the source word is empty"),
        ("a\t\n", "line 1: the target word is empty"),
        ("", "is empty, expected at least one line"),
        ("a\tb\nc\t\udcff\n", "line 2 is not UTF-8"),
    ],
)
def test_a_bad_dictionary_is_refused_with_its_line(tmp_path, text, message):
    path = tmp_path / "lexicon.tsv"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(InputError, match=message):
        unknown.read_dictionary(path, WORDS)


def prone(**config):
    """A predictor that says UNK often."""
    one = predictor(dataclasses.replace(TINY, **config))
    one.params["head"]["bias"] = one.params["head"]["bias"].at[UNK].add(4.0)
    return one


@pytest.mark.parametrize("way", [{"beam_size": 4}, {"temperature": 1.0, "seed": 1}])
def test_outputs_are_replaced_in_any_batch_by_any_search(way):
    model_, lines = prone(), texts(30)
    options = {"n_best": 3, "replace_unk": True} | way
    found = list(model_.translate(lines, **options))
    plain = list(model_.translate(lines, **options | {"replace_unk": False}))
    seen = 0
    for line, many, before in zip(lines, found, plain, strict=True):
        for one, other in zip(many, before, strict=True):
            close(dataclasses.replace(one, text=other.text), other)
            tokens = one.tokens[:-1]
            assert len(one.text) == len(tokens)
            for time, (token, letter) in enumerate(zip(tokens, one.text, strict=True)):
                if token == UNK:
                    seen += 1
                    assert letter == line[one.alignment[time, :-1].argmax()]
                else:
                    assert letter == other.text[time]
    assert seen > 30
    for line, many in list(zip(lines, found, strict=True))[::7]:
        if "temperature" not in way:  # a sample depends on its place
            (alone,) = model_.translate([line], **options)
            assert [one.text for one in alone] == [one.text for one in many]


def test_replacing_needs_no_alignment_in_the_result():
    model_ = prone()
    for wanted in (True, False):
        found = model_.translate(["abcd"], replace_unk=True, alignments=wanted)
        ((one,),) = list(found)
        assert (one.alignment is not None) == wanted
        assert "⁇" not in one.text


def test_where_nothing_can_be_replaced_it_is_refused():
    with pytest.raises(InputError, match="model has none"):
        prone(attention="none").translate(["a"], replace_unk=True)
    bytes_ = tokenizers.train("byte", [])
    params = model.init_params(jax.random.key(0), TINY, bytes_.size, bytes_.size)
    model_ = Predictor(params, TINY, bytes_, bytes_)
    with pytest.raises(
        InputError, match="'byte', expected one of char, char_features, "
    ):
        model_.translate(["a"], replace_unk=True)
    with pytest.raises(InputError, match="a dictionary is given, but replace_unk"):
        predictor().translate(["a"], dictionary={"a": "b"})
