"""Run by test_devices in a process of its own with 8 host devices; prints JSON.

The real model, dropout on, 50 steps of plain SGD (which hides no scale) on batches
whose rows no number of devices divides.
"""

import json
import sys
from functools import partial

import jax
import numpy as np
import optax

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import model
from seq2seq_jax.training import parallel, step
from seq2seq_jax.training.checkpoints import Checkpoints
from seq2seq_jax.types import Batch

STEPS, VOCAB = 50, 11
CONFIG = ModelConfig(
    cell="gru",
    hidden_size=6,
    embedding_size=5,
    bidirectional=False,  # half the program to compile
    input_feeding=False,
    dropout=0.3,
)
TX = optax.sgd(0.5)


def batch(number: int) -> Batch:
    """Rows of uneven lengths in one of two shapes: 13 of 4 tokens, 7 of 6."""
    rows, length = ((13, 4), (7, 6))[number % 2]
    draw = np.random.default_rng(number)
    ids = draw.integers(4, VOCAB, (rows, length)).astype(np.int32)
    mask = np.arange(length) < draw.integers(1, length + 1, (rows, 1))
    return Batch(ids, mask, ids, ids[:, ::-1].copy(), mask)


def loss(params, batch, keys, update):
    """The real model's, smoothed."""
    return model.loss(params, CONFIG, batch, 0.1, keys)


def begin(devices: parallel.Devices):
    """The state before the first step."""
    params = model.init_params(jax.random.key(0), CONFIG, VOCAB, VOCAB)
    state = step.init_state(jax.random.key(1), params, TX)
    return parallel.place(state, devices)


def train(count: int, accumulate: int = 1):
    """Train on the first devices: mean losses, last state, calls that compiled."""
    devices = parallel.local(jax.local_devices()[:count])
    one = partial(step.train_step, loss, TX, accumulate=accumulate)
    run, state = parallel.mapped_train_step(one, devices), begin(devices)
    losses, compiled = [], 0
    for number in range(STEPS):
        before = len(COMPILED)
        cut = parallel.shard_batch(batch(number), count, accumulate)
        state, metrics = run(state, *cut)
        compiled += len(COMPILED) > before
        losses.append(float(metrics["loss"] / metrics["weight"]))
    return losses, state, compiled


def flat(state) -> list[float]:
    """All parameters in a row."""
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(state.params)]).tolist()


COMPILED: list[str] = []


def main(folder: str) -> None:
    """Train on 1, on 8, and on 2 with 3 pieces each; save on 8."""
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: (
            COMPILED.append(name) if "backend_compile" in name else None
        )
    )
    results = {}
    for name, args in {"1": (1,), "8": (8,), "2x3": (2, 3)}.items():
        losses, state, compiled = train(*args)
        results[name] = {"losses": losses, "params": flat(state), "compiled": compiled}
        if name == "8":
            checkpoints = Checkpoints(folder)
            checkpoints.save(STEPS, state, {"batch": STEPS})
            checkpoints.close()
            fewer = parallel.local(jax.local_devices()[:2])
            again, _ = Checkpoints(folder).restore(begin(fewer))
            results["restored"] = {"params": flat(again)}
    host = {"wide": np.ones((3, 16)), "odd": np.ones((3, 5)), "one": np.ones(())}
    spanned = parallel.spanning(host)
    results["spanned"] = {
        name: array.addressable_shards[0].data.shape for name, array in spanned.items()
    }
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
