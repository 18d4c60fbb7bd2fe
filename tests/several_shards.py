"""Run by test_shards in a process of its own with 8 host devices; prints JSON.

Gradients of the real model with its vocabularies, and the optimiser's state, cut over
the devices in several ways; rows that no number of devices divides, dropout on. Then
updates of every optimiser, whose state is spread, of a toy.
"""

import json
import sys
from functools import partial

import jax
import numpy as np
import optax
import toy
from several_devices import batch, flat

from seq2seq_jax.config import Config, ModelConfig, TrainingConfig
from seq2seq_jax.nn import losses
from seq2seq_jax.training import exchange, layout, optimizer, parallel, programs, step

losses.LOGITS, losses.SMALLEST = 1, 5  # several chunks, and not as many on each device

# Ids of both sides, and how embeddings are tied.
MODELS = {"none": (11, 13, "none"), "few": (11, 5, "none"), "all": (13, 13, "all")}
# The model, devices that share a vocabulary, whether the optimiser's state is spread,
# pieces that the rows are worked off in. Of few ids, some devices have filling alone.
CASES = [
    ("none", 2, False, 3),
    ("none", 4, True, 1),
    ("none", 8, False, 1),
    ("few", 8, False, 1),
    ("all", 4, False, 1),
    ("all", 2, True, 1),
]
# An optimiser that changes nothing and whose state is the last gradient: clipping and
# Adam hide wrong scales.
RECORD = optax.GradientTransformation(
    lambda params: jax.tree.map(jax.numpy.zeros_like, params),
    lambda grads, _, __: (jax.tree.map(jax.numpy.zeros_like, grads), grads),
)
OPTIMIZERS = {name: {"optimizer": name} for name in optimizer.OPTIMIZERS}
OPTIMIZERS["sgd"] |= {"momentum": 0.9}
OPTIMIZERS["adamw"] |= {"clip_deviations": 4.0}
OPTIMIZERS["adam"] |= {"sgd_from": 2, "schedule": "plateau"}


def config_of(tied, shards, spread, pieces):
    """A small model, smoothed."""
    model = ModelConfig(
        cell="gru",
        hidden_size=6,
        embedding_size=6,
        bidirectional=False,
        input_feeding=False,
        dropout=0.3,
        tied_embeddings=tied,
    )
    training = TrainingConfig(
        vocabulary_shards=shards, shard_optimizer=spread, accumulate=pieces
    )
    return Config(model=model, training=training)


def gradient(name, shards, spread, pieces):
    """The gradient of a batch as a checkpoint would have it, and the step's metrics."""
    *sizes, tied = MODELS[name]
    config, alone = config_of(tied, shards, spread, pieces), shards == 1
    devices = parallel.local(jax.local_devices()[: 1 if alone else 8], shards)
    first = partial(programs.first_state, config, sizes, RECORD)
    place = layout.of(config.training, devices, first)
    run = place.train_step(programs.train_step_of(config, sizes[1], RECORD))
    ids = jax.tree.map(lambda x: x % min(sizes), batch(0).target_in)
    rows = batch(0).replace(source=ids, target_in=ids, target_out=ids[:, ::-1])
    cut = parallel.shard_batch(rows, devices.ways, pieces)
    state, metrics = run(place.first(jax.random.key(0)), *cut)
    del metrics["cells"]  # of rows that fill up too
    metrics = {key: float(value) for key, value in metrics.items()}
    grads = jax.tree.leaves(place.whole(state.opt_state))
    return np.concatenate([np.ravel(x) for x in grads]).tolist(), metrics


def updated(spread, **settings):
    """Parameters of the toy after some updates that are clipped, and the moments."""
    config = TrainingConfig(
        shard_optimizer=spread,
        learning_rate=0.1,
        warmup_steps=0,
        clip_norm=0.5,
        **{"schedule": "constant"} | settings,
    )
    tx = optimizer.make(config)
    devices = parallel.local(jax.local_devices()[: 8 if spread else 1])
    place = layout.of(
        config, devices, lambda key: step.init_state(key, toy.params(), tx)
    )
    of = exchange.of(config)
    run = place.train_step(partial(step.train_step, toy.loss, tx, exchange=of))
    state = place.first(jax.random.key(0))
    for number in range(4):
        cut = parallel.shard_batch(toy.batch(5, seed=number), devices.ways)
        state, _ = run(state, *cut)
    state = place.whole(state)
    moments = [np.ravel(x) for x in jax.tree.leaves(state.opt_state)]
    return {"params": flat(state), "moments": np.concatenate(moments).tolist()}


def main() -> None:
    """Gradients by the model and the way, updates by the optimiser."""
    told = {"gradients": {}, "updates": {}}
    for name in MODELS:
        told["gradients"][f"{name}"] = gradient(name, 1, False, 1)
    for case in CASES:
        told["gradients"][" ".join(map(str, case))] = gradient(*case)
    for name, settings in OPTIMIZERS.items():
        both = [updated(spread, **settings) for spread in (False, True)]
        told["updates"][name] = both
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
