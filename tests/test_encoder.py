"""Laws of the encoder and of the bridges."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from small import assert_close, quick_jit, row_keys
from sweeps import TINY

from seq2seq_jax.nn import bridges, encoder, layers
from seq2seq_jax.nn.cells import CELLS
from seq2seq_jax.types import EncoderOutput

LENGTHS = (6, 3, 1, 0)
E = TINY.embedding_size
SHAPES = {
    "one-way": {"bidirectional": False, "encoder_layers": 1},
    "two-way": {"bidirectional": True, "encoder_layers": 1},
    "deep": {"bidirectional": True, "encoder_layers": 2},
    "residual": {"bidirectional": False, "encoder_layers": 3, "residual": "add"},
    "highway": {"bidirectional": False, "encoder_layers": 2, "residual": "highway"},
    "dense": {"encoder_layers": 3, "residual": "dense"},
    "late": {"encoder_layers": 3, "residual": "add", "residual_from": 3},
    "gnmt": {
        "encoder_layers": 4,
        "bidirectional_layers": 1,
        "residual": "add",
        "residual_from": 3,
    },
    "projected": {"encoder_layers": 2, "encoder_projection": 5},
    "reversed": {"bidirectional": False, "reverse_source": True},
    "reversed deep": {"encoder_layers": 2, "reverse_source": True},
    "zoned": {"zoneout": 0.3},
    "stacks": {"encoder": "stacks", "encoder_layers": 2},
    "deep stacks": {
        "encoder": "stacks",
        "encoder_layers": 3,
        "residual": "add",
        "residual_from": 3,
        "reverse_source": True,
        "encoder_projection": 5,
    },
}
CASES = [(cell, "two-way") for cell in CELLS] + [
    ("lstm", "one-way"),
    ("lstm", "deep"),
    ("gru", "residual"),
    *[("lstm", shape) for shape in list(SHAPES)[4:]],
]


@partial(quick_jit, static_argnums=1)
def encode(params, config, x, mask, key=None):
    return encoder.ENCODERS[config.encoder].encode(params, config, x, mask, key)


def made(config, width=6, fill=0.0):
    """`(params, x, mask)`: random numbers, `fill` on padding, any width."""
    rng = np.random.default_rng(0)
    inits = layers.initializers()
    init = encoder.ENCODERS[config.encoder].init
    shapes = jax.eval_shape(lambda k: init(k, config, inits), jax.random.key(0))
    params = jax.tree.map(
        lambda p: rng.normal(0, 0.7, p.shape).astype(np.float32), shapes
    )
    mask = np.arange(width) < np.array(LENGTHS)[:, None]
    x = np.full((len(LENGTHS), width, E), fill, np.float32)
    x[:, :6] = rng.normal(0, 1, (len(LENGTHS), 6, E))
    return params, np.where(mask[..., None], x, np.float32(fill)), mask


@pytest.mark.parametrize(("cell", "shape"), CASES)
def test_it_is_the_papers_equations_row_by_row(cell, shape):
    config = replace(TINY, cell=cell, **SHAPES[shape])
    params, x, mask = made(config)
    encoded = encode(params, config, x, mask)
    exact = reference.to_float64(params)
    for row, length in enumerate(LENGTHS[:3]):
        annotations, expected = reference.encode(exact, config, x[row, :length])
        assert_close(encoded.annotations[row, :length], annotations, 2e-6)
        ends = [[[p[row] for p in c] for c in layer] for layer in encoded.carry]
        assert_close(ends, expected, 2e-6)


@pytest.mark.parametrize(("cell", "shape"), CASES)
def test_what_stands_in_padding_changes_nothing(cell, shape):
    config = replace(TINY, cell=cell, **SHAPES[shape])
    plain = encode(*split(config, made(config)))
    other = encode(*split(config, made(config, fill=7.0)))
    assert_close(other, plain)  # bit for bit
    assert not plain.annotations[~plain.mask].any()
    assert not any(part[-1].any() for part in jax.tree.leaves(plain.carry))


@pytest.mark.parametrize(("cell", "shape"), CASES)
def test_more_padding_changes_nothing(cell, shape):
    config = replace(TINY, cell=cell, **SHAPES[shape])
    plain = encode(*split(config, made(config)))
    wide = encode(*split(config, made(config, width=9, fill=7.0)))
    assert_close(wide.annotations[:, :6], plain.annotations, 1e-6)
    assert_close(wide.carry, plain.carry, 1e-6)


@pytest.mark.parametrize("shape", ["two-way", "residual"])
def test_more_padding_changes_nothing_with_noise(shape):
    noise = {"dropout": 0.4, "recurrent_dropout": 0.3}
    config = replace(TINY, **SHAPES[shape], **noise)
    plain = encode(*split(config, made(config)), row_keys())
    wide = encode(*split(config, made(config, width=9, fill=7.0)), row_keys())
    assert_close(wide.annotations[:, :6], plain.annotations, 1e-6)
    assert_close(wide.carry, plain.carry, 1e-6)


def split(config, arguments):
    params, x, mask = arguments
    return params, config, x, mask


def test_vmap_is_a_batch_noise_included():
    config = replace(TINY, dropout=0.4, recurrent_dropout=0.3)
    params, x, mask = made(config)
    one = partial(encoder.encode, params, config)
    batch = encode(params, config, x, mask, row_keys())
    assert_close(quick_jit(jax.vmap(one))(x, mask, row_keys()), batch, 1e-6)


def test_recurrent_dropout_drops_the_same_units_at_every_step():
    """With U = I and no input, a dropped unit stands still and a kept one grows."""
    config = replace(
        TINY, cell="rnn", hidden_size=32, recurrent_dropout=0.5, bidirectional=False
    )
    bias, width = 0.1, 8
    layer = {"input": jnp.zeros((E, 32)), "recurrent": jnp.eye(32)}
    layer["bias"] = jnp.full(32, bias)
    params = {"layers": [[layer]], "residuals": [{}]}
    x, mask = jnp.zeros((2, width, E)), jnp.ones((2, width), bool)
    h = np.asarray(encode(params, config, x, mask, row_keys(rows=2)).annotations)
    dropped = np.isclose(h[:, 1], np.tanh(bias))
    assert 0 < dropped.sum() < dropped.size
    assert np.allclose(h[dropped.nonzero()[0], :, dropped.nonzero()[1]], np.tanh(bias))
    kept, last = h[:, -1][~dropped], np.tanh(bias)
    for _ in range(width - 1):
        last = np.tanh(bias + 2 * last)
    np.testing.assert_allclose(kept, last, rtol=1e-5)
    assert not np.array_equal(dropped[0], dropped[1])


@pytest.mark.parametrize("layers_", [(1, 1), (1, 2), (2, 1), (3, 2)])
@pytest.mark.parametrize("kind", bridges.BRIDGES)
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_bridges_match_layers_from_the_top(kind, layers_, cell):
    above, below = layers_
    config = replace(
        TINY, cell=cell, bridge=kind, encoder_layers=above, decoder_layers=below
    )
    if kind in ("pass", "each_direction"):
        config = replace(config, decoder_hidden_size=8 if kind == "pass" else 4)
    rng, parts = np.random.default_rng(0), CELLS[cell].parts

    def normal(*shape):
        return rng.normal(0, 1, shape).astype(np.float32)

    carry = [
        [tuple(normal(4) for _ in range(parts)) for _ in range(2)] for _ in range(above)
    ]
    bridge, inits = bridges.BRIDGES[kind], layers.initializers()
    params = bridge.init(jax.random.key(0), config, parts, inits)
    params = jax.tree.map(lambda p: normal(*p.shape), params)
    encoded = EncoderOutput(np.zeros((1, 8)), carry, np.ones(1, bool))
    found = bridge.apply(params, config, encoded)
    size = config.decoder_hidden_size
    assert_close(list(found), reference.bridge(params, config, carry, size), 1e-6)
    assert bridge.sizes(config) == [len(layer[-1]) for layer in found]
