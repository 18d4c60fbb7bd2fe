"""What the processes of a training share: its workdir, its data, its config."""

import contextlib
import importlib.metadata
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from seq2seq_jax.config import Config, flatten
from seq2seq_jax.errors import InputError
from seq2seq_jax.training import kinds, workdirs
from seq2seq_jax.training.checkpoints import Checkpoints
from seq2seq_jax.training.hosts import Hosts

PATIENCE = 30.0  # seconds until a file written on one host must be seen on the others
LIBRARIES = ("jax", "jaxlib")


@contextlib.contextmanager
def locked(workdir: Path, config: Config, hosts: Hosts) -> Iterator[None]:
    """Keep other trainings out of a workdir: process 0 holds the lock for all.

    Raises:
        InputError: in all processes: another training is at work in it, some process
            does not see it, or has another config.
    """
    if hosts.count > 1:
        facts = {name: repr(value) for name, value in flatten(config)}
        facts |= {name: importlib.metadata.version(name) for name in LIBRARIES}
        hosts.same(facts, "config", "start all with the same command and installation")
    with contextlib.ExitStack() as stack:

        def take() -> str:
            stack.enter_context(workdirs.locked(workdir))
            return (workdir / workdirs.LOCK).read_text(encoding="utf-8")

        holder = hosts.once(take)
        if hosts.count > 1:
            sights = hosts.gathered(sees(workdir / workdirs.LOCK, holder))
            blind = [str(index) for index, sight in enumerate(sights) if not sight]
            if blind:
                raise InputError(
                    f"process {', '.join(blind)} of {hosts.count} does not see what "
                    f"process 0 writes to {workdir}: --workdir must be one folder that "
                    f"all hosts share, by NFS for example"
                )
        yield


def sees(path: Path, text: str) -> bool:
    """Whether a file holds a text, or will before long: network folders are slow."""
    until = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError):
            if path.read_text(encoding="utf-8") == text:
                return True
        if time.monotonic() > until:
            return False
        time.sleep(0.2)


def read_once(
    read: Callable[[], tuple[Any, Any]],
    config: Config,
    workdir: Path,
    hosts: Hosts,
) -> tuple[Any, Any]:
    """What `read` gives in process 0; the others open what it has made in the workdir.

    Only process 0 needs the raw data, and has what is beside them.
    """
    if hosts.count == 1:
        return read()
    kept: list[tuple[Any, Any]] = []

    def make() -> dict[str, str]:
        kept.append(read())
        return kept[0][0].folders

    folders = hosts.once(make)
    if hosts.first:
        return kept[0]
    return kinds.of(config).reopen(config, workdir, folders), None


@contextlib.contextmanager
def closing(checkpoints: Checkpoints, hosts: Hosts) -> Iterator[None]:
    """Close them at the end; not after an error where others are needed for it."""
    try:
        yield
    except BaseException:
        if hosts.count == 1:
            checkpoints.close()
        raise
    checkpoints.close()
