"""Run by test_planning in a process of its own: kernels in a step of an H100's loops.

Of gradients' programs, compiled for a GPU that need not be there: an LSTM layer, and
Luong's decoder with input feeding. Prints JSON.
"""

import json
import sys

import jax
import jax.numpy as jnp
from jax.sharding import SingleDeviceSharding

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import backends, decoder, layers, model, sizes
from seq2seq_jax.nn.cells import CELLS
from seq2seq_jax.nn.recurrence import turn
from seq2seq_jax.planning import devices, hlo, report, targets, work
from seq2seq_jax.types import EncoderOutput

TOPOLOGY = devices.parse("h100:1")
ROWS, STEPS, SIZE = 64, 96, 512
TURN = turn(ModelConfig(), "gpu")
CONFIG = ModelConfig(hidden_size=SIZE, embedding_size=SIZE, dropout=0.0, unroll=TURN)


def lstm(params, x, mask):
    """The sum of a layer's squared outputs."""
    carry = CELLS["lstm"].initial_carry(x[:, 0], SIZE)
    return jnp.sum(backends.run(params, CONFIG, carry, x, mask)[1] ** 2)


def luong(params, annotations, embedded, carry, mask):
    """The sum of a decoder's squared readouts."""
    encoded = EncoderOutput(annotations, carry, mask)
    memory, state = decoder.start(params, CONFIG, encoded)
    return jnp.sum(decoder.unroll(params, CONFIG, memory, state, embedded)[0] ** 2)


def kernels(function, arguments):
    """`[forward, backward]`, of one step."""
    here = SingleDeviceSharding(targets.devices(TOPOLOGY)[0])

    def placed(leaf):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here)

    slopes = jax.jit(jax.value_and_grad(function, (0, 1)))
    traced = slopes.trace(*jax.tree.map(placed, arguments))
    text = traced.lower(lowering_platforms=("cuda",)).compile().as_text()
    found = report.loops(work.items(hlo.parse(text), STEPS))
    assert [loop.backward for loop in found] == [False, True]
    assert all(loop.turns * TURN == STEPS for loop in found)
    return [loop.kernels / TURN for loop in found]


def main():
    """Shapes alone are made; nothing runs."""
    targets.prepare(TOPOLOGY)
    key, inits = jax.random.key(0), layers.initializers()
    cell = jax.eval_shape(lambda: CELLS["lstm"].init(key, SIZE, SIZE, inits))
    params = jax.eval_shape(lambda: model.init_params(key, CONFIG, 9, 9))["decoder"]
    x = jax.ShapeDtypeStruct((ROWS, STEPS, SIZE), jnp.float32)
    mask = jax.ShapeDtypeStruct((ROWS, STEPS), jnp.bool)
    width = sizes.annotation_size(CONFIG)
    annotations = jax.ShapeDtypeStruct((ROWS, STEPS, width), jnp.float32)
    part = jax.ShapeDtypeStruct((ROWS, SIZE), jnp.float32)
    told = {
        "lstm": kernels(lstm, (cell, x, mask)),
        "luong": kernels(luong, (params, annotations, x, (((part,) * 2,) * 2,), mask)),
    }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
