"""What processes tell each other; here they are threads, their coordinator a dict."""

import random
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from seq2seq_jax.commands import processes, train
from seq2seq_jax.errors import InputError, TrainingFailed
from seq2seq_jax.training import distributed, hosts, parallel, shared, workdirs
from seq2seq_jax.training.hosts import ALONE, Hosts

ROOT = Path(__file__).resolve().parent.parent

COUNT = 3


class Store:
    """As much of the coordinator's client as is used, and its errors."""

    def __init__(self):
        self.values, self.changed = {}, threading.Condition()

    def key_value_set(self, key, value, allow_overwrite=False):
        with self.changed:
            if key in self.values and not allow_overwrite:
                raise jax.errors.JaxRuntimeError(f"ALREADY_EXISTS: {key}")
            self.values[key] = value
            self.changed.notify_all()

    def blocking_key_value_get(self, key, timeout_in_ms):
        with self.changed:
            if not self.changed.wait_for(lambda: key in self.values, 0.02):
                raise jax.errors.JaxRuntimeError(f"DEADLINE_EXCEEDED: {key}")
            return self.values[key]

    def key_value_try_get(self, key):
        with self.changed:
            if key not in self.values:
                raise jax.errors.JaxRuntimeError(f"NOT_FOUND: {key}")
            return self.values[key]

    def key_value_delete(self, key):
        with self.changed:
            for name in [x for x in self.values if f"{x}/".startswith(f"{key}/")]:
                del self.values[name]


def together(work, store=None):
    """What work gives in each of some processes; an error it raises in its place."""
    store = store or Store()

    def one(index):
        try:
            return work(Hosts(index, COUNT, store))
        except (InputError, TrainingFailed) as error:
            return error

    with ThreadPoolExecutor(COUNT) as pool:
        return list(pool.map(one, range(COUNT)))


# What is told


def test_all_hear_process_0_and_each_other():
    def work(hosts):
        own = {"index": hosts.index, "text": "é" * hosts.index}
        return hosts.told(own), hosts.gathered(own), hosts.gathered(None), hosts.first

    every = [{"index": index, "text": "é" * index} for index in range(COUNT)]
    assert together(work) == [
        (every[0], every, [None] * COUNT, index == 0) for index in range(COUNT)
    ]
    assert work(ALONE) == (every[0], [every[0]], [None], True)


def test_long_values_come_whole_and_are_forgotten(monkeypatch):
    monkeypatch.setattr(hosts, "LONGEST", 7)
    store = Store()

    def work(hosts):
        heard = []
        for number in range(20):
            heard.append(hosts.told("x" * number))
            heard.append(hosts.gathered(hosts.index * "y" * 9))
        return heard

    first, *others = together(work, store)
    assert first[2:4] == ["x", ["", "y" * 9, "y" * 18]]
    assert all(other == first for other in others)
    assert len(store.values) < 20


@pytest.mark.parametrize("kind", [InputError, TrainingFailed])
def test_what_process_0_refuses_all_refuse(kind):
    def refuse():
        raise kind("no")

    found = together(lambda hosts: (hosts.once(lambda: 5), hosts.once(refuse)))
    assert [(type(error), str(error)) for error in found] == [(kind, "no")] * COUNT


def test_values_that_differ_are_refused_by_all():
    def work(hosts):
        hosts.same({"a": "1"}, "config", "mend it")
        hosts.same({"a": "1", "b": str(hosts.index // 2)}, "config", "mend it")

    for error in together(work):
        assert str(error) == (
            "process 2 has another config than process 0 (b: 1 there, 0 in process 0): "
            "mend it"
        )


def test_bits_come_back_as_the_arrays_they_were(monkeypatch):
    """Piece by piece; what all processes have of a piece is what the first has."""
    multihost = "jax.experimental.multihost_utils.broadcast_one_to_all"
    monkeypatch.setattr(multihost, lambda bits: bits)
    monkeypatch.setattr(hosts, "PIECE", 2)
    devices = parallel.local(jax.local_devices()[:1])
    arrays = {
        "floats": np.float32([[-0.0, np.nan, np.inf, 1e-45]]),
        "flags": np.array([True, False, True]),
        "count": np.int32(3),
        "half": jax.numpy.bfloat16(1.5),
    }
    tree = parallel.place(arrays | {"key": jax.random.key(4)}, devices)
    back = Hosts(0, COUNT, Store()).copied(tree)
    for name, array in arrays.items():
        assert np.asarray(back[name]).tobytes() == np.asarray(array).tobytes()
        assert back[name].sharding == tree[name].sharding
    assert jax.random.uniform(back["key"]) == jax.random.uniform(jax.random.key(4))


# When to stop


def stopped_at(asked, steps, collective):
    """The last step of each process; `asked` has, by process, when it is asked to."""

    def work(hosts):
        draw, now = random.Random(hosts.index), [0]

        def stop():
            return now[0] >= asked.get(hosts.index, steps + 1)

        with hosts.agreeing(stop, 0) as agreed:
            for step in range(1, steps + 1):
                now[0] = step
                if collective is not None:
                    collective.wait(20)  # as in the all-reduce of a step
                else:
                    time.sleep(draw.random() * 0.002)
                if agreed(step):
                    break
        return step

    return together(work)


@pytest.mark.parametrize("asked", [{0: 5}, {2: 5}, {1: 5, 2: 9}])
@pytest.mark.parametrize("waits", [True, False])
def test_all_stop_after_the_same_step(monkeypatch, asked, waits):
    monkeypatch.setattr(hosts, "POLL", 0.005)
    collective = threading.Barrier(COUNT) if waits else None
    found = stopped_at(asked, 100_000, collective)
    assert len(set(found)) == 1 and 5 < found[0] < 100_000


@pytest.mark.parametrize("asked", [{}, {1: 30}, {0: 29, 1: 30}])
def test_the_last_step_is_the_last_whoever_is_asked(monkeypatch, asked):
    monkeypatch.setattr(hosts, "POLL", 0.001)
    found = stopped_at(asked, 30, threading.Barrier(COUNT))
    assert len(set(found)) == 1 and found[0] >= 29


# What is shared


def locked(config, folder_of):
    """Lock a workdir together; what each process then sees in it, or its error."""

    def work(hosts):
        with shared.locked(folder_of(hosts), config(hosts), hosts):
            seen = (folder_of(hosts) / workdirs.LOCK).exists()
            hosts.gathered(None)
            return seen

    return together(work)


def test_process_0_locks_for_all(tiny, tmp_path):
    config = tiny()
    assert locked(lambda _: config, lambda _: tmp_path / "run") == [True] * COUNT
    assert not (tmp_path / "run").exists()
    with workdirs.locked(tmp_path / "run"):
        for error in locked(lambda _: config, lambda _: tmp_path / "run"):
            assert "in use by another training" in str(error)


def test_a_workdir_that_not_all_see_is_refused(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(shared, "PATIENCE", 0.1)
    config = tiny()
    for error in locked(lambda _: config, lambda hosts: tmp_path / str(hosts.index)):
        assert "process 1, 2 of 3 does not see what process 0 writes" in str(error)
    assert list(tmp_path.iterdir()) == []


def test_other_configs_are_refused(tiny, tmp_path):
    def config(hosts):
        made = tiny()
        return replace(made, training=replace(made.training, seed=hosts.index // 2))

    for error in locked(config, lambda _: tmp_path / "run"):
        assert "process 2 has another config" in str(error)
        assert "training.seed: 1 there, 0 in process 0" in str(error)


# The flags


@pytest.mark.parametrize(
    "flags, message",
    {
        "--processes 2": "--processes is given without --distributed",
        "--process-index 0": "--process-index is given without --distributed",
        "--distributed auto --processes 2": "auto finds it from the cluster",
        "--distributed auto --process-index 1": "auto finds it from the cluster",
        "--distributed node1": "expected HOST:PORT",
        "--distributed node1:x": "expected HOST:PORT",
        "--distributed :29500": "expected HOST:PORT",
        "--distributed node1:70000": "expected HOST:PORT",
        "--distributed h:1": "needs --processes, --process-index",
        "--distributed h:1 --processes 2": "needs --process-index",
        "--distributed h:1 --process-index 0": "needs --processes",
        "--distributed h:1 --processes 0 --process-index 0": "expected 1 or more",
        "--distributed h:1 --processes 2 --process-index 2": "expected 0 to 1",
        "--distributed h:1 --processes 2 --process-index=-1": "expected 0 to 1",
    }.items(),
)
def test_flags_that_do_not_fit_together_are_refused(tmp_path, flags, message):
    args = ["cmudict", "--workdir", str(tmp_path / "run"), *flags.split()]
    with pytest.raises(InputError, match=message):
        train.train(args, "train.py")
    assert not (tmp_path / "run").exists()


def test_flags_that_fit_say_where_this_process_is():
    assert processes.place(None, None, None) is None
    assert processes.place("auto", None, None) == (None, None, None)
    assert processes.place("[::1]:29500", 4, 3) == ("[::1]:29500", 4, 3)


@pytest.mark.parametrize(
    "flags, message",
    {
        "--training.normalize words": "training.normalize is 'words'",
        "--model.hidden-size 0": "model.hidden_size is 0",
        "--training.final-learning-rate 9 --training.schedule cosine": "final_learning",
    }.items(),
)
def test_settings_are_refused_before_other_processes_are_waited_for(
    tmp_path, monkeypatch, flags, message
):
    monkeypatch.setattr(distributed, "joined", None)
    args = ["reversal", "--workdir", str(tmp_path / "run"), *flags.split()]
    place = "--distributed h:1 --processes 2 --process-index 1".split()
    with pytest.raises(InputError, match=message):
        train.train([*args, *place], "train.py")
    assert not (tmp_path / "run").exists()


LONELY = """
import jax, sys
from jax._src import xla_bridge
from seq2seq_jax.config import Config
from seq2seq_jax.training import checks, distributed
checks.check(Config())
assert not xla_bridge.backends_are_initialized()
distributed.JOIN = 1
distributed.start(sys.argv[1], 2, 0)
"""


def test_a_process_that_waits_in_vain_for_others_ends_with_a_line():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    done = subprocess.run(
        [sys.executable, "-c", LONELY, f"localhost:{port}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    assert done.returncode == 2 and done.stdout == "", done.stderr
    assert done.stderr.startswith(
        f"error: not all 2 processes came to localhost:{port}"
    )
    assert done.stderr.count("\n") == 1
