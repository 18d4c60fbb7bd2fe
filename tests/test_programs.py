"""How many programs a search of many lines needs: what jit tells calls apart by."""

import functools
import random

import jax
import numpy as np
import pytest
from predictors import LETTERS, predictor

from seq2seq_jax.inference import batching
from seq2seq_jax.inference.ensemble import Ensemble
from seq2seq_jax.types import EOS, Hypotheses

MOST = 8
LONGEST = 100
OPTIONS = [
    {"beam_size": 1},
    {"n_best": 5, "token_log_probs": True},
    {"forbidden": ("a", "bc", "def")},
    {"repetition_penalty": 1.3, "no_repeat_ngram": 3},
    {"min_output_ratio": 0.5, "max_output_ratio": 2.5},
    {"min_output_length": 3, "coverage_penalty": 0.2},
    {"beam_size": 6, "groups": 3},
    {"temperature": 1.0, "top_k": 5, "n_best": 4},
    {"places": "lost", "prune": 3.0},
    {"required": True},
    {"prefixes": True},
]


def lines(count, seed=0):
    rng = random.Random(seed)
    return [
        "".join(rng.choices(LETTERS, k=rng.randint(0, LONGEST - 1)))
        for _ in range(count)
    ]


def counted(model, told):
    """A model that searches for nothing, and tells what programs it would compile."""

    def decode(*arguments, config, choices):
        leaves, tree = jax.tree.flatten(arguments)
        shapes = tuple((np.shape(x), str(x.dtype)) for x in leaves[parameters:])
        told.add((tree, shapes, config, choices))
        rows, n, longest = len(arguments[3]), choices.n_best, choices.max_length
        numbers = np.zeros((rows, n), np.float32)
        return Hypotheses(
            tokens=np.full((rows, n, longest), EOS, np.int32),
            scores=numbers,
            log_probs=numbers,
            lengths=np.ones((rows, n), np.int32),
            alignments=np.zeros((rows, n, 1, LONGEST), np.float32),
            token_log_probs=np.zeros((rows, n, 1), np.float32),
        )

    parameters = len(jax.tree.leaves(model.params))
    model.begin_search = functools.partial(model.begin_search, decode=decode)
    return model


CASES = [
    (1, 10_000, {}),
    *((1, 1500, options) for options in OPTIONS),
    (2, 1500, {}),
    (2, 1500, {"required": True, "no_repeat_ngram": 3}),
]


@pytest.mark.parametrize(("members", "count", "options"), CASES)
def test_many_lines_need_few_programs(members, count, options):
    sizes = {"max_length": LONGEST, "length_ratio": 1.5, "warn": lambda line: None}
    each = [predictor(seed=seed, **sizes) for seed in range(members)]
    model = each[0] if members == 1 else Ensemble(each, warn=lambda line: None)
    told, given = set(), lines(count)
    wishes = options | {
        name: make(given)
        for name, make in [("required", phrases), ("prefixes", beginnings)]
        if name in options
    }
    model = counted(model, told)
    found = list(model.translate(given, window=700, **wishes))
    assert len(found) == len(given)
    assert 1 < len(told) <= len(batching.length_edges(LONGEST)) + 1 <= MOST


def phrases(given):
    """For each line up to three of some letters."""
    rng = random.Random(1)
    return [
        ["".join(rng.choices(LETTERS, k=3)) for _ in range(rng.randint(0, 3))]
        for _ in given
    ]


def beginnings(given):
    return [line[: len(line) // 3] for line in given]
