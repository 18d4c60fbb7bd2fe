"""Texts that no output may hold, as what a search forbids: ids, and rows of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seq2seq_jax.data.tokenizers import Tokenizer
from seq2seq_jax.errors import InputError
from seq2seq_jax.types import BOS, EOS, PAD, UNK


class Banned(NamedTuple):
    """What is forbidden, as `constraints.Manners` has it.

    Attributes:
        ids: `[V]` which ids are never said; None: all may be.
        phrases: `[F, L]` ids that never follow each other, `PAD` before them; or None.
            Both sizes are powers of 2: another list seldom needs another program.
    """

    ids: np.ndarray | None = None
    phrases: np.ndarray | None = None


NOTHING = Banned()


def banned(texts: Sequence[str], tokenizer: Tokenizer) -> Banned:
    """The forbidden texts as ids.

    A text that is a piece of the vocabulary, as `pieces` prints it (`▁the`, `<unk>`),
    is that piece; any other is cut into tokens as a target is, and stands for those
    tokens one after the other. One that has a token which the vocabulary lacks can
    never be said, and is passed over.

    Raises:
        InputError: on a text without tokens, or one that is the end of outputs.
    """
    if not texts:
        return NOTHING
    pieces = tokenizer.pieces(range(tokenizer.size))
    places = {piece: i for i, piece in enumerate(pieces)}
    sequences = set()
    for text in texts:
        ids = [places[text]] if text in places else tokenizer.encode(text)
        if not ids or set(ids) & {PAD, BOS, EOS}:
            raise InputError(
                f"{text!r} cannot be forbidden, expected words or pieces of the target"
            )
        if UNK not in ids or text in places:
            sequences.add(tuple(ids))
    return as_arrays(sorted(sequences), tokenizer.size)


def as_arrays(sequences: Sequence[tuple[int, ...]], size: int) -> Banned:
    """Sequences of ids by what forbids them.

    >>> as_arrays([(5,), (4, 6, 7)], 8).phrases.tolist()
    [[0, 4, 6, 7]]
    """
    longer = [ids for ids in sequences if len(ids) > 1]
    never = np.zeros(size, bool)
    never[[ids[0] for ids in sequences if len(ids) == 1]] = True
    if not longer:
        return Banned(never)
    shape = up(len(longer)), up(max(map(len, longer)))
    phrases = np.full(shape, PAD, np.int32)
    # What fills the table up is a phrase of no token: no id completes it.
    phrases[:, -1] = size
    for row, ids in enumerate(longer):
        phrases[row, -len(ids) :] = ids
    return Banned(never, phrases)


def up(number: int) -> int:
    """The next power of 2.

    >>> up(4), up(5)
    (4, 8)
    """
    return 1 << (number - 1).bit_length()
