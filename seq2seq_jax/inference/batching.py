"""Many sequences through few shapes, in windows, with their order restored."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
R = TypeVar("R")
EDGES = 6  # padded lengths in all: each is a program to compile
SHORTEST = 8
FEW = (1, 8, 32)  # rows of a batch where a whole window holds no more


class Group(NamedTuple):
    """Sequences that make one batch: their places in the window, and its shape."""

    places: list[int]
    rows: int
    length: int


def windows(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most `size` items, in order; the stream is never held as a whole.

    >>> list(windows("abc", 2))
    [['a', 'b'], ['c']]
    """
    stream = iter(items)
    while window := list(islice(stream, size)):
        yield window


def length_edges(longest: int, count: int = EDGES) -> list[int]:
    """At most `count` lengths to pad to, in even ratios up to `longest`.

    >>> length_edges(100)
    [8, 16, 24, 40, 64, 100]
    >>> length_edges(40), length_edges(5)
    ([8, 12, 16, 24, 32, 40], [5])
    """
    if longest <= SHORTEST:
        return [longest]
    ratio = (longest / SHORTEST) ** (1 / (count - 1))
    ideal = (SHORTEST * ratio**i for i in range(count - 1))
    return sorted(
        {min(4 * math.ceil(x / 4 - 1e-6), longest) for x in ideal} | {longest}
    )


def group(
    lengths: Sequence[int], edges: Sequence[int], rows_of: Callable[[int], int]
) -> Iterator[Group]:
    """Cut a window into batches, the longest sequences first.

    A batch is as long as the edge that its longest sequence needs, and has
    `rows_of(edge)` rows: few shapes, and only the last batch is not full. A window of
    a few sequences gets a batch of a few rows.
    """
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    few = next((rows for rows in FEW if len(order) <= rows), None)
    while order:
        length = next(edge for edge in edges if edge >= lengths[order[0]])
        rows = rows_of(length) if few is None else min(few, rows_of(length))
        yield Group(order[:rows], rows, length)
        order = order[rows:]


def process(
    items: Iterable[T | None],
    window: int,
    *,
    length_of: Callable[[T], int],
    edges: Sequence[int],
    rows_of: Callable[[int], int],
    begin: Callable[[list[T], Group], Any],
    finish: Callable[[list[T], Any], Iterable[R]],
    blank: R | None = None,
) -> Iterator[R]:
    """Results of a stream of items, in its order; `None` is an item without work.

    Args:
        items: the stream, of which a window is held at a time.
        window: its size.
        length_of: an item's length, at most the last edge.
        edges: lengths that batches are padded to, rising.
        rows_of: rows of a batch of a length.
        begin: starts the work on one batch and returns before it is done.
        finish: waits for it; a result for each item.
        blank: the result of `None`.
    """
    for chunk in windows(items, window):
        results: list[Any] = [blank] * len(chunk)
        real = [(place, item) for place, item in enumerate(chunk) if item is not None]
        pending: list[tuple[list[tuple[int, T]], Any]] = []

        def read(results: list[Any], part: list[tuple[int, T]], begun: Any) -> None:
            read_results = finish([item for _, item in part], begun)
            for (place, _), result in zip(part, read_results, strict=True):
                results[place] = result

        for one in group([length_of(item) for _, item in real], edges, rows_of):
            part = [real[i] for i in one.places]
            pending.append((part, begin([item for _, item in part], one)))
            if len(pending) > 1:  # the device works while the host reads
                read(results, *pending.pop(0))
        for part, begun in pending:
            read(results, part, begun)
        yield from results
