"""The tree of a beam search holds the search's outputs, and only what it tried."""

import numpy as np
import pytest
from predictors import TINY, close, predictor, texts

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.inference.history import search_tree


@pytest.fixture(scope="module")
def model():
    return predictor(max_length=8)


def path(tree, node):
    """The nodes that lead to a node, the first one first."""
    before = [] if node.parent is None else path(tree, tree[node.parent])
    return [*before, node]


@pytest.mark.parametrize(
    "wishes",
    [
        {"beam_size": 4, "n_best": 2},
        {"beam_size": 1, "n_best": 1},
        {"beam_size": 3, "n_best": 3, "min_output_length": 4, "no_repeat_ngram": 2}
        | {"coverage_penalty": 0.5, "length_penalty": 0.3},
    ],
)
def test_the_tree_holds_the_outputs_of_the_search(model, wishes):
    lines = texts(3, longest=6)
    for line, every in zip(lines, model.translate(lines, **wishes), strict=True):
        found = search_tree(model, line, **wishes)
        for rank, (one, other) in enumerate(zip(found.hypotheses, every, strict=True)):
            close(one, other)
            (leaf,) = (node for node in found.tree if node.rank == rank)
            assert [node.piece for node in path(found.tree, leaf)] == one.pieces
            np.testing.assert_allclose(leaf.log_prob, one.log_prob, atol=1e-5)
            numbers = found.token_log_probs[rank]
            assert len(numbers) == len(one.tokens) and (numbers <= 0).all()
            np.testing.assert_allclose(numbers.sum(), one.log_prob, atol=1e-5)
            said = next(model.score([line], [one.text]))
            if said.pieces == one.pieces:  # the text is read as these pieces
                np.testing.assert_allclose(numbers, said.token_log_probs, atol=1e-4)


def test_a_node_follows_its_parent_and_is_no_more_probable(model):
    found = search_tree(model, "abcdef", beam_size=4, n_best=2)
    for place, node in enumerate(found.tree):
        if node.parent is None:
            assert node.step == 0
            continue
        parent = found.tree[node.parent]
        assert node.parent < place
        assert (parent.step + 1, parent.ended) == (node.step, False)
        assert node.log_prob <= parent.log_prob + 1e-6
    steps = [node.step for node in found.tree if not node.ended]
    assert max(np.bincount(steps)) <= 4
    assert sorted(n.rank for n in found.tree if n.rank is not None) == [0, 1]


def test_nothing_to_search_for_has_no_tree(model):
    for line in ("", "  "):
        assert search_tree(model, line, beam_size=2, n_best=1).tree == []


def test_a_model_without_attention_has_a_tree_too():
    plain = ModelConfig(
        hidden_size=8, embedding_size=8, attention="none", decoder="plain"
    )
    found = search_tree(predictor(plain, max_length=8), "abc", beam_size=2, n_best=2)
    assert found.tree and TINY.attention != plain.attention


def test_options_that_cannot_be_are_refused(model):
    with pytest.raises(InputError, match="n_best is 3, expected 1 to beam_size"):
        search_tree(model, "abc", beam_size=2, n_best=3)
    with pytest.raises(InputError, match=r"temperature is .*, expected none"):
        search_tree(model, "abc", beam_size=2, n_best=1, temperature=1.0)
