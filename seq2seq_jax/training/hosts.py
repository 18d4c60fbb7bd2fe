"""The processes of one training, and what they tell each other beside the step.

Process 0 decides and tells, in JSON, by the key-value store of `jax.distributed`: it
needs no compiling and no devices, and a wait may last as long as the other process
does. The steps of a training speak over the devices alone.
"""

import contextlib
import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from seq2seq_jax.errors import InputError, TrainingFailed

PREFIX = "seq2seq_jax"
LONGEST = 1 << 20  # letters of a value: messages to the coordinator have a limit
PIECE = 1 << 24  # numbers of an array that all devices hold at once
SLICE = 2000  # ms that a wait lasts before Python may look for signals
POLL = 0.5  # seconds between two looks at whether another process was asked to stop
RAISED = {kind.__name__: kind for kind in (InputError, TrainingFailed)}
Tree = Any

trainings = itertools.count()


class Hosts:
    """One process's view of them all; a process that is alone needs to tell nothing.

    All processes call the same methods in the same order.

    Args:
        index: this process's number.
        count: how many there are.
        client: of the coordinator's key-value store; None: this process is alone.
        training: the number of the training, among those of the process's life.
    """

    def __init__(
        self, index: int = 0, count: int = 1, client: Any = None, training: int = 0
    ):
        self.index, self.count, self._client = index, count, client
        self._name = f"{PREFIX}/{training}"
        self._calls = itertools.count()
        self._read: list[str] = []  # values that all have read at the next gathering

    @property
    def first(self) -> bool:
        """Whether this is process 0, which decides and writes."""
        return self.index == 0

    def told(self, value: Any) -> Any:
        """Process 0's value, as JSON gives it back, in every process."""
        if self.count == 1:
            return value
        key = self._key()
        if not self.first:
            return self._get(key)
        self._put(key, value)
        self._read.append(key)
        return json.loads(json.dumps(value))

    def gathered(self, value: Any) -> list[Any]:
        """The values of all processes, as JSON gives them back, in every process."""
        if self.count == 1:
            return [value]
        key = self._key()
        if not self.first:
            self._put(f"{key}/{self.index}", value)
            return self.told(None)
        others = [self._get(f"{key}/{index}") for index in range(1, self.count)]
        for old in (*self._read, key):
            self._client.key_value_delete(old)
        self._read = []
        return self.told([value, *others])

    def once(self, work: Callable[[], Any]) -> Any:
        """What work gives in process 0, in JSON; the others wait for it.

        Raises:
            InputError, TrainingFailed: in every process where work raises it.
        """
        if self.count == 1:
            return work()
        if not self.first:
            kind, value = self.told(None)
            if kind is not None:
                raise RAISED[kind](value)
            return value
        try:
            value = work()
        except tuple(RAISED.values()) as error:
            self.told([type(error).__name__, str(error)])
            raise
        return self.told([None, value])[1]

    def same(self, values: dict[str, str], what: str, remedy: str) -> None:
        """Refuse values that are not the same in all processes.

        Raises:
            InputError: naming the first process that has others, and the first of them.
        """
        if self.count == 1:
            return
        theirs = self.told(values)
        names = sorted(theirs.keys() | values.keys())
        other = [
            f"{name}: {values.get(name)} there, {theirs.get(name)} in process 0"
            for name in names
            if theirs.get(name) != values.get(name)
        ]
        for index, lines in enumerate(self.gathered(other[:3])):
            if lines:
                raise InputError(
                    f"process {index} has another {what} than process 0 "
                    f"({'; '.join(lines)}): {remedy}"
                )

    def copied(self, tree: Tree) -> Tree:
        """Process 0's arrays in every process, bit for bit, placed as the given ones.

        Args:
            tree: arrays of the same shapes in all processes; each on own devices.
        """
        if self.count == 1:
            return tree
        from jax.experimental import multihost_utils

        def copy(leaf: Any) -> jax.Array:
            bits = _bits(leaf)
            pieces = (bits[i : i + PIECE] for i in range(0, max(bits.size, 1), PIECE))
            made = [multihost_utils.broadcast_one_to_all(piece) for piece in pieces]
            return _array(leaf, np.concatenate(made))

        # Piece by piece: no device may have room for all.
        return jax.tree.map(copy, tree)

    @contextlib.contextmanager
    def agreeing(
        self, stop: Callable[[], bool], step: int
    ) -> Iterator[Callable[[int], bool]]:
        """Whether to stop after a step, asked after each: in all processes the same.

        Args:
            stop: whether this process was asked to stop.
            step: the last one made.
        """
        if self.count == 1:
            yield lambda step: stop()
            return
        agreement = Agreement(self._client, self._key(), self, stop, step)
        try:
            yield agreement.asked
            agreement.close()
        finally:  # after an error nobody is left to hear from
            agreement.over.set()

    def _key(self) -> str:
        return f"{self._name}/{next(self._calls)}"

    def _put(self, key: str, value: Any) -> None:
        put(self._client, key, value)

    def _get(self, key: str) -> Any:
        return get(self._client, key)


ALONE = Hosts()


def here() -> Hosts:
    """All processes that JAX runs in.

    Raises:
        InputError: they have different numbers of devices, or no coordinator.
    """
    if jax.process_count() == 1:
        return ALONE
    counts = Counter(device.process_index for device in jax.devices())
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{n} in process {i}" for i, n in sorted(counts.items()))
        raise InputError(
            f"the processes have different numbers of devices ({listed}), expected the "
            f"same in each: hide some, or start other processes"
        )
    # JAX has no public name for it; Orbax and others take it from here too.
    from jax._src import distributed

    client = distributed.global_state.client
    if client is None:
        raise InputError(
            f"JAX runs in {jax.process_count()} processes without "
            f"jax.distributed.initialize: start each with train.py --distributed"
        )
    return Hosts(jax.process_index(), jax.process_count(), client, next(trainings))


class Agreement:
    """Finds the step after which all processes stop, once any was asked to.

    A thread of each process looks whether any was asked. Then it holds its process
    between two steps, tells the last one begun there, and hears the others': all stop
    after the step that follows the highest, which none of them has begun. A process
    that waits in a step for a slower one tells it all the same, as its thread does.
    """

    def __init__(
        self, client: Any, key: str, hosts: Hosts, stop: Callable[[], bool], step: int
    ):
        self._client, self._key = client, key
        self._index, self._count = hosts.index, hosts.count
        self._stop, self._step = stop, step
        self._told = False
        self._at: int | None = None
        self._between = threading.Lock()
        self.over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def asked(self, step: int) -> bool:
        """Whether to stop after this step, which has begun."""
        if self._stop() and not self._told:
            self._told = True
            self._client.key_value_set(
                f"{self._key}/asked", "yes", allow_overwrite=True
            )
        with self._between:
            self._step = step
            return self._at is not None and step >= self._at

    def close(self) -> None:
        """End the thread; the others may still want to hear the last step."""
        self.over.set()
        self._thread.join()
        if self._at is None:
            put(self._client, f"{self._key}/{self._index}", self._step)

    def _watch(self) -> None:
        # Where the coordinator has gone away, the step fails too and tells.
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            while not there(self._client, f"{self._key}/asked"):
                if self.over.wait(POLL):
                    return
            with self._between:
                put(self._client, f"{self._key}/{self._index}", self._step)
                keys = (f"{self._key}/{index}" for index in range(self._count))
                self._at = 1 + max(get(self._client, key) for key in keys)


def put(client: Any, key: str, value: Any) -> None:
    """Store a JSON value under a key that has none."""
    text = json.dumps(value)
    parts = [text[i : i + LONGEST] for i in range(0, len(text), LONGEST)]
    for number, part in enumerate(parts[1:], 1):
        client.key_value_set(f"{key}/part{number}", part)
    client.key_value_set(f"{key}/part0", f"{len(parts)} {parts[0]}")


def get(client: Any, key: str) -> Any:
    """Wait for a value that some process stores."""
    count, _, text = wait(client, f"{key}/part0").partition(" ")
    rest = (wait(client, f"{key}/part{number}") for number in range(1, int(count)))
    return json.loads("".join([text, *rest]))


def wait(client: Any, key: str) -> str:
    """Wait for a text as long as it takes.

    Raises:
        jax.errors.JaxRuntimeError: the coordinator has gone away.
    """
    while True:
        try:
            return client.blocking_key_value_get(key, SLICE)
        except jax.errors.JaxRuntimeError as error:
            if "DEADLINE_EXCEEDED" not in str(error):
                raise


def there(client: Any, key: str) -> bool:
    """Whether a text is stored under a key.

    Raises:
        jax.errors.JaxRuntimeError: the coordinator has gone away.
    """
    try:
        client.key_value_try_get(key)
    except jax.errors.JaxRuntimeError as error:
        if "NOT_FOUND" not in str(error):
            raise
        return False
    return True


def _bits(leaf: Any) -> np.ndarray:
    """An array's bits in a row: adding zeros to these changes none of them."""
    if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    flat = np.ascontiguousarray(jax.device_get(leaf)).reshape(-1)
    return flat.view(np.uint32 if flat.itemsize % 4 == 0 else np.uint8)


def _array(like: Any, bits: np.ndarray) -> jax.Array:
    """The array of some bits, of a given one's shape, type and place."""
    if jax.numpy.issubdtype(like.dtype, jax.dtypes.prng_key):
        data = _array(jax.random.key_data(like), bits)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(like))
    array = np.asarray(bits).view(like.dtype).reshape(like.shape)
    return jax.device_put(array, like.sharding)
