"""Run by test_shards in a process of its own with 8 host devices; writes arrays.

Gradients of the real model, and a few updates, with vocabularies and optimiser cut over
the devices in several ways; rows that no number of devices divides, dropout on.
"""

import sys
from functools import partial
from pathlib import Path

import jax
import numpy as np
import optax
from several_devices import batch

from seq2seq_jax.config import Config, ModelConfig, TrainingConfig
from seq2seq_jax.training import layout, optimizer, parallel, programs

SHARDS = (2, 4, 8)
# A name: ids of both sides, and how embeddings are tied.
MODELS = {
    "even": (16, 24, "none"),
    "uneven": (11, 13, "none"),
    "few": (11, 5, "none"),  # than devices: some have filling alone
    "input": (13, 13, "input"),
    "output": (11, 13, "output"),
    "all": (13, 13, "all"),
}

# An optimiser that changes nothing and whose state is the last gradient.
RECORD = optax.GradientTransformation(
    lambda params: jax.tree.map(jax.numpy.zeros_like, params),
    lambda grads, _, __: (jax.tree.map(jax.numpy.zeros_like, grads), grads),
)


def config_of(tied="none", **training):
    """A small model whose vocabulary is larger than all else."""
    size = 6
    model = ModelConfig(
        cell="gru",
        hidden_size=size,
        embedding_size=size,
        bidirectional=False,
        input_feeding=False,
        dropout=0.3,
        tied_embeddings=tied,
    )
    return Config(model=model, training=TrainingConfig(**training))


def trained(config, sizes, count, tx=None, steps=1, accumulate=1):
    """The state after some updates, as checkpoints have it, and the last metrics."""
    training = config.training
    tx = tx or optimizer.make(training)
    chosen = jax.local_devices()[:count]
    devices = parallel.local(chosen, training.vocabulary_shards)
    first = partial(programs.first_state, config, *sizes, tx)
    place = layout.of(training, devices, first)
    run = place.train_step(programs.train_step_of(config, sizes[1], tx))
    state = place.first(jax.random.key(0))
    for number in range(steps):
        within = jax.tree.map(lambda x: x % min(sizes), batch(number).target_in)
        rows = batch(number).replace(source=within, target_in=within, target_out=within)
        cut = parallel.shard_batch(rows, devices.ways, accumulate)
        state, metrics = run(state, *cut)
    return place.whole(state), jax.device_get(metrics)


def flat(tree):
    """All leaves in a row."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


if __name__ == "__main__":
    found = {}
    for name, (source, target, tied) in MODELS.items():
        if name=="even": continue
        for shards in (1, *SHARDS):
          for spread in (False, True):
            config = config_of(tied, vocabulary_shards=shards, shard_optimizer=spread)
            count = 8 if shards > 1 or spread else 1
            state, metrics = trained(config, (source, target), count, RECORD)
            g = flat(state.opt_state)
            if not spread and shards == 1: ref, refm = g, metrics
            print(name, shards, spread, g.shape, abs(g-ref).max(), abs(ref).max(), {k: float(metrics[k]-refm[k]) for k in metrics if k!="finite"}, flush=True)
