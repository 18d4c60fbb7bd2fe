"""Run by test_many_hosts: one process of a training, which may kill itself.

Its argument is JSON: `config`, `workdir`, `where` (address, count and index of the
process; null: alone), and `kill` (a step and a signal; null: never), which comes once
there is a checkpoint.
"""

import contextlib
import json
import os
import time
from pathlib import Path

from seq2seq_jax import config as configs
from seq2seq_jax import program
from seq2seq_jax.training import distributed, hosts, loop
from seq2seq_jax.training.checkpoints import Checkpoints
from seq2seq_jax.training.reporting import Reporter


def kill_at(step: int, number: int, workdir: str) -> None:
    """Send this process a signal when the loop has dispatched a step, once."""
    advance, sent = Reporter.advance, []
    checkpoints = Checkpoints(Path(workdir) / "checkpoints")

    def hook(self, made):
        advance(self, made)
        if made == step and not sent:
            sent.append(number)
            while not checkpoints.steps():
                time.sleep(0.01)
            os.kill(os.getpid(), number)

    Reporter.advance = hook


def main(request: dict) -> int:
    """Train; the process's exit code."""
    hosts.POLL = 0.02  # a run of a second ends before half of one
    if request["kill"] is not None:
        kill_at(*request["kill"], request["workdir"])
    alone = contextlib.nullcontext()
    where = request["where"]
    with alone if where is None else distributed.joined(*where):
        config = configs.from_json(request["config"])
        return loop.train(config, request["workdir"]).exit_code


if __name__ == "__main__":
    program.run(lambda args: main(json.loads(args[0])))
