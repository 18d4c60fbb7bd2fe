"""Run by test_model in a process of its own, with 4 host devices.

Writes the gradient of one step's loss for each config of the sweep, as three devices
find it under pmap and four under shard_map; of the gradient, since Adam and clipping
hide wrong scales. Rows are of uneven lengths, and one device has padding alone.
"""

import sys
from functools import partial
from pathlib import Path

import jax
import numpy as np
import optax
from command_line import script
from shard_maps import shard_mapped
from small import QUICK, SMOOTHING, as_read, make_batch, params_of
from sweeps import SWEEP, name

from seq2seq_jax.nn import model
from seq2seq_jax.training import parallel, step
from seq2seq_jax.types import TrainState

WAYS = {"pmap": (parallel.mapped_train_step, 3), "shard_map": (shard_mapped, 4)}


def zeros(tree):
    """Of a tree's shapes; NumPy compiles nothing for them."""
    return jax.tree.map(np.zeros_like, tree)


# An optimiser that changes nothing and whose state is the last gradient.
RECORD = optax.GradientTransformation(
    zeros, lambda grads, _, __: (jax.tree.map(jax.numpy.zeros_like, grads), grads)
)


def gradient(config, batch, mapped, count):
    """What a training step on some devices gives its optimiser."""

    def loss(params, batch, keys, update):
        return model.loss(params, config, as_read(config, batch), SMOOTHING)

    devices = parallel.local(jax.local_devices()[:count])
    params = params_of(config)
    state = TrainState(np.int32(0), params, RECORD.init(params), jax.random.key(1))
    state = jax.device_put(state, devices.replicated)
    run = mapped(partial(step.train_step, loss, RECORD), devices)
    return run(state, *parallel.shard_batch(batch, count))[0].opt_state


def flat(tree):
    """All leaves in a row."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def main(folder: str) -> None:
    """One file for each config, named by its number."""
    for number, config in enumerate(SWEEP):
        print(name(config), file=sys.stderr, flush=True)  # the last is what failed
        found = {
            way: flat(gradient(config, make_batch(), *how)) for way, how in WAYS.items()
        }
        np.savez(Path(folder) / f"{number}.npz", **found)


def start(folder: Path) -> list:
    """Run this file; the gradients of each config by the way they were found."""
    quick = [f"--{name}={value}".lower() for name, value in QUICK.items()]
    script("sweep_devices.py", folder, devices=4, flags=quick)
    return [np.load(folder / f"{number}.npz") for number in range(len(SWEEP))]


if __name__ == "__main__":
    main(sys.argv[1])
