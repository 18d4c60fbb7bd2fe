"""One training in a workdir at a time."""

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_runs import at_step, train

from seq2seq_jax.errors import InputError
from seq2seq_jax.training import workdirs

ROOT = Path(__file__).resolve().parent.parent
HOLD = """
import sys, time
from pathlib import Path
from seq2seq_jax.training import workdirs
with workdirs.locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(3600)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of `tmp_path / "run"`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_training_is_refused_and_writes_nothing(tiny, tmp_path, holder):
    workdir = tmp_path / "run"
    before = sorted(workdir.rglob("*"))
    with pytest.raises(InputError) as caught:
        train(tiny(), workdir)
    who = f"process {holder.pid} on {socket.gethostname()}"
    assert who in str(caught.value) and "\n" not in str(caught.value)
    assert sorted(workdir.rglob("*")) == before


def test_a_killed_training_leaves_no_lock(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "run" / workdirs.LOCK).exists()
    with workdirs.locked(tmp_path / "run"):
        pass


def test_the_lock_is_held_to_the_end_and_leaves_nothing(tiny, tmp_path, monkeypatch):
    config, workdir, refused = tiny(steps=6), tmp_path / "run", []

    def again():
        with pytest.raises(InputError, match="in use by another training"):
            train(config, workdir)
        refused.append(True)

    at_step(monkeypatch, 4, again)
    train(config, workdir)
    assert refused and not (workdir / workdirs.LOCK).exists()


def test_what_only_the_lock_made_goes_with_it(tmp_path):
    with workdirs.locked(tmp_path / "new"):
        assert (tmp_path / "new" / workdirs.LOCK).exists()
    assert not (tmp_path / "new").exists()
    (tmp_path / "empty").mkdir()
    with workdirs.locked(tmp_path / "empty"):
        pass
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_without_locks_a_warning_says_so(tmp_path, monkeypatch, number):
    def flock(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with (
        pytest.warns(UserWarning, match="has no locks"),
        workdirs.locked(tmp_path / "run"),
    ):
        (tmp_path / "run" / "file").write_text("")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["file"]


def test_a_lock_file_deleted_meanwhile_is_made_again(tmp_path, monkeypatch):
    taken, flock = [], fcntl.flock

    def late(file, operation):
        flock(file, operation)
        if not taken:
            (tmp_path / workdirs.LOCK).unlink()
        taken.append(True)

    monkeypatch.setattr(fcntl, "flock", late)
    with workdirs.locked(tmp_path):
        assert len(taken) == 2
        with pytest.raises(InputError, match=f"process {os.getpid()} "):
            workdirs.take(tmp_path)


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="cannot be written"),
        workdirs.locked(tmp_path / "file" / "run"),
    ):
        pass
