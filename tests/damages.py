"""Ways to damage a trained workdir, drawn at random, for `fuzz_workdirs`."""

import os
import random
import shutil
from pathlib import Path


def flip(draw: random.Random, path: Path, other: Path, workdir: Path) -> None:
    """Change one to eight bytes."""
    data = bytearray(path.read_bytes() or b" ")
    for _ in range(draw.randint(1, 8)):
        data[draw.randrange(len(data))] ^= draw.randint(1, 255)
    path.write_bytes(data)


def cut(draw: random.Random, path: Path, other: Path, workdir: Path) -> None:
    """Keep the beginning."""
    os.truncate(path, draw.randint(0, max(path.stat().st_size - 1, 0)))


def empty(draw: random.Random, path: Path, other: Path, workdir: Path) -> None:
    """Keep nothing but the name."""
    os.truncate(path, 0)


def lose(draw: random.Random, path: Path, other: Path, workdir: Path) -> None:
    """Delete it."""
    path.unlink()


def folder_instead(draw: random.Random, path: Path, other: Path, workdir: Path) -> None:
    """A folder of its name."""
    path.unlink()
    path.mkdir()


def of_another_run(draw: random.Random, path: Path, other: Path, workdir: Path) -> None:
    """The file of the same name in the other workdir, or any of its files."""
    theirs = other / path.relative_to(workdir)
    if not theirs.is_file():
        theirs = draw.choice(files(other))
    shutil.copyfile(theirs, path)


def exchange(draw: random.Random, path: Path, other: Path, workdir: Path) -> None:
    """Swap it with another file, half of the time one of its own name."""
    choices = [x for x in files(workdir) if x != path]
    alike = [x for x in choices if x.name == path.name]
    second = draw.choice(alike if alike and draw.random() < 0.5 else choices)
    one, two = path.read_bytes(), second.read_bytes()
    path.write_bytes(two)
    second.write_bytes(one)


def folders_exchanged(
    draw: random.Random, path: Path, other: Path, workdir: Path
) -> None:
    """The whole folder round the file, from the other workdir."""
    parents = [x for x in path.parents if workdir in x.parents]
    parents = [x for x in parents if (other / x.relative_to(workdir)).is_dir()]
    if parents:
        folder = draw.choice(parents)
        shutil.rmtree(folder)
        shutil.copytree(other / folder.relative_to(workdir), folder)


DAMAGES = (flip, flip, cut, empty, lose, folder_instead, of_another_run, exchange)
DAMAGES += (folders_exchanged,)


def files(workdir: Path) -> list[Path]:
    """All files, in a fixed order."""
    return sorted(path for path in workdir.rglob("*") if path.is_file())


def place(relative: Path) -> str:
    """The part of a workdir that a file belongs to, for the summary."""
    first = relative.parts[0]
    if first != "checkpoints":
        return first
    return (
        "checkpoints/*"
        if len(relative.parts) < 4
        else f"checkpoints/*/{relative.parts[2]}"
    )


def choose(draw: random.Random, workdir: Path) -> Path:
    """A file: each part of the workdir as likely, however many files it has."""
    places: dict[str, list[Path]] = {}
    for path in files(workdir):
        places.setdefault(place(path.relative_to(workdir)), []).append(path)
    return draw.choice(places[draw.choice(sorted(places))])


def damage(draw: random.Random, other: Path, workdir: Path) -> list[tuple[str, str]]:
    """Damage one file, now and then two; returns what was done, and where."""
    done = []
    for _ in range(1 if draw.random() < 0.8 else 2):
        kind, path = draw.choice(DAMAGES), choose(draw, workdir)
        kind(draw, path, other, workdir)
        done.append((kind.__name__, str(path.relative_to(workdir))))
    return done
