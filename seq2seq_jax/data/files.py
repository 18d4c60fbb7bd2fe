"""Files that are there whole or not at all."""

import os
from pathlib import Path

from seq2seq_jax import durable


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file under another name, then rename it: never half of it is seen."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        durable.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
