"""Which target tokens a source token stands for: IBM Model 1 on pairs of ids.

Brown et al. 1993, section 4.1: each target token y of a pair comes from one source
token x of it, or from none (the empty word), all equally likely, with probability
t(y | x). What maximises the pairs' likelihood is found by expectation-maximisation,
from a t that is the same for all that stands together in a pair:

    count(y, x) = sum over the y of all pairs of  t(y | x) / sum over x' of t(y | x')
    t(y | x) = count(y, x) / sum over y' of count(y', x)

The sum over x' is over the pair's source tokens and the empty word. A token that stands
twice in a source counts once there; in a target, twice.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from seq2seq_jax.types import PAD

ROUNDS = 5  # of expectation-maximisation
EMPTY = PAD  # the empty word's id; no source has it
LEAST = 0.01  # the smallest t(y | x) of what is kept

Pair = tuple[Sequence[int], Sequence[int]]


class Table(NamedTuple):
    """What stands together in pairs, and where.

    Attributes:
        sources, targets: `[N]` x and y of each entry, rising.
        uses: `[E]` the entry of each way in which a target token may have come about.
        starts: `[P]` where the ways of each target token begin.
    """

    sources: np.ndarray
    targets: np.ndarray
    uses: np.ndarray
    starts: np.ndarray


def translations(
    pairs: Iterable[Pair], sizes: tuple[int, int], most: int
) -> np.ndarray:
    """The likeliest target tokens of each source token.

    Args:
        pairs: ids of sources and targets.
        sizes: how many ids there are on either side.
        most: M, kept of each; fewer where fewer have a probability of `LEAST`.

    Returns:
        `[V, M]` ids, the likeliest first, `PAD` behind them.

    >>> pairs = [([4, 5], [7, 8]), ([4, 6], [7, 9]), ([4], [7])]
    >>> translations(pairs, (7, 10), most=1)[4:].tolist()
    [[7], [8], [9]]
    """
    table = together(pairs, sizes[1])
    chances = np.ones(len(table.sources))
    for _ in range(ROUNDS):
        chances = better(chances, table)
    return likeliest(table, chances, sizes[0], most)


def together(pairs: Iterable[Pair], size: int) -> Table:
    """What stands together in the pairs; `size`: ids of a target."""
    keys, ways = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for source, target in pairs:
        reads = np.unique(np.array([EMPTY, *source], np.int64))
        says = np.asarray(target, np.int64)
        keys.append((reads * size + says[:, None]).ravel())
        ways.append(np.full(len(says), len(reads)))
    entries, uses = np.unique(np.concatenate(keys), return_inverse=True)
    each = np.concatenate(ways)
    return Table(entries // size, entries % size, uses, np.cumsum(each) - each)


def better(chances: np.ndarray, table: Table) -> np.ndarray:
    """t of the table's entries after another round."""
    if not len(chances):
        return chances
    each = chances[table.uses]
    ways = np.diff(table.starts, append=len(each))
    shares = each / np.repeat(np.add.reduceat(each, table.starts), ways)
    counts = np.bincount(table.uses, shares, len(chances))
    return counts / np.bincount(table.sources, counts)[table.sources]


def likeliest(table: Table, chances: np.ndarray, size: int, most: int) -> np.ndarray:
    """`[size, most]` the best of each source token."""
    fine = chances >= LEAST
    sources, targets = table.sources[fine], table.targets[fine]
    order = np.lexsort((-chances[fine], sources))
    sources, targets = sources[order], targets[order]
    rank = np.arange(len(order)) - np.searchsorted(sources, sources)
    found = np.full((size, most), PAD, np.int32)
    kept = rank < most
    found[sources[kept], rank[kept]] = targets[kept]
    return found
