"""Run by test_ways in a process of its own with 8 host devices; prints JSON.

All that papers do in training alone, at once: loss over sentences, sampled softmax,
scheduled sampling, a second optimiser, drawn attention; dropout on, rows that no number
of devices divides.
"""

import json
import sys
from dataclasses import replace

import jax
from several_devices import batch, flat
from shard_maps import shard_mapped

from seq2seq_jax.config import Config, ModelConfig, TrainingConfig
from seq2seq_jax.training import optimizer, parallel, programs

STEPS, VOCAB = 12, 11
CONFIG = Config(
    model=ModelConfig(
        cell="gru",
        hidden_size=6,
        embedding_size=5,
        bidirectional=False,
        input_feeding=False,
        alignment="hard",
        dropout=0.3,
    ),
    training=TrainingConfig(
        optimizer="sgd",  # which hides no scale
        learning_rate=0.5,
        schedule="constant",
        warmup_steps=0,
        sgd_from=8,
        sgd_learning_rate=0.1,
        normalize="sentences",
        clip_norm=None,
        label_smoothing=0.0,
        sampled_softmax=4,
        scheduled_sampling=0.8,
        scheduled_sampling_steps=6,
    ),
)
TX = optimizer.make(CONFIG.training)


def begin(devices: parallel.Devices):
    """The state before the first step."""
    state = programs.first_state(CONFIG, (VOCAB, VOCAB), TX, jax.random.key(0))
    return parallel.place(state, devices)


def body(accumulate: int):
    """One update on a device's share."""
    training = replace(CONFIG.training, accumulate=accumulate)
    return programs.train_step_of(replace(CONFIG, training=training), VOCAB, TX)


def by_pmap(devices: parallel.Devices, accumulate: int):
    """As the loop does it."""
    return parallel.mapped_train_step(body(accumulate), devices)


def by_shard_map(devices: parallel.Devices, accumulate: int):
    """The same body under `jit(shard_map)`, with its own bookkeeping of variance."""
    return shard_mapped(body(accumulate), devices)


def train(count: int, mapped=by_pmap, accumulate: int = 1):
    """Train on the first devices: mean losses and the last parameters."""
    devices = parallel.local(jax.local_devices()[:count])
    run, state, losses = mapped(devices, accumulate), begin(devices), []
    for number in range(STEPS):
        cut = parallel.shard_batch(batch(number), count, accumulate)
        state, metrics = run(state, *cut)
        losses.append(float(metrics["loss"] / metrics["weight"]))
    return {
        "losses": losses,
        "params": flat(state),
        "baseline": [float(state.baseline)],
    }


def main() -> None:
    """Train on 1, on 8, on 2 with 3 pieces each, and on 4 under shard_map."""
    results = {
        "1": train(1),
        "8": train(8),
        "2x3": train(2, accumulate=3),
        "4 by shard_map": train(4, by_shard_map, accumulate=2),
    }
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
