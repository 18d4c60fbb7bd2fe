"""Laws of the queue: all are answered once, together, and none for long in vain."""

import threading
import time

import pytest

from seq2seq_jax.serving.batcher import Batcher, Full, Item, Ticket, nearest_in_length

PATIENCE = 20  # seconds that a test waits for what must come


class Work:
    """Doubles numbers; holds its first batch until it is told to go on."""

    def __init__(self, held=False):
        self.batches, self.going = [], threading.Event()
        if not held:
            self.going.set()

    def __call__(self, key, values):
        self.batches.append((key, list(values)))
        assert self.going.wait(PATIENCE)
        if "bad" in values:
            raise ValueError("bad")
        return [2 * value for value in values]


def batcher(work, rows=4, wait=0.01, room=100):
    return Batcher(work, rows=rows, wait=wait, room=room)


def submit(queue, key, values):
    return queue.submit(key, values, [len(str(value)) for value in values])


def test_all_are_answered_in_order_in_batches_of_one_key():
    work = Work()
    queue = batcher(work, room=1000)
    promises = [
        (n, submit(queue, n % 3, list(range(n, n + n % 6 + 1)))) for n in range(40)
    ]
    for n, promise in promises:
        expected = [2 * value for value in range(n, n + n % 6 + 1)]
        assert promise.result(PATIENCE) == expected
    queue.stop()
    assert all(len(values) <= 4 for _, values in work.batches)
    worked = sorted((k, v) for k, values in work.batches for v in values)
    asked = [(n % 3, v) for n in range(40) for v in range(n, n + n % 6 + 1)]
    assert worked == sorted(asked)


def test_those_that_wait_are_worked_off_together():
    work = Work(held=True)
    queue = batcher(work)
    promises = [submit(queue, "k", [1])]
    while not work.batches:
        time.sleep(0.001)
    promises += [submit(queue, "k", [n]) for n in range(8)]
    work.going.set()
    for promise in promises:
        promise.result(PATIENCE)
    queue.stop()
    assert [len(values) for _, values in work.batches] == [1, 4, 4]


def test_a_lone_item_does_not_wait_for_long():
    queue = batcher(Work(), rows=1000, wait=0.05)
    begun = time.monotonic()
    assert submit(queue, "k", [3]).result(PATIENCE) == [6]
    assert time.monotonic() - begun < PATIENCE / 2
    queue.stop()


def test_what_has_no_room_is_refused_as_a_whole():
    work = Work(held=True)
    queue = batcher(work, rows=1, room=3)
    first = submit(queue, "k", [0])
    while queue.waiting:
        time.sleep(0.001)
    kept = submit(queue, "k", [1, 2])
    with pytest.raises(Full) as full:
        submit(queue, "k", [3, 4])
    assert full.value.seconds >= 1
    last = submit(queue, "k", [5])
    work.going.set()
    results = [promise.result(PATIENCE) for promise in (first, kept, last)]
    assert results == [[0], [2, 4], [10]]
    queue.stop()


def test_a_failure_is_of_one_item_alone():
    queue = batcher(Work(), wait=0.2)
    bad, good = submit(queue, "k", ["x", "bad"]), submit(queue, "k", ["y", "z"])
    assert good.result(PATIENCE) == ["yy", "zz"]
    with pytest.raises(ValueError, match="bad"):
        bad.result(PATIENCE)
    assert submit(queue, "k", [1]).result(PATIENCE) == [2]
    queue.stop()


def test_what_is_called_off_is_not_worked_on():
    work = Work(held=True)
    queue = batcher(work, rows=1)
    first = submit(queue, "k", [0])
    while queue.waiting:
        time.sleep(0.001)
    second, third = submit(queue, "k", [1]), submit(queue, "k", [2])
    assert second.cancel()
    work.going.set()
    assert (first.result(PATIENCE), third.result(PATIENCE)) == ([0], [4])
    queue.stop()
    assert [values for _, values in work.batches] == [[0], [2]]


def test_to_stop_is_to_finish():
    queue = batcher(Work(), wait=100)
    promises = [submit(queue, n, [n]) for n in range(9)]
    queue.stop()
    assert [promise.result(0) for promise in promises] == [[2 * n] for n in range(9)]


def test_the_oldest_is_always_chosen_with_those_nearest_in_length():
    lengths = [7, 1, 9, 8, 30, 6, 2]
    items = [Item("k", n, n, 0.0, Ticket([None], 1), 0) for n in lengths]
    assert [item.length for item in nearest_in_length(items, 3)] == [6, 7, 8]
    assert [item.length for item in nearest_in_length(items[1:], 2)] == [1, 2]
    assert len(nearest_in_length(items, 100)) == len(items)
