"""Sentence vectors: what they are of, whatever stands beside them."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from predictors import TINY, predictor, texts

from seq2seq_jax.errors import InputError
from seq2seq_jax.inference.vectors import POOLS
from seq2seq_jax.nn import model

LINES = [*texts(20), "", "a"]


def annotations(made, text):
    """Of one text by itself: `[S, C]`, and the last outputs of both directions."""
    ids = jnp.array([*made.source_tokenizer.encode(text), 2])[None]
    encoded = model.encode(made.params, made.config, ids, jnp.ones(ids.shape, bool))
    ends = [carry[-1][0] for carry in encoded.carry[-1]]
    return np.asarray(encoded.annotations[0]), np.concatenate(ends)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_vector_is_its_texts_alone(cell, pool):
    made = predictor(replace(TINY, cell=cell, encoder_layers=2))
    found = list(made.encode(LINES, pool, window=7))
    assert len(found) == len(LINES) and found[0].dtype == np.float32
    for text, vector in zip(LINES, found, strict=True):
        every, ends = annotations(made, text)
        expected = {"mean": every.mean(0), "max": every.max(0), "last": ends}[pool]
        np.testing.assert_allclose(vector, expected, rtol=1e-5, atol=1e-5)


def test_what_cannot_be_encoded_is_refused():
    with pytest.raises(InputError, match="one of last, max, mean"):
        predictor().encode(LINES, "min")
    with pytest.raises(InputError, match="one string"):
        predictor().encode("abc")
