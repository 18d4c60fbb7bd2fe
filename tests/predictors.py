"""Predictors of tiny models with random parameters, and texts for them."""

import random

import jax
import numpy as np

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.data import tokenizers
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.nn import model

LETTERS = "abcdefghijklmnop"
TINY = ModelConfig(hidden_size=8, embedding_size=8, attention="general")


def tokenizer():
    return tokenizers.train("char", [LETTERS + " "], 40)


def params_of(config, seed=0):
    size = tokenizer().size
    params = model.init_params(jax.random.key(seed), config, size, size)
    # Larger weights: outputs then differ in length and from text to text.
    return jax.tree.map(lambda x: 3.0 * x, params)


def predictor(config=TINY, seed=0, **options):
    options = {"max_length": 16, "length_ratio": 1.5} | options
    both = (tokenizer(), tokenizer())
    return Predictor(params_of(config, seed), config, *both, **options)


def texts(count, longest=14, seed=0):
    rng = random.Random(seed)
    return [
        "".join(rng.choices(LETTERS, k=rng.randint(1, longest))) for _ in range(count)
    ]


def close(one, other):
    """Equal up to rounding: shapes of products may differ."""
    assert one.tokens == other.tokens
    assert one.text == other.text
    np.testing.assert_allclose(one.score, other.score, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(one.log_prob, other.log_prob, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(one.alignment, other.alignment, atol=1e-4)
    assert one.source_pieces == other.source_pieces
