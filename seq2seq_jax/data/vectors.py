"""Word vectors in text form, as word2vec, GloVe and fastText write them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from seq2seq_jax.data.sources import read_lines
from seq2seq_jax.data.tokenizers import Tokenizer
from seq2seq_jax.errors import InputError


def read(path: str | Path, tokenizer: Tokenizer, size: int) -> tuple[np.ndarray, ...]:
    """The vectors of tokens that a vocabulary has: ids `[N]` and vectors `[N, size]`.

    Of a token that comes twice the first vector counts.

    Raises:
        InputError: as `lines`, or a file none of whose tokens the vocabulary has.
    """
    pieces = tokenizer.pieces(range(tokenizer.size))
    wanted = {piece: number for number, piece in enumerate(pieces)}
    found: dict[int, np.ndarray] = {}
    for token, vector in lines(path, size):
        if token in wanted:
            found.setdefault(wanted[token], vector)
    if not found:
        raise InputError(
            f"{path} has a vector for none of the vocabulary's {tokenizer.size:,} "
            f"tokens: is it of another language, or for another tokenizer?"
        )
    return np.array(list(found), np.int32), np.stack(list(found.values()))


def lines(path: str | Path, size: int) -> Iterator[tuple[str, np.ndarray]]:
    """Each token with its vector `[size]`, as they come.

    Lines are `token x1 x2 ...`; a first line of two integers (word2vec's count and
    size) is passed over.

    Raises:
        InputError: a line that does not hold `size` numbers, with its number.
    """
    for number, line in enumerate(read_lines(path), 1):
        token, *values = line.rstrip().split(" ")
        if number == 1 and len(values) == 1 and token.isdigit():
            continue
        try:
            vector = np.array(values, np.float32)
        except ValueError:
            raise InputError(
                f"{path}, line {number}: {line[:40]!r} holds no numbers"
            ) from None
        if len(vector) != size or not np.isfinite(vector).all():
            raise InputError(
                f"{path}, line {number}: {len(vector)} numbers, expected "
                f"model.embedding_size ({size}) finite ones after the token"
            )
        yield token, vector
