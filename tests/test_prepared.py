"""Parameters laid out for inference: the same model, for fewer products."""

import dataclasses

import jax
import numpy as np
import pytest
from predictors import TINY, close, params_of, predictor, texts

from seq2seq_jax.errors import InputError
from seq2seq_jax.nn import model

BFLOAT = dataclasses.replace(TINY, dtype="bfloat16")
LINES = texts(20)


@pytest.mark.parametrize("tied", ["none", "all"])
def test_products_in_bfloat16_are_those_of_a_model_in_bfloat16(tied):
    config = dataclasses.replace(TINY, tied_embeddings=tied)
    asked, trained, exact = (
        list(predictor(other, dtype=dtype).translate(LINES, beam_size=3))
        for other, dtype in (
            (config, "bfloat16"),
            (dataclasses.replace(config, dtype="bfloat16"), None),
            (config, None),
        )
    )
    for (one,), (other,) in zip(asked, trained, strict=True):
        close(one, other)
    scores = [[one.score for (one,) in found] for found in (asked, exact)]
    assert scores[0] != scores[1]


def test_matrices_are_cast_once_and_embeddings_are_not():
    params = params_of(BFLOAT)
    found = model.prepared(params, BFLOAT)
    assert found["head"]["kernel"].dtype == "bfloat16"
    assert found["head"]["bias"].dtype == "float32"
    assert found["target"]["table"] is params["target"]["table"]
    assert found["target"]["shares"].shape == (len(params["target"]["table"]), 32)


def test_a_large_vocabulary_has_no_table_of_shares():
    params = params_of(TINY)
    numbers = len(params["target"]["table"]) * 32
    assert "shares" in model.prepared(params, TINY, numbers)["target"]
    assert "shares" not in model.prepared(params, TINY, numbers - 1)["target"]


def test_the_parameters_given_stay_as_they_are():
    params = params_of(TINY)
    before = jax.tree.map(np.array, params)
    model.prepared(params, BFLOAT)
    jax.tree.map(np.testing.assert_array_equal, params, before)


def test_another_type_is_refused():
    with pytest.raises(InputError, match="dtype is 'float16', expected one of bfloat"):
        predictor(dtype="float16")
