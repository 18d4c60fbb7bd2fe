"""`sessions.jsonl`: a line for each start of the training, with what it ran on.

A start compares itself with the line before and tells what is another: other versions,
another commit or other devices may round otherwise, and other data is another training.
"""

import contextlib
import importlib.metadata
import json
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from seq2seq_jax import __version__

if TYPE_CHECKING:
    from seq2seq_jax.training.loop import Run

NAME = "sessions.jsonl"
LIBRARIES = ("jax", "jaxlib", "numpy", "flax", "optax", "orbax-checkpoint")
DEVICES = {  # a message's words for a session's
    "platform": "the platform",
    "kind": "the kind of device",
    "count": "the number of devices",
    "processes": "the number of processes",
}
PACKAGE = Path(__file__).resolve().parent.parent

Session = dict[str, Any]


def begin(run: "Run", step: int) -> None:
    """Write the line of a start, and tell what differs from the one before.

    On several hosts the first process does.

    Args:
        run: the training.
        step: that it goes on from; 0 at first.

    Raises:
        OSError: the file cannot be written.
    """
    if jax.process_index():
        return
    path = run.workdir / NAME
    before = read(path)
    session = describe(run, step)
    for line in differences(before[-1], session) if before else []:
        run.reporter.log(f"warning: {line}")
    append(path, session)


def describe(run: "Run", step: int) -> Session:
    """What a training runs on, as JSON values."""
    first = run.devices.devices[0]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "step": step,
        "versions": versions(),
        "commit": commit(PACKAGE.parent),
        "os": platform.platform(),
        "devices": {
            "platform": first.platform,
            "kind": first.device_kind,
            "count": jax.device_count(),
            "processes": jax.process_count(),
        },
        "seed": run.config.training.seed,
        "data": run.data.fingerprints,
        **({"init": run.begun_from} if run.begun_from else {}),
    }


def versions() -> dict[str, str]:
    """Of Python, of this package and of the libraries whose numbers it takes."""
    found = {"python": platform.python_version(), "seq2seq_jax": __version__}
    for name in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def commit(root: Path) -> str | None:
    """The git commit that a checkout is at; None where there is no checkout.

    Reads files alone: git need not be there. What was changed since does not show.
    """
    git = root / ".git"
    try:
        if git.is_file():  # of a worktree: the path of its own folder
            git = root / git.read_text("utf-8").removeprefix("gitdir:").strip()
        head = (git / "HEAD").read_text("utf-8").strip()
        if not head.startswith("ref:"):
            return head
        return resolve(git, head.removeprefix("ref:").strip())
    except (OSError, ValueError):
        return None


def resolve(git: Path, ref: str) -> str | None:
    """The commit of a branch: in a file of its own, or packed with others."""
    common = git
    with contextlib.suppress(OSError):  # a worktree's branches are in another folder
        common = git / (git / "commondir").read_text("utf-8").strip()
    for folder in (git, common):
        if (folder / ref).is_file():
            return (folder / ref).read_text("utf-8").strip()
    for line in (common / "packed-refs").read_text("utf-8").splitlines():
        digits, _, name = line.partition(" ")
        if name == ref:
            return digits
    return None


def differences(before: Session, now: Session) -> list[str]:
    """A line for each version, commit, device or fingerprint that is another.

    >>> one = {"versions": {"jax": "0.10.0"}, "devices": {"platform": "gpu"}}
    >>> differences(one, one | {"versions": {"jax": "0.12.0"}})
    ['jax is 0.12.0, in the session before it was 0.10.0']
    """
    was, here = facts(before), facts(now)
    return [
        f"{name} is {here[name]}, in the session before it was {was[name]}"
        for name in here
        if name in was and was[name] != here[name]
    ]


def facts(session: Session) -> dict[str, Any]:
    """What of a session should stay: by the words that a message has for it."""
    devices, data = part(session, "devices"), part(session, "data")
    found = dict(part(session, "versions"))
    found |= {DEVICES[name]: x for name, x in devices.items() if name in DEVICES}
    if session.get("commit"):  # unknown where the package was installed
        found["the commit"] = session["commit"]
    found |= {f"the fingerprint of the {name} data": x for name, x in data.items()}
    if "weights" in (init := part(session, "init")):
        found["the fingerprint of training.init_from's weights"] = init["weights"]
    return found


def part(session: Session, name: str) -> dict[str, Any]:
    """A part of a line, empty where it is not there: the file may be damaged."""
    found = session.get(name)
    return found if isinstance(found, dict) else {}


def read(path: Path) -> list[Session]:
    """The lines of a file that can be read; a killed run may have left half of one."""
    found = []
    with contextlib.suppress(OSError), path.open(errors="replace") as lines:
        for line in lines:
            with contextlib.suppress(ValueError, RecursionError):
                session = json.loads(line)
                if isinstance(session, dict):
                    found.append(session)
    return found


def append(path: Path, session: Session) -> None:
    """Add a line, at one write; after half a line of a killed run it begins anew."""
    whole = True
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(-1, 2)
        whole = file.read() == b"\n"
    text = json.dumps(session) + "\n"
    with path.open("a", encoding="utf-8") as file:
        file.write(text if whole else "\n" + text)
