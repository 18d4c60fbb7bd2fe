"""What a training step costs: in memory as vocabularies grow, in FLOPs as targets do.

All of the recipe `text`, its largest batch unless another is named, on one CPU.
"""

import math
import re
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seq2seq_jax.config import Config
from seq2seq_jax.nn import heads, layers
from seq2seq_jax.planning import costs, hlo, memory, programs
from seq2seq_jax.training import parallel
from seq2seq_jax.types import Sums

SMALL, LARGE = 8000, 50_000
READOUT = 256  # numbers of the attentional vector that the logits are made of
TENSOR = re.compile(r"tensor<((?:\d+x)+)")  # of StableHLO


def config_of(vocabulary):
    config = Config()
    return replace(config, data=replace(config.data, vocab_size=vocabulary))


def step_of(config, shape):
    """The mapped training step and the shapes of its arguments."""
    here = parallel.local(jax.devices("cpu")[:1])
    return programs.train_step(config, here, shape)


class Step(NamedTuple):
    """A compiled training step: its batch, what its state holds, both its texts."""

    shape: programs.Shape
    sizes: programs.Sizes
    built: memory.Built
    lowered: str


def build(vocabulary):
    config = config_of(vocabulary)
    shape = programs.shapes(config)[-1]
    step, arguments = step_of(config, shape)
    lowered = step.lower(*arguments)
    sizes = programs.sizes(arguments[0])
    return Step(shape, sizes, memory.compiled(lowered), lowered.as_text())


@pytest.fixture(scope="module")
def small():
    return build(SMALL)


@pytest.fixture(scope="module")
def large():
    return build(LARGE)


def elements(text):
    """How many numbers each array of a lowered program has."""
    return {
        math.prod(int(n) for n in dims.split("x") if n) for dims in TENSOR.findall(text)
    }


@pytest.mark.slow
def test_a_larger_vocabulary_costs_its_parameters_and_optimizer_state(small, large):
    """Gradients are not added: most of them lie where activations have been.

    In a batch of half as many tokens they find less room, and it would not be true.
    """
    more = large.sizes.parameter_bytes - small.sizes.parameter_bytes
    more += large.sizes.optimizer_bytes - small.sizes.optimizer_bytes
    expected = small.built.memory.peak + more
    assert abs(large.built.memory.peak / expected - 1) < 0.15


@pytest.mark.slow
def test_nothing_in_a_step_is_larger_than_the_output_layer(large):
    """So no logits `[B, T, V]`, and no half of them: B T is many times R."""
    compiled = {array.elements for array in hlo.arrays(large.built.text)}
    for found in (elements(large.lowered), compiled):
        assert max(found) == READOUT * LARGE
    assert large.shape.rows * large.shape.target > 15 * READOUT


def whole_logits(readout, kernel, bias, targets, mask, label_smoothing=0.0, cut=None):
    """The loss as autodiff has it, with all logits in memory."""
    logits = layers.matmul(readout, kernel) + bias
    each = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
    loss = jnp.sum(jnp.where(mask, each, 0.0))
    correct = jnp.sum(mask & (jnp.argmax(logits, -1) == targets), dtype=jnp.float32)
    return Sums(loss, loss, correct, jnp.sum(mask, dtype=jnp.float32))


def test_logits_of_all_tokens_would_be_seen(monkeypatch):
    monkeypatch.setattr(heads, "linear_cross_entropy", whole_logits)
    config = config_of(LARGE)
    shape = programs.shapes(config)[-1]
    step, arguments = step_of(config, shape)
    found = elements(step.lower(*arguments).as_text())
    assert max(found) == shape.rows * shape.target * LARGE


@pytest.mark.parametrize("same", ["rows", "tokens"])
def test_flops_of_a_token_do_not_grow_with_its_sentence(same):
    """In batches of as many rows for all lengths, and of as many tokens.

    What grows is a token's attention, by 4 % of it all; what shrinks, the share of
    the loss's last chunk, which is counted as full.
    """
    found = []
    for length in (25, 50, 100, 200, 400):
        rows = 64 if same == "rows" else 6400 // length
        shape = programs.Shape(rows, length, length)
        step, arguments = step_of(config_of(SMALL), shape)
        flops = costs.flops(jax.make_jaxpr(step)(*arguments).jaxpr)
        found.append(flops / (shape.rows * shape.target))
    assert max(found) < 1.15 * min(found), found


def test_a_lookup_s_gradient_is_autodiff_s():
    draw = np.random.default_rng(0)
    table, weights = draw.normal(size=(7, 3)), draw.normal(size=(2, 5, 3))
    ids = draw.integers(0, 6, (2, 5))  # some often, one never

    def slope(look_up):
        return jax.grad(lambda table: jnp.sum(look_up(table, ids) * weights))(table)

    plain = slope(lambda table, ids: jnp.asarray(table)[ids])
    np.testing.assert_allclose(slope(layers.embed), plain, rtol=1e-6)
    assert not plain[6].any()
