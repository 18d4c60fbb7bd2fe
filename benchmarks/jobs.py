"""Programs that benchmarks run beside each other, each on its share of the cores."""

import os
import queue
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def cores_each(jobs: int) -> ThreadPoolExecutor:
    """Threads whose child processes have their own share of the cores."""
    if not hasattr(os, "sched_setaffinity"):
        return ThreadPoolExecutor(jobs)
    cores, shares = sorted(os.sched_getaffinity(0)), queue.SimpleQueue()
    for job in range(jobs):
        shares.put(cores[job::jobs] or cores)
    return ThreadPoolExecutor(
        jobs, initializer=lambda: os.sched_setaffinity(0, shares.get())
    )


def call(command: list[str], workdir: Path, name: str) -> str:
    """The standard output of a Python program; what it says else goes to a file."""
    workdir.parent.mkdir(parents=True, exist_ok=True)
    log = workdir.parent / f"{workdir.name}.{name}.log"
    with log.open("w") as stream:
        done = subprocess.run(
            [sys.executable, *command], stdout=subprocess.PIPE, stderr=stream, text=True
        )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed ({done.returncode}): see {log}")
    return done.stdout
