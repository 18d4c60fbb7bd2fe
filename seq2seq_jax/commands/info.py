"""`info`: what a workdir holds, what it was trained with, and what is damaged."""

import json as js
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seq2seq_jax import flags
from seq2seq_jax.commands import decoding

DESCRIPTION = """Tell what a workdir holds: config, checkpoints, sessions, fingerprints.

All arrays of all checkpoints are read and compared with their checksums; nothing is

changed, and a training may go on beside it."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Tell what a workdir holds."""

    workdir: Path
    """folder of the training run"""
    json: flags.Switch = False
    """print JSON"""


def main(args: Sequence[str], prog: str) -> None:
    """Look as the arguments say.

    Raises:
        InputError: where the arguments or the config cannot be used.
    """
    options = flags.parse(Options, args, prog=prog, description=DESCRIPTION)
    decoding.run_config(options.workdir)
    from seq2seq_jax.training.inspection import inspect  # Orbax is slow to load

    found = inspect(options.workdir)
    print(js.dumps(found, indent=2) if options.json else "\n".join(text(found)))


def text(found: dict[str, Any]) -> Iterator[str]:
    """The facts as lines for people."""
    yield f"{found['workdir']}"
    number = found["parameters"]
    yield f"  parameters   {'unknown' if number is None else f'{number:,}'}"
    yield f"  best         {found['best'] if found['best'] is not None else 'none'}"
    yield f"  newest       {found['newest'] if found['newest'] is not None else 'none'}"
    for problem in found["problems"]:
        yield f"  problem      {problem}"
    yield "\nconfig, where it is not the default"
    for name, value in found["config"].items():
        yield f"  {name}  {value}"
    yield "\ncheckpoints"
    for each in found["checkpoints"]:
        yield f"  {each['step']:>8,}  {scores(each)}{each['state']}"
    for name in found["set_aside"]:
        yield f"  {name:>8}  moved to checkpoints/damaged by a training"
    yield "\nfingerprints of the data"
    for name, value in found["data"].items():
        yield f"  {name:<6} {value or 'unknown'}"
    yield "\nsessions"
    for session in found["sessions"]:
        yield from describe(session)
    if not found["sessions"]:
        yield "  none are known: an older version trained it, or it is a mean"


def scores(checkpoint: dict[str, Any]) -> str:
    """The metrics of a checkpoint, and what it is a mean of."""
    metrics = checkpoint["metrics"] or {}
    shown = [f"{name} {value:.4g}" for name, value in metrics.items()]
    if checkpoint["averaged"]:
        shown.append(f"mean of {', '.join(map(str, checkpoint['averaged']))}")
    return "".join(f"{part}  " for part in shown)


def describe(session: dict[str, Any]) -> Iterator[str]:
    """One start of the training, in three lines or four; the file may hold anything."""
    versions, devices = session.get("versions"), session.get("devices")
    init = session.get("init")
    if not isinstance(versions, dict) or not isinstance(devices, dict):
        yield f"  unreadable: {js.dumps(session)[:80]}"
        return
    yield (
        f"  {session.get('date')}  from step {session.get('step')}, seed "
        f"{session.get('seed')}, commit {session.get('commit') or 'unknown'}"
    )
    yield (
        f"    {devices.get('count')} x {devices.get('kind')} "
        f"({devices.get('platform')}), {devices.get('processes')} process"
        f"{'es' * (devices.get('processes') != 1)}, {session.get('os')}"
    )
    yield f"    {', '.join(f'{name} {version}' for name, version in versions.items())}"
    if isinstance(init, dict):
        yield (
            f"    begun with weights {init.get('weights')} of {init.get('workdir')}, "
            f"checkpoint {init.get('step')}"
        )
