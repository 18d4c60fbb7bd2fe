"""Several attentions side by side: their equations, and what kind their parameters are.

The transcription is written from the papers, number by number, and knows nothing of how
the package parts its arrays but where each head's own parameters stand in them.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import assert_close

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import attention, layers
from seq2seq_jax.nn.alignments import ALIGNMENTS
from seq2seq_jax.nn.scores import SCORES
from seq2seq_jax.training.optimizer import is_matrix
from seq2seq_jax.types import EncoderOutput

HEADS, SIZE, UNITS, SOURCE = 4, 8, 3, 5
RNMT = ModelConfig(attention="additive", attention_heads=HEADS, attention_size=UNITS)
VASWANI = ModelConfig(attention="scaled_dot", attention_heads=HEADS)


def drawn(config, query_size=SIZE, value_size=SIZE):
    """Parameters, a query and annotations, random and in float64."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(
        lambda key: attention.init(
            key, config, query_size, value_size, layers.initializers()
        ),
        jax.random.key(0),
    )
    params = jax.tree.map(lambda leaf: rng.normal(0, 1, leaf.shape), shapes)
    return params, rng.normal(0, 1, query_size), rng.normal(0, 1, (SOURCE, value_size))


def attended(config, params, query, annotations):
    """What the package finds: the mean weights and the context."""
    mask = np.ones(len(annotations), bool)
    read = attention.memory(params, config, EncoderOutput(annotations, (), mask))
    state = attention.initial_state(config, read, query)
    state, context = attention.attend(params, config, read, query, state)
    return state.weights, context


def part_of_product(vector, matrix, head, width):
    """The head's `width` numbers of x W: sum_i x_i W[i, head width + j]."""
    made = []
    for j in range(width):
        column = head * width + j
        made.append(sum(vector[i] * matrix[i, column] for i in range(len(vector))))
    return made


def mixed(energies, values):
    """`(weights, context)`: a softmax, and the values' sum by it."""
    total = sum(np.exp(e) for e in energies)
    weights = [np.exp(e) / total for e in energies]
    width = len(values[0])
    return weights, [
        sum(a * value[j] for a, value in zip(weights, values, strict=True))
        for j in range(width)
    ]


def side_by_side(looked):
    """The heads' weights on average, their contexts one after the other."""
    contexts = [number for _, context in looked for number in context]
    means = [np.mean([w[s] for w, _ in looked]) for s in range(SOURCE)]
    return np.array(means), np.array(contexts)


def rnmt(params, query, annotations):
    """Chen et al. 2018, section 4.1: additive attention (Bahdanau 2014, A.1.2) by head.

    x_s^n = W_v^n h_s is key and value;  e_s^n = v^n . tanh(W^n W_q^n q + U^n x_s^n).
    """
    score = params["heads"]["score"]
    width = SIZE // HEADS
    looked = []
    for n in range(HEADS):
        asked = part_of_product(query, params["query"], n, width)
        seen = [part_of_product(h, params["values"], n, width) for h in annotations]
        energies = []
        for x in seen:
            energy = 0.0
            for unit in range(UNITS):
                inner = sum(
                    asked[i] * score["query"][n, i, unit]
                    + x[i] * score["kernel"][n, i, unit]
                    for i in range(width)
                )
                energy += score["v"][n * UNITS + unit] * np.tanh(inner)
            energies.append(energy)
        looked.append(mixed(energies, seen))
    return side_by_side(looked)


def vaswani(params, query, annotations):
    """Vaswani et al. 2017, section 3.2.2, with W_k = W_v; W_o is left to decoders."""
    width = SIZE // HEADS
    looked = []
    for n in range(HEADS):
        asked = part_of_product(query, params["query"], n, width)
        seen = [part_of_product(h, params["values"], n, width) for h in annotations]
        energies = [
            sum(a * b for a, b in zip(asked, x, strict=True)) / np.sqrt(width)
            for x in seen
        ]
        looked.append(mixed(energies, seen))
    return side_by_side(looked)


@pytest.mark.parametrize(("config", "paper"), [(RNMT, rnmt), (VASWANI, vaswani)])
def test_several_heads_are_the_papers_equations(config, paper):
    with jax.enable_x64(True):
        arguments = drawn(config)
        found, expected = attended(config, *arguments), paper(*arguments)
        assert_close(found, expected, 1e-12)


@pytest.mark.parametrize("config", [RNMT, VASWANI])
def test_the_gradient_of_heads_is_that_of_the_equations(config):
    paper = rnmt if config is RNMT else vaswani
    with jax.enable_x64(True):
        params, query, annotations = drawn(config)
        slopes = jax.grad(
            lambda *args: attended(config, *args)[1].sum(), argnums=(0, 1, 2)
        )(params, query, annotations)
        direction = drawn(config)[0], np.cos(query), np.sin(annotations)
        ahead, behind = (
            jax.tree.map(
                lambda x, d, sign=sign: x + sign * 1e-6 * d,
                (params, query, annotations),
                direction,
            )
            for sign in (1, -1)
        )
        slope = (paper(*ahead)[1].sum() - paper(*behind)[1].sum()) / 2e-6
        products = jax.tree.map(lambda g, d: np.sum(g * d), slopes, direction)
        assert_close(sum(jax.tree.leaves(products)), slope, 1e-7)


def of_one(config):
    """The parameters of a head's own score and alignment."""
    inits = layers.initializers()
    return attention.one_head_init(jax.random.key(0), config, 4, 4, inits)


EVERY = [{"attention": kind} for kind in SCORES if kind != "none"]
EVERY += [{"alignment": kind} for kind in ALIGNMENTS]


@pytest.mark.parametrize("changes", EVERY, ids=lambda x: next(iter(x.values())))
def test_a_heads_vectors_are_no_matrices(changes):
    """Weight decay and bfloat16 leave them alone, as those of one head."""
    config = replace(ModelConfig(window=1, positions=4), **changes)
    one = of_one(config)
    several = drawn(replace(config, attention_heads=2))[0]["heads"]
    assert is_matrix(several) == is_matrix(one)
    types = [
        jax.tree.map(lambda leaf: leaf.dtype, layers.cast_kernels(tree, "bfloat16"))
        for tree in (one, jax.tree.map(jnp.float32, several))
    ]
    assert types[0] == types[1]


@pytest.mark.parametrize("changes", EVERY, ids=lambda x: next(iter(x.values())))
def test_each_head_starts_as_one_does(changes):
    config = replace(ModelConfig(window=1, positions=4), **changes, attention_heads=2)
    inits = layers.initializers()
    params = attention.init(jax.random.key(0), config, 8, 8, inits)
    keys = jax.random.split(jax.random.split(jax.random.key(0), 3)[0], 2)
    for head, key in enumerate(keys):
        expected = attention.one_head_init(key, config, 4, 4, inits)
        own = jax.tree.map(lambda x, n=head: x[n], attention.by_head(params, config))
        assert_close(own, expected)
