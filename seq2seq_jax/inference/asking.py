"""What a batch is asked for, row by row, as a search takes it."""

from collections.abc import Callable, Sequence

import numpy as np

from seq2seq_jax.inference import programs
from seq2seq_jax.inference.constraints import FREE, Constraints
from seq2seq_jax.inference.inputs import Item
from seq2seq_jax.inference.lengths import shortest
from seq2seq_jax.inference.options import Search


def limits(
    most: Callable[[int], int], items: Sequence[Item], length: int, held: int
) -> tuple[int, list[int]]:
    """The longest output of a batch, and of each item; what must be said fits in.

    Args:
        most: the largest length by that of a source.
        items: of the batch.
        length: padded, of the sources.
        held: tokens at most, EOS included, of the targets that outputs must hold; 0:
            they hold nothing in particular.
    """
    each, longest = [most(len(item.source)) for item in items], most(length)
    if not held:
        return longest, each
    both = zip(each, items, strict=True)
    return max(longest, held), [max(limit, len(item.target)) for limit, item in both]


def asked(
    search: Search,
    prefixed: bool,
    items: Sequence[Item],
    limits: Sequence[int],
    shape: tuple[int, int],
) -> Constraints:
    """What is asked of the outputs of each row.

    Args:
        search: the options.
        prefixed: whether outputs begin with the items' targets.
        items: of the batch.
        limits: of each item, see above.
        shape: rows of the batch, and the longest output.
    """
    wish = FREE
    if search.bounds.binds:
        least = [shortest(len(item.source), search.bounds) for item in items]
        unused = [0] * (shape[0] - len(items))
        least = [*map(min, least, limits), *unused]
        wish = wish._replace(least=np.array(least, np.int32))
    if prefixed:
        said = [item.target[:-1] for item in items]
        wish = wish._replace(prefix=programs.pad(said, *shape))
    return wish
