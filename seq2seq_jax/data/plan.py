"""The plan of batches: batch i is a pure function of the seed and i, for any i."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from seq2seq_jax.config import Config
from seq2seq_jax.data.buckets import Bucket, make_buckets
from seq2seq_jax.types import Batch

WORD = 1 << 32  # seeds are given in words of 32 bits


class Examples(Protocol):
    """What batches are made of: a `Corpus` of pairs, or `Windows` of series.

    Attributes:
        lengths: `[N, 2]` of each example, source and target.
    """

    lengths: Any

    def __len__(self) -> int: ...

    def collate(self, rows: np.ndarray, source: int, target: int) -> Batch:
        """Examples `[R]` (-1: an empty row) as a batch padded to lengths S and T."""
        ...


class BatchPlan:
    """Batches of a corpus; every example stands in exactly one batch of an epoch.

    `plan[i]` is batch `i % len(plan)` of epoch `i // len(plan)`, so one integer is the
    position, and every process finds its rows of the same batch without a word to the
    others. What a batch lacks is filled with empty rows (all masks false).

    Attributes:
        shapes: the (rows, S, T) that occur; rows of one process.
    """

    def __init__(
        self,
        corpus: Examples,
        config: Config,
        process_index: int = 0,
        process_count: int = 1,
        *,
        shuffle: bool = True,
    ) -> None:
        """Choose the shapes.

        Args:
            shuffle: a new order each epoch; else always by bucket and number.
        """
        self.corpus = corpus
        training = config.training
        self.seed = training.seed
        self.shuffle = shuffle
        self.process = process_index, process_count
        self.buckets = make_buckets(
            corpus.lengths,
            config.data.buckets,
            training.batch_tokens,
            training.batch_size,
        )
        counts = [-(-len(b.members) // b.rows) for b in self.buckets]
        # Batch n in unshuffled order: its bucket, and its place among the bucket's.
        self.bucket_of = np.repeat(np.arange(len(counts)), counts)
        self.place_of = np.concatenate([np.arange(count) for count in counts])
        self._epochs: dict[int, tuple[np.ndarray, list[np.ndarray]]] = {}

    def __str__(self) -> str:
        return f"{len(self):,} batches an epoch in {len(self.shapes)} shapes"

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self.bucket_of)

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """The (rows, S, T) of this process's batches."""
        count = self.process[1]
        return [(-(-b.rows // count), b.source, b.target) for b in self.buckets]

    @property
    def padding(self) -> float:
        """Share of an epoch's cells, both sides, that are padding."""
        cells = sum(
            b.rows * (b.source + b.target) * -(-len(b.members) // b.rows)
            for b in self.buckets
        )
        return 1 - float(self.corpus.lengths.sum()) / cells

    def rows(self, index: int) -> tuple[Bucket, np.ndarray]:
        """The bucket of batch `index` and its examples over all processes, -1: none."""
        epoch, number = divmod(index, len(self))
        schedule, orders = self._epoch(epoch)
        chosen = schedule[number]
        bucket = self.buckets[self.bucket_of[chosen]]
        start = self.place_of[chosen] * bucket.rows
        rows = orders[self.bucket_of[chosen]][start : start + bucket.rows]
        return bucket, _fill(rows, -(-bucket.rows // self.process[1]) * self.process[1])

    def __getitem__(self, index: int) -> Batch:
        """This process's rows of batch `index`.

        Raises:
            IndexError: if the index is below 0.
        """
        if index < 0:
            raise IndexError(f"batch {index}: the first is 0")
        bucket, rows = self.rows(index)
        mine, count = self.process
        share = len(rows) // count
        rows = rows[mine * share : (mine + 1) * share]
        return self.corpus.collate(rows, bucket.source, bucket.target)

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the first epoch."""
        return (self[index] for index in range(len(self)))

    def _epoch(self, epoch: int) -> tuple[np.ndarray, list[np.ndarray]]:
        """The order of an epoch's batches, and of the examples of each bucket."""
        if not self.shuffle:
            return np.arange(len(self)), [b.members for b in self.buckets]
        known = self._epochs
        if epoch not in known:
            # RandomState, as its streams are the same in every version of NumPy.
            seeds = [self.seed % WORD, self.seed // WORD % WORD, epoch]
            draw = np.random.RandomState(seeds)
            orders = [draw.permutation(b.members) for b in self.buckets]
            made = draw.permutation(len(self)), orders
            last = {e: known[e] for e in sorted(known)[-1:]}
            # One assignment: another thread sees the old dict or the new.
            self._epochs = known = last | {epoch: made}
        return known[epoch]


def _fill(rows: np.ndarray, size: int) -> np.ndarray:
    return np.concatenate([rows, np.full(size - len(rows), -1, rows.dtype)])
