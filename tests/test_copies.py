"""Words that no vocabulary has: copied from their source, read, scored and kept."""

import re
from dataclasses import replace

import jax
import numpy as np
import pytest

from seq2seq_jax.config import Config, DataConfig, ModelConfig
from seq2seq_jax.data import pipeline, tokenizers
from seq2seq_jax.data.copies import beside
from seq2seq_jax.errors import InputError
from seq2seq_jax.exporting import folder
from seq2seq_jax.inference.ensemble import Ensemble
from seq2seq_jax.inference.history import search_tree
from seq2seq_jax.inference.options import Search
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.nn import model
from seq2seq_jax.types import UNK

WORDS = tokenizers.train("word", ["a b c d e f"], 40)
MODEL = ModelConfig(
    hidden_size=8,
    embedding_size=8,
    attention="additive",
    decoder="see",
    head="pointer",
)
TEXTS = ["a zoo is near", "zoo zoo a b", "c", "none of them known but a", "", "a b"]


def predictor(seed=0, gate=-2.0, config=MODEL):
    """Random parameters, and a gate that would rather copy."""
    params = model.init_params(jax.random.key(seed), config, WORDS.size, WORDS.size)
    params = jax.tree.map(lambda x: 3.0 * x, params)
    if "gate" in params["head"]:
        params["head"]["gate"]["bias"] += gate
    return Predictor(params, config, WORDS, WORDS, max_length=12)


@pytest.mark.parametrize("kind", ["word", "word_marks", "char", "char_nfd"])
def test_a_text_comes_back_beside_its_source(kind):
    tokenizer = tokenizers.train(kind, ["ab cd"], 40)
    text = "ab 龍é, 龍 cd Ω"
    _, one = beside(tokenizer, text, 50)
    ids = one.encode(text)
    assert UNK not in ids and max(ids) >= tokenizer.size
    assert one.decode(ids) == text
    assert len(one.pieces(ids)) == len(ids) and all(one.pieces(ids))
    _, other = beside(tokenizer, "nothing of it", 50)
    assert UNK in other.encode(text)


def test_a_unit_has_the_id_of_its_first_position_and_none_beyond_the_room():
    _, one = beside(WORDS, "a zoo b zoo far", 4)
    size = WORDS.size
    assert one.encode("zoo a far zoo") == [
        size + 1,
        WORDS.encode("a")[0],
        UNK,
        size + 1,
    ]


@pytest.mark.parametrize("kind", ["byte", "sentencepiece"])
def test_pieces_of_words_are_as_ever(kind):
    tokenizer = tokenizers.train(kind, ["the cat sat"] * 9, 40)
    _, one = beside(tokenizer, "the 龍", 9)
    assert one.encode("a 龍") == tokenizer.encode("a 龍")


def test_a_corpus_has_the_ids_and_another_one_without_copies(tmp_path):
    rows = ["a zoo is\tzoo a", "b " * 9 + "late\tlate b", "a b\tfar a"]
    (tmp_path / "train.tsv").write_text("".join(f"{row}\n" for row in rows * 2))
    files = {name: str(tmp_path / "train.tsv") for name in ("train_tsv", "dev_tsv")}
    kinds = {"source_tokenizer": "word", "target_tokenizer": "word"}
    data = DataConfig(
        **files,
        **kinds,
        shared_vocab=True,
        min_count=5,
        max_length=6,
        long_lines="drop",
    )
    config = Config(data=data, model=MODEL)
    made = pipeline.prepare(config, tmp_path / "run", lambda line: None)
    size = made.source_tokenizer.size
    assert made.dev.target(0).tolist()[0] == size + 1  # zoo
    assert made.dev.target(1).tolist()[0] == UNK  # late: cut off its source
    assert made.dev.target(2).tolist()[0] == UNK  # far: not in its source
    assert made.dev.source(0).tolist()[1:] == [size + 1, size + 2]
    plain = replace(config, model=ModelConfig())
    other = pipeline.prepare(plain, tmp_path / "run", lambda line: None)
    assert other.dev.target(0).tolist()[0] == UNK
    assert other.fingerprints != made.fingerprints


def test_what_is_said_is_of_the_vocabulary_or_of_the_source():
    made, copied = predictor(), 0
    found = list(made.translate(TEXTS, beam_size=3, n_best=3))
    for text, every in zip(TEXTS, found, strict=True):
        allowed = {*WORDS.tokens, *text.split(), "<unk>"}
        for one in every:
            assert set(one.text.split()) <= allowed
            copied += len(set(one.text.split()) - {*WORDS.tokens, "<unk>"})
            assert len(one.pieces) == len(one.tokens)
    assert copied > 3


def test_a_batch_changes_nothing_and_a_score_is_that_of_the_search():
    made = predictor()
    every = [best for best, *_ in made.translate(TEXTS, beam_size=2)]
    for text, one in zip(TEXTS, every, strict=True):
        if not text:
            continue
        ((alone, *_),) = made.translate([text], beam_size=2)
        assert alone.text == one.text
        np.testing.assert_allclose(alone.log_prob, one.log_prob, 1e-4)
        if "<unk>" not in one.text:
            (score,) = made.score([text], [one.text])
            np.testing.assert_allclose(score.log_prob, one.log_prob, 1e-4)
            assert score.pieces == one.pieces


def test_a_word_of_the_source_is_likelier_than_one_from_nowhere():
    made = predictor()
    here, nowhere = made.score(["a zoo is near"] * 2, ["zoo", "elsewhere"])
    assert here.pieces[0] == "zoo" and nowhere.pieces[0] == "<unk>"
    assert here.token_log_probs[0] > -8


def test_constraints_hold_for_what_is_copied():
    made, text = predictor(), "zoo is zoo is zoo"
    asked = {"no_repeat_ngram": 1, "forbidden": ("a", "<unk>"), "min_output_length": 3}
    ((one, *_),) = made.translate([text], beam_size=3, **asked)
    said = one.text.split()
    assert len(set(said)) == len(said) >= 2 and "a" not in said
    ((begun, *_),) = made.translate([text], prefixes=["is zoo"])
    assert begun.text.startswith("is zoo")


def test_the_tree_of_a_search_shows_what_was_copied():
    made = predictor()
    tree = search_tree(made, "a zoo is near", beam_size=3, n_best=1).tree
    pieces = {node.piece for node in tree}
    assert pieces & {"zoo", "is", "near"}


def test_an_ensemble_of_two_copies_too_but_not_with_one_that_does_not():
    both = Ensemble([predictor(0), predictor(1)])
    for every in both.translate(TEXTS, beam_size=2):
        assert every
    (same,) = Ensemble([predictor(0)] * 2).score(["a zoo"], ["zoo"])
    (one,) = predictor(0).score(["a zoo"], ["zoo"])
    np.testing.assert_allclose(same.log_prob, one.log_prob, 1e-4)
    plain = predictor(config=replace(MODEL, head="vocabulary", decoder="luong"))
    with pytest.raises(InputError, match=re.escape("models of one model.head")):
        Ensemble([predictor(), plain])


def test_a_folder_that_could_not_say_it_is_refused(tmp_path):
    search = Search(2, 1, 1.0, None, True)
    with pytest.raises(InputError, match="cannot say"):
        folder.write(tmp_path / "out", predictor(), search)
