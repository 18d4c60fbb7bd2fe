"""Run by test_planning in a process of its own; prints planned and grown bytes as JSON.

The training step of a middling model is compiled, then run once; how far the process's
resident memory rises is what the plan's peak must tell.
"""

import ctypes
import json
import sys
from pathlib import Path

import jax

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig
from seq2seq_jax.planning import memory, programs
from seq2seq_jax.training import parallel

CONFIG = Config(
    DataConfig(vocab_size=2000, max_length=30),
    ModelConfig(cell="gru", hidden_size=128, embedding_size=128, bidirectional=False),
    TrainingConfig(batch_tokens=12_000),
)


def resident(field: str) -> int:
    """Bytes that Linux tells of this process: VmRSS now, VmHWM at most."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def main() -> None:
    """Compile, forget what compiling took, run."""
    step, arguments = programs.train_step(
        CONFIG, parallel.local(), programs.shapes(CONFIG)[-1]
    )
    built = memory.compiled(step.lower(*arguments))
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
    before = resident("VmRSS")
    given = jax.block_until_ready(jax.tree.map(memory.made_up, arguments))
    jax.block_until_ready(built.run(*given))
    grown = resident("VmHWM") - before
    json.dump({"planned": built.memory.peak, "grown": grown}, sys.stdout)


if __name__ == "__main__":
    main()
