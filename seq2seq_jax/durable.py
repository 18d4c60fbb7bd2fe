"""Files that a power cut does not take back: on the disk, not only in its cache."""

import errno
import os
from pathlib import Path


def sync(path: Path | str) -> None:
    """Wait until what was written to a file, or what a folder lists, is on the disk.

    Raises:
        OSError: the disk could not take it.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems do not know this of folders; nothing else is to do.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """`sync` of a folder with all that is in it, and of its name."""
    for path, _, files in os.walk(folder):
        for name in files:
            sync(os.path.join(path, name))
        sync(path)
    sync(folder.parent)


def replace(new: Path, path: Path) -> None:
    """Rename a file that was just written to `path`: the old one is there or the new.

    Without the first `sync` a power cut could leave the new name on an empty file.
    """
    sync(new)
    os.replace(new, path)
    sync(path.parent)
