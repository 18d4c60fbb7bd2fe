"""Run by test_planning in a process of its own: plan the tiny model for a topology."""

import json
import sys

from seq2seq_jax.planning import devices, report, targets


def main(name: str) -> None:
    """Print what the training step sends and needs, as JSON."""
    topology = devices.parse(name)
    targets.prepare(topology)
    from test_planning import TINY

    plan = report.make(
        TINY,
        topology,
        targets.devices(topology),
        beam_size=2,
        search=False,
        largest=False,
    )
    told = {
        "collectives": plan.training.collectives,
        "sent": plan.training.sent,
        "peak": plan.training.memory.peak,
        "parameter_bytes": plan.sizes.parameter_bytes,
    }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
