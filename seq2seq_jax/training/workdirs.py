"""Whose a workdir is: of which training, of which config, and what may change later."""

import contextlib
import errno
import fcntl
import os
import shutil
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from seq2seq_jax import config as configs
from seq2seq_jax import durable
from seq2seq_jax.config import Config
from seq2seq_jax.errors import InputError

# What a resumed run may change: how long, how often and how much is looked at and kept,
# where things lie. Everything else decides what is learnt or what "best" means.
RESUMABLE = (
    "data.data_dir",
    "data.test_source",
    "data.test_target",
    "data.test_tsv",
    "data.test_split",
    "model.backend",
    "model.unroll",
    "training.steps",
    "training.epochs",
    "training.vocabulary_shards",
    "training.shard_optimizer",
    "training.accumulate",
    "training.on_nan",
    "training.nan_limit",
    "training.loss_limit",
    "training.log_every",
    "training.eval_every",
    "training.patience",
    "training.eval_examples",
    "training.eval_beam_size",
    "training.eval_length_penalty",
    "training.eval_coverage_penalty",
    "training.eval_pictures",
    "training.save_every",
    "training.keep_last",
    "training.keep_best",
    "training.prefetch",
)
# Where data lies: it may have moved, and its content has fingerprints.
PLACES = (
    *(
        f"data.{split}_{part}"
        for split in ("train", "dev", "source", "target")
        for part in ("source", "target", "tsv", "vectors")
    ),
    "series.table",
)


# What preparing the data makes.
PREPARED = ("tokenizers", "data", "lengths.json", "series.json")

LOCK = ".lock"
HELD = (errno.EAGAIN, errno.EACCES)
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


@contextlib.contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """Keep other trainings out of a workdir, which is made where it is missing.

    The kernel frees the lock when the process ends, however it ends. Where the file
    system has no locks, a warning says so. A folder made here goes if nothing came in.

    Raises:
        InputError: another training is at work in it, or it cannot be written.
    """
    fresh = not workdir.exists()
    try:
        file = take(workdir)
    except OSError as error:
        raise InputError(f"{workdir} cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            (workdir / LOCK).unlink()  # while it is held: `take` knows a stale file
        file.close()
        if fresh:
            with contextlib.suppress(OSError):  # whatever is there stays there
                workdir.rmdir()


def take(workdir: Path) -> IO[str]:
    """The workdir's lock, as an open file with the holder's name in it.

    Raises:
        InputError: another process has it.
        OSError: the file cannot be made.
    """
    path = workdir / LOCK
    while True:
        workdir.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(path.open("a+", encoding="utf-8"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                refuse_or_warn(workdir, file, error)
            # Another may have deleted the file between its opening and its locking.
            if os.fstat(file.fileno()).st_nlink:
                file.truncate(0)
                file.write(f"process {os.getpid()} on {socket.gethostname()}")
                file.flush()
                stack.pop_all()
                return file


def refuse_or_warn(workdir: Path, file: IO[str], error: OSError) -> None:
    """Say why a lock was not given: it is held, or there are none."""
    if error.errno in NO_LOCKS:
        warnings.warn(
            f"the file system of {workdir} has no locks ({error.strerror}): see to it "
            f"that no other training works there",
            stacklevel=2,
        )
    elif error.errno in HELD:
        file.seek(0)
        raise InputError(
            f"{workdir} is in use by another training, "
            f"{file.read() or 'which has just begun'}: wait for its end, or name "
            f"another --workdir"
        ) from None
    else:
        raise error


def admit(config: Config, workdir: Path) -> list[str]:
    """Compare a config with the one that the workdir was begun with.

    Returns:
        What differs, all of it allowed.

    Raises:
        InputError: it is the workdir of another config, saying what differs.
    """
    path, folder = workdir / "config.json", workdir / "checkpoints"
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, expected the folder of the checkpoints")
    if not path.exists():
        if folder.exists():
            raise InputError(
                f"{workdir} has checkpoints but no config.json: put it back, or name "
                f"another --workdir"
            )
        return []
    changed = differences(configs.load(path), config)
    may_change = (*RESUMABLE, *PLACES)
    refused = [line for line in changed if line.split(":")[0] not in may_change]
    if refused:
        raise InputError(
            f"{workdir} was begun with another config ({'; '.join(refused)}): name "
            f"another --workdir, or take these back to resume"
        )
    return changed


def differences(old: Config, new: Config) -> list[str]:
    """`"model.cell: 'lstm' -> 'gru'"` for every field that differs.

    >>> differences(Config(), Config(model=configs.ModelConfig(cell="gru")))
    ["model.cell: 'lstm' -> 'gru'"]
    """
    before = dict(configs.flatten(old))
    return [
        f"{name}: {before[name]!r} -> {value!r}"
        for name, value in configs.flatten(new)
        if value != before[name]
    ]


@contextlib.contextmanager
def claimed(config: Config, workdir: Path) -> Iterator[None]:
    """Write the config while the data is prepared; a failure leaves a new workdir new.

    Without a config beside them, tokenisers trained for one config would be taken for
    those of the next.
    """
    fresh = not (workdir / "config.json").exists()
    made = [name for name in PREPARED if not (workdir / name).exists()]
    write(workdir / "config.json", configs.to_json(config))
    try:
        yield
    except BaseException as error:
        if fresh:
            (workdir / "config.json").unlink(missing_ok=True)
            refused = isinstance(error, InputError)
            for name in made:
                # What was interrupted may go on from its cache of ids and lengths.
                if refused or name == "tokenizers":
                    remove(workdir / name)
        raise


@contextlib.contextmanager
def wording(workdir: Path) -> Iterator[None]:
    """Word a disk that takes no more; checkpoints do this for themselves.

    Raises:
        InputError: for every `OSError` inside.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{error.filename or workdir}: {error.strerror or error}; checkpoints in "
            f"{workdir} are whole: run the same command again once this is mended"
        ) from error


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all.

    Raises:
        InputError: the folder or the file cannot be written.
    """
    new = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(text, encoding="utf-8")
        durable.replace(new, path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
