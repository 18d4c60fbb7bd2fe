"""Embeddings that start from word vectors, as `data.*_vectors` asks."""

from collections.abc import Callable

import jax.numpy as jnp

from seq2seq_jax.config import Config
from seq2seq_jax.data import vectors
from seq2seq_jax.data.tokenizers import Tokenizer
from seq2seq_jax.errors import InputError
from seq2seq_jax.types import Params


def check(config: Config) -> None:
    """Refuse source vectors where the source has no embeddings of its own.

    Raises:
        InputError: with the way out.
    """
    tied = config.model.tied_embeddings
    if config.data.source_vectors and tied in ("input", "all"):
        raise InputError(
            f"data.source_vectors is given, but with model.tied_embeddings {tied!r} "
            f"both sides have one table: set data.target_vectors instead"
        )


def start_from_vectors(
    params: Params,
    config: Config,
    source: Tokenizer,
    target: Tokenizer,
    log: Callable[[str], None],
) -> Params:
    """The parameters with the rows of known tokens replaced by their vectors.

    All rows are trained on, the given ones too (tensorflow/nmt holds those constant).
    """
    sides = {
        "source": (config.data.source_vectors, source),
        "target": (config.data.target_vectors, target),
    }
    for side, (path, tokenizer) in sides.items():
        if path is None:
            continue
        size = config.model.embedding_size
        ids, rows = vectors.read(path, tokenizer, size)
        table = jnp.asarray(params[side]["table"]).at[ids].set(rows)
        params = params | {side: {"table": table}}
        log(f"{path}: vectors of {len(ids):,} of {tokenizer.size:,} {side} tokens")
    return params
