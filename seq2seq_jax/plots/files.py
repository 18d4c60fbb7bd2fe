"""Pictures as files: by their ending, whole or not at all, the same every time."""

import io
import os
import struct
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from seq2seq_jax.errors import choose

FORMATS = ("png", "svg", "pdf")


def kind_of(path: Path) -> str:
    """The format that a path's ending asks for.

    Raises:
        InputError: on another one.
    """
    return choose(FORMATS, path.suffix.lower().lstrip("."), f"ending of {path}")


def as_png(figure: Figure) -> tuple[bytes, int, int]:
    """A figure as a PNG file's bytes, with its width and height in pixels."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight", dpi=100)
    data = buffer.getvalue()
    width, height = struct.unpack(">II", data[16:24])  # of the header, IHDR
    return data, width, height


def save(figure: Figure, path: Path) -> Path:
    """Write a figure; nothing half-written is left under its name.

    Raises:
        InputError: on another format.
        OSError: it cannot be written.
    """
    kind = kind_of(path)
    unfinished = path.with_name(f".{path.name}.unfinished")
    # No date: the same figure gives the same file.
    stamp = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
    try:
        with matplotlib.rc_context({"svg.hashsalt": "seq2seq-jax"}):
            figure.savefig(
                unfinished, format=kind, bbox_inches="tight", dpi=100, metadata=stamp
            )
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path
