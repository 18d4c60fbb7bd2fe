"""Whole trainings in this process, stopped at will, and what they leave compared."""

import json
import warnings

import jax
import numpy as np

from seq2seq_jax.training import loop
from seq2seq_jax.training.reporting import BOARD, METRICS, TIMING, TIMINGS, Reporter

# Updates that change no loss that float32 can tell: every evaluation waits.
STANDING_STILL = {
    "optimizer": "sgd",
    "learning_rate": 1e-12,
    "schedule": "plateau",
    "warmup_steps": 0,
    "plateau_patience": 2,
    "eval_every": 2,
    "log_every": 1,
    "buckets": 1,
}


def train(config, workdir):
    """Train; returns the report and all that was told."""
    lines = []
    return loop.train(config, workdir, log=lines.append), lines


def metrics(workdir):
    """The lines of the metrics file."""
    lines = (workdir / METRICS).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def at_step(monkeypatch, number, act):
    """Call `act` when the loop has dispatched a step, once."""
    done = []
    advance = Reporter.advance

    def hook(self, step):
        advance(self, step)
        if step == number and not done:
            done.append(step)
            act()

    monkeypatch.setattr(Reporter, "advance", hook)


def assert_same_end(one, other, step):
    (ours, our_notes), (theirs, their_notes) = arrays(one, step), arrays(other, step)
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    assert our_notes == their_notes
    assert metrics(one) == metrics(other)  # shows where they differ
    assert (one / METRICS).read_bytes() == (other / METRICS).read_bytes()
    assert steps_of_timings(one) == steps_of_timings(other)
    assert points(one) == points(other) != []


def steps_of_timings(workdir):
    """What the file of timings tells of, without what it tells."""
    lines = (workdir / TIMINGS).read_text(encoding="utf-8").splitlines()
    return [(line["step"], line["split"]) for line in map(json.loads, lines)]


def arrays(workdir, step):
    """All arrays of a checkpoint, and the JSON beside them but for the clock's."""
    from orbax.checkpoint import v1 as ocp

    path = workdir / "checkpoints" / str(step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # loading to no given place is fine here
        items = ["params", "training"] + ["average"] * (path / "average").is_dir()
        loaded = ocp.load_checkpointables(path, dict.fromkeys(items))
    notes = dict(ocp.checkpointables_metadata(path).custom_metadata)
    notes["bookkeeping"]["window"].pop("seconds", None)
    notes.pop("digest")  # of the seconds too
    loaded["training"]["key"] = jax.random.key_data(loaded["training"]["key"])
    return loaded, notes


def points(workdir):
    """The points of TensorBoard's curves as it shows them, resumed runs joined.

    It reads files in the order of their names. Where one begins a session at a step,
    it drops what it has read of that step and later ones.
    """
    from tensorboardX.proto import event_pb2

    kept = []
    for path in sorted((workdir / BOARD).iterdir()):
        for event in read_events(path, event_pb2.Event):
            if event.WhichOneof("what") == "session_log":
                kept = [point for point in kept if point[0] < event.step]
            for value in event.summary.value:
                if value.tag.split("/")[1] not in TIMING:
                    kept.append((event.step, value.tag, shown(value)))
    return kept


def shown(value):
    """A point's number; the bytes of a text or a picture."""
    number = value.WhichOneof("value") == "simple_value"
    return value.simple_value if number else value.SerializeToString()


def read_events(path, kind):
    """Length, its checksum, the event, its checksum; a killed run's last one is cut."""
    data = path.read_bytes()
    while len(data) > 8 and len(data) >= (
        size := 16 + int.from_bytes(data[:8], "little")
    ):
        yield kind.FromString(data[12 : size - 4])
        data = data[size:]
