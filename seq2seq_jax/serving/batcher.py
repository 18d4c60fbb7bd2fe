"""Items of many requests, worked off together by one thread, which has the device.

An item waits for others until it has waited `wait` seconds or a batch is full. Of those
that want the same as the oldest one, those whose length is nearest to its are taken: a
batch costs as much as its longest item. The oldest one is always in it, so all have
their turn.
"""

import math
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Work = Callable[[Any, list], Sequence[Any]]


class Full(Exception):
    """The queue has no room; `seconds` until it may have."""

    def __init__(self, seconds: int):
        super().__init__(f"try again in {seconds} s")
        self.seconds = seconds


@dataclass
class Ticket:
    """A request's items: their results so far, and the promise of all of them."""

    results: list[Any]
    left: int
    future: Future = field(default_factory=Future)

    def settle(self, place: int, result: Any) -> None:
        """Enter a result, and keep the promise with the last one."""
        self.results[place] = result
        self.left -= 1
        if not self.left:
            with suppress(InvalidStateError):  # nobody waits for it any more
                self.future.set_result(self.results)

    def fail(self, error: BaseException) -> None:
        """One item's failure is the request's."""
        with suppress(InvalidStateError):
            self.future.set_exception(error)


class Item(NamedTuple):
    """One of a request's items.

    Attributes:
        key: what is wanted; only items with equal keys are worked off together.
        value: what it is wanted of.
        length: of the value.
        born: when it came, by `time.monotonic`.
        ticket, place: where its result goes.
    """

    key: Hashable
    value: Any
    length: int
    born: float
    ticket: Ticket
    place: int


class Batcher:
    """A queue of bounded size with a thread at its end.

    Args:
        work: `(key, values) -> results`, called by that thread alone.
        rows: values that it is given at once, at most.
        wait: seconds that an item waits for others.
        room: items that may wait.
        seen: told of each batch: its items, seconds of work and seconds that the
            oldest one has waited.
    """

    def __init__(
        self,
        work: Work,
        *,
        rows: int,
        wait: float,
        room: int,
        seen: Callable[[int, float, float], None] = lambda *_: None,
    ):
        self.work, self.rows, self.wait, self.room = work, rows, wait, room
        self.seen = seen
        self.changed = threading.Condition()
        self.items: list[Item] = []
        self.stopping = False
        self.seconds_each = 0.01  # of an item; a running mean
        self.thread = threading.Thread(target=self._run, name="device", daemon=True)
        self.thread.start()

    @property
    def waiting(self) -> int:
        """Items that nobody works on yet."""
        return len(self.items)

    def submit(
        self, key: Hashable, values: Sequence[Any], lengths: Sequence[int]
    ) -> Future:
        """The promise of a result for each value; it may be cancelled.

        Raises:
            Full: there is no room for all of them.
        """
        ticket, born = Ticket([None] * len(values), len(values)), time.monotonic()
        made = [
            Item(key, value, length, born, ticket, place)
            for place, (value, length) in enumerate(zip(values, lengths, strict=True))
        ]
        with self.changed:
            if len(self.items) + len(made) > self.room:
                seconds = math.ceil(len(self.items) * self.seconds_each)
                raise Full(max(1, seconds))
            self.items += made
            self.changed.notify()
        return ticket.future

    def stop(self) -> None:
        """Work off what is there, then end the thread."""
        with self.changed:
            self.stopping = True
            self.changed.notify()
        self.thread.join()

    def _run(self) -> None:
        while batch := self._next():
            begun = time.monotonic()
            self._answer(batch)
            took = time.monotonic() - begun
            self.seconds_each += 0.1 * (took / len(batch) - self.seconds_each)
            self.seen(len(batch), took, begun - min(item.born for item in batch))

    def _next(self) -> list[Item]:
        """Wait for the next batch; an empty one: there will be no more."""
        with self.changed:
            while True:
                self.items = [i for i in self.items if not i.ticket.future.done()]
                if not self.items:
                    if self.stopping:
                        return []
                    self.changed.wait()
                    continue
                oldest = self.items[0]
                alike = [item for item in self.items if item.key == oldest.key]
                patience = oldest.born + self.wait - time.monotonic()
                if self.stopping or patience <= 0 or len(alike) >= self.rows:
                    break
                self.changed.wait(patience)
            batch = nearest_in_length(alike, self.rows)
            chosen = set(map(id, batch))
            self.items = [item for item in self.items if id(item) not in chosen]
            return batch

    def _answer(self, batch: list[Item]) -> None:
        """Do the work, and hand the results out."""
        try:
            results = self.work(batch[0].key, [item.value for item in batch])
        except Exception as error:
            if len(batch) == 1:
                batch[0].ticket.fail(error)
            else:  # one item must not be the others' failure
                for item in batch:
                    self._answer([item])
            return
        for item, result in zip(batch, results, strict=True):
            item.ticket.settle(item.place, result)


def nearest_in_length(items: Sequence[Item], rows: int) -> list[Item]:
    """At most `rows` items, the first of them among these, of lengths near together."""
    order = sorted(range(len(items)), key=lambda place: items[place].length)
    if len(order) <= rows:
        return [items[place] for place in order]
    first = order.index(0)
    starts = range(max(0, first - rows + 1), min(first, len(order) - rows) + 1)

    def spread(start: int) -> int:
        return items[order[start + rows - 1]].length - items[order[start]].length

    start = min(starts, key=spread)
    return [items[place] for place in order[start : start + rows]]
