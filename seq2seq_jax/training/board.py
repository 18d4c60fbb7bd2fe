"""Curves, texts and pictures for TensorBoard, written at once.

tensorboardX's own `SummaryWriter` hands events to a thread: what is queued is lost when
a run is killed, and on a full disk the thread prints a traceback and the run never
hears of it.
"""

import os
import socket
import time
from pathlib import Path
from typing import Any

from tensorboardX.proto import (
    event_pb2,
    summary_pb2,
    tensor_pb2,
    tensor_shape_pb2,
    types_pb2,
)
from tensorboardX.record_writer import RecordWriter

from seq2seq_jax import durable

PREFIX = "events.out.tfevents."
RGBA = 4  # TensorBoard's name for the colours of a PNG as matplotlib writes it


class Board:
    """An event file in a folder; a resumed run begins another one.

    Args:
        folder: made where it is missing.
        step: the step to go on from: TensorBoard drops what earlier files say of later
            steps, so the curve is that of a run never interrupted.
    """

    def __init__(self, folder: Path, step: int):
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / name_of_next([path.name for path in folder.iterdir()])
        self._writer = RecordWriter(str(self._path))
        self._write(event_pb2.Event(file_version="brain.Event:2"))
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._write(event_pb2.Event(step=step + 1, session_log=start))
        durable.sync(folder)

    def add(self, step: int, values: dict[str, float]) -> None:
        """One point on each of some curves.

        Raises:
            OSError: the disk takes no more.
        """
        points = [
            summary_pb2.Summary.Value(tag=tag, simple_value=value)
            for tag, value in values.items()
        ]
        summary = summary_pb2.Summary(value=points)
        self._write(event_pb2.Event(step=step, summary=summary))

    def show(self, step: int, texts: dict[str, str], pictures: dict[str, Any]) -> None:
        """Texts in Markdown, and pictures `(PNG, width, height)`, by their tags.

        Raises:
            OSError: the disk takes no more.
        """
        shown = [
            summary_pb2.Summary.Value(
                tag=tag,
                metadata=summary_pb2.SummaryMetadata(
                    plugin_data=summary_pb2.SummaryMetadata.PluginData(
                        plugin_name="text"
                    )
                ),
                tensor=tensor_pb2.TensorProto(
                    dtype=types_pb2.DT_STRING,
                    string_val=[text.encode()],
                    tensor_shape=tensor_shape_pb2.TensorShapeProto(
                        dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=1)]
                    ),
                ),
            )
            for tag, text in texts.items()
        ]
        for tag, (png, width, height) in pictures.items():
            image = summary_pb2.Summary.Image(
                height=height, width=width, colorspace=RGBA, encoded_image_string=png
            )
            shown.append(summary_pb2.Summary.Value(tag=tag, image=image))
        summary = summary_pb2.Summary(value=shown)
        self._write(event_pb2.Event(step=step, summary=summary))

    def _write(self, event: event_pb2.Event) -> None:
        event.wall_time = time.time()
        self._writer.write(event.SerializeToString())
        self._writer.flush()

    def sync(self) -> None:
        """Wait until all points are on the disk."""
        durable.sync(self._path)

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


def name_of_next(names: list[str]) -> str:
    """The name of a new event file, behind all that are there.

    TensorBoard reads files in the order of their names. These begin with the second;
    two runs may share one, and another host's clock may be ahead.

    >>> name_of_next(["events.out.tfevents.9999999998.host"])[:30]
    'events.out.tfevents.9999999999'
    """
    stamps = [
        name[len(PREFIX) :].split(".")[0] for name in names if name.startswith(PREFIX)
    ]
    last = max((int(stamp) for stamp in stamps if stamp.isdecimal()), default=0)
    second = max(int(time.time()), last + 1)
    return f"{PREFIX}{second:010}.{socket.gethostname()}.{os.getpid()}"
