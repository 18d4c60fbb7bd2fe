"""Run by test_collectives in a process of its own: count a step's collectives.

Of a model with attention and two tables of embeddings, for devices that need not be
there; `cpu` are this machine's, in as many as XLA was told. Prints JSON: for each way
of cutting the state, `[opcode, within a loop, devices that meet, how many]`.
"""

import json
import sys
from collections import Counter
from dataclasses import replace

import jax

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig
from seq2seq_jax.nn import losses
from seq2seq_jax.planning import devices, hlo, memory, programs, targets, work
from seq2seq_jax.training import parallel

# By name: devices that share a vocabulary, and whether the optimiser's state is spread.
WAYS = {"data": (1, False), "vocabulary": (4, False), "spread": (1, True)}
WAYS |= {"both": (4, True)}
CONFIG = Config(
    DataConfig(vocab_size=44, target_vocab_size=52, max_length=5, buckets=1),
    ModelConfig(
        cell="gru",
        hidden_size=16,
        embedding_size=24,
        bidirectional=False,
        input_feeding=False,
        attention="dot",
        bridge="pass",
    ),
    TrainingConfig(batch_size=32),
)

losses.LOGITS, losses.SMALLEST = 1, 16  # several chunks: a loop


def collectives(shards: int, spread: bool, chosen: tuple, platform: str) -> list:
    """What a step's compiled program tells of them."""
    cut = {"vocabulary_shards": shards, "shard_optimizer": spread}
    config = replace(CONFIG, training=replace(CONFIG.training, **cut))
    config = programs.resolved(config, platform)
    shape = programs.shapes(config)[-1]
    placed = parallel.of_hosts(chosen, shards)
    step, arguments = programs.train_step(config, placed, shape)
    built = memory.compiled(step.lower(*arguments))
    found = Counter(
        (item.opcode, item.loop is not None, item.group or len(chosen))
        for item in work.items(hlo.parse(built.text), 1)
        if item.sent and item.group != 1  # what a process adds up with no other
    )
    return sorted([*what, count] for what, count in found.items())


def main(name: str, ways: list[str]) -> None:
    """Count for each of the ways, all of them unless told otherwise."""
    if name == "cpu":
        chosen, platform = tuple(jax.devices("cpu")), "cpu"
    else:
        topology = devices.parse(name)
        targets.prepare(topology)
        chosen, platform = targets.devices(topology), topology.device.platform
    told = {way: collectives(*WAYS[way], chosen, platform) for way in ways or WAYS}
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
