"""What a batch is asked for, row by row, as a search takes it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from seq2seq_jax.inference import programs, required, shortlist
from seq2seq_jax.inference.batching import Group
from seq2seq_jax.inference.constraints import FREE, Constraints
from seq2seq_jax.inference.forbidden import NOTHING, Banned
from seq2seq_jax.inference.inputs import Item
from seq2seq_jax.inference.lengths import shortest
from seq2seq_jax.inference.options import Search
from seq2seq_jax.inference.parted import Choices, parted
from seq2seq_jax.inference.shortlist import Columns, Shortlist


class Wishes(NamedTuple):
    """What is asked of all texts of a call.

    Attributes:
        search: the options.
        banned: its forbidden texts as ids.
        prefixed: whether outputs begin with the items' targets.
        holding: whether they hold what the items require.
    """

    search: Search
    banned: Banned = NOTHING
    prefixed: bool = False
    holding: bool = False


def arguments(
    most: Callable[[int], int],
    wishes: Wishes,
    items: Sequence[Item],
    group: Group,
    max_length: int,
    listed: Shortlist | None,
) -> tuple[tuple[Any, ...], Choices]:
    """What `programs.decode` takes behind the sources, and its choices.

    Args:
        most: the largest length of an output by that of its source.
        wishes: of all.
        items: of the batch.
        group: its shape.
        max_length: of the predictor.
        listed: what may be said; None: any token.
    """
    unused = [0] * (group.rows - len(items))
    longest, each = limits(most, wishes, items, group.length, max_length)
    wish = asked(wishes, items, each, (group.rows, longest))
    banned, columns = wishes.banned, None
    if listed is not None:
        columns = columns_of(listed, wishes, items, group)
        banned, wish = shortlist.moved(columns, listed.size, banned, wish)
    numbers, choices = parted(wishes.search, longest, banned)
    return (
        np.array(each + unused, np.int32),
        np.array([item.number for item in items] + unused, np.uint32),
        numbers,
        wish,
        columns,
    ), choices


def columns_of(
    listed: Shortlist, wishes: Wishes, items: Sequence[Item], group: Group
) -> Columns:
    """What a batch may say: what is listed for its sources, and what it has to say."""
    allowed = []
    for item in items:
        must = [token for held in item.required for token in held]
        must += item.target if wishes.prefixed else []
        allowed.append(listed.allowed(item.source, must))
    return listed.columns(allowed, *group[1:])


def limits(
    most: Callable[[int], int],
    wishes: Wishes,
    items: Sequence[Item],
    length: int,
    max_length: int,
) -> tuple[int, list[int]]:
    """The longest output of a batch, and of each item; what must be said fits in.

    Args:
        most: the largest length by that of a source.
        wishes: of all.
        items: of the batch.
        length: padded, of the sources.
        max_length: of the predictor.
    """
    each, longest = [most(len(item.source)) for item in items], most(length)
    if wishes.prefixed:
        longest = max(longest, max_length)
        both = zip(each, items, strict=True)
        each = [max(limit, len(item.target)) for limit, item in both]
    if wishes.holding and required.lengthens(wishes.search):
        longest = max(longest, max_length)
        both = zip(each, items, strict=True)
        each = [min(longest, limit + item.held) for limit, item in both]
    return longest, each


def asked(
    wishes: Wishes,
    items: Sequence[Item],
    limits: Sequence[int],
    shape: tuple[int, int],
) -> Constraints:
    """What is asked of the outputs of each row.

    Args:
        wishes: of all.
        items: of the batch.
        limits: of each item, see above.
        shape: rows of the batch, and the longest output.
    """
    wish, bounds = FREE, wishes.search.bounds
    if bounds.binds:
        least = [shortest(len(item.source), bounds) for item in items]
        unused = [0] * (shape[0] - len(items))
        least = [*map(min, least, limits), *unused]
        wish = wish._replace(least=np.array(least, np.int32))
    if wishes.prefixed:
        said = [item.target[:-1] for item in items]
        wish = wish._replace(prefix=programs.pad(said, *shape))
    if wishes.holding:
        wish = wish._replace(wanted=required.table(items, shape[0]))
    return wish
