"""Embeddings that start from word vectors, as `data.*_vectors` asks."""

from collections.abc import Callable

import jax.numpy as jnp

from seq2seq_jax.config import Config
from seq2seq_jax.data import vectors
from seq2seq_jax.data.pipeline import Prepared
from seq2seq_jax.errors import InputError
from seq2seq_jax.nn.encoder import ENCODERS
from seq2seq_jax.types import Params

# By side: ids and rows of the embeddings' table.
Vectors = dict[str, tuple]


def check(config: Config) -> None:
    """Refuse source vectors where the source has no embeddings of its own, or none.

    Raises:
        InputError: with the way out.
    """
    tied = config.model.tied_embeddings
    if config.data.source_vectors and tied in ("input", "all"):
        raise InputError(
            f"data.source_vectors is given, but with model.tied_embeddings {tied!r} "
            f"both sides have one table: set data.target_vectors instead"
        )
    if config.data.source_vectors and config.model.frontend != "tokens":
        raise InputError(
            f"data.source_vectors is given, but model.frontend "
            f"{config.model.frontend!r} has no embeddings of tokens: leave it out"
        )
    if config.data.source_vectors and not ENCODERS[config.model.encoder].reads:
        raise InputError(
            f"data.source_vectors is given, but model.encoder {config.model.encoder!r} "
            f"reads no source: leave it out, or set data.target_vectors"
        )


def given(config: Config) -> dict[str, str]:
    """The files of word vectors, by side."""
    both = {"source": config.data.source_vectors, "target": config.data.target_vectors}
    return {side: path for side, path in both.items() if path is not None}


def check_files(config: Config) -> None:
    """Refuse what is no file of such vectors by its first one, before all else is read.

    Raises:
        InputError: as `vectors.lines`.
    """
    for path in given(config).values():
        next(vectors.lines(path, config.model.embedding_size), None)


def read(config: Config, data: Prepared, log: Callable[[str], None]) -> Vectors:
    """The vectors of the tokens that each side's vocabulary has.

    Raises:
        InputError: as `vectors.read`.
    """
    tokenizers = {"source": data.source_tokenizer, "target": data.target_tokenizer}
    found = {}
    for side, path in given(config).items():
        tokenizer = tokenizers[side]
        found[side] = vectors.read(path, tokenizer, config.model.embedding_size)
        known = len(found[side][0])
        log(f"{path}: vectors of {known:,} of {tokenizer.size:,} {side} tokens")
    return found


def start_from(params: Params, found: Vectors) -> Params:
    """The parameters with the rows of known tokens replaced by their vectors.

    All rows are trained on, the given ones too; tensorflow/nmt holds tables that come
    from a file constant, as `training.freeze source.table` does.
    """
    for side, (ids, rows) in found.items():
        table = jnp.asarray(params[side]["table"]).at[ids].set(rows)
        params = params | {side: {"table": table}}
    return params
