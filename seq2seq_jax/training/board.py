"""Curves for TensorBoard, written at once.

tensorboardX's own `SummaryWriter` hands events to a thread: what is queued is lost when
a run is killed, and on a full disk the thread prints a traceback and the run never
hears of it.
"""

import os
import time
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto import event_pb2, summary_pb2


class Board:
    """An event file in a folder; a resumed run begins another one.

    Args:
        folder: made where it is missing.
        step: the step to go on from: TensorBoard drops what earlier files say of later
            steps, so the curve is that of a run never interrupted.
    """

    def __init__(self, folder: Path, step: int):
        folder.mkdir(parents=True, exist_ok=True)
        suffix = f".{os.getpid()}.{step}"  # two files of one second need two names
        self._writer = EventsWriter(str(folder / "events"), suffix)
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._write(event_pb2.Event(step=step + 1, session_log=start))

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

    def _write(self, event: event_pb2.Event) -> None:
        event.wall_time = time.time()
        self._writer.write_event(event)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
