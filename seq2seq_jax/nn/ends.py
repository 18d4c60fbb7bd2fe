"""Both ends of a model: items to vectors, and readouts to what a head says.

What a decoder reads are vectors of what its head says, so one table of embeddings may
serve at both ends.
"""

import math

import jax

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import decoder
from seq2seq_jax.nn.encoder import ENCODERS
from seq2seq_jax.nn.frontends import FRONTENDS
from seq2seq_jax.nn.heads import HEADS
from seq2seq_jax.nn.pointer import readable
from seq2seq_jax.nn.shards import Shards
from seq2seq_jax.types import Array, Looked, Params


def embed_source(
    params: Params,
    config: ModelConfig,
    source: Array,
    mask: Array,
    cut: Shards | None = None,
) -> tuple[jax.Array, Array]:
    """Vectors `[..., S, E]` of a source's items, and which are real `[..., S]`.

    Their number may be another than the source's.
    """
    if HEADS[config.head].copies:
        source = readable(source, len(params["table"]))
    entry = FRONTENDS[config.frontend]
    if entry.annotate is not None:
        return entry.annotate(params, source, mask)
    return entry.apply(params, source, cut), mask


def grid(config: ModelConfig, shape: tuple[int, int]) -> tuple[int, ...]:
    """The dimensions in which annotations of numbers `[S, F]` lie, row by row."""
    found, shorter = (
        FRONTENDS[config.frontend].grid(shape),
        ENCODERS[config.encoder].shorter,
    )
    return found if shorter is None else (shorter(config, math.prod(found)),)


def embed(
    params: Params, config: ModelConfig, said: Array, cut: Shards | None = None
) -> jax.Array:
    """Vectors of what the decoder reads: ids `[...]`, or numbers `[..., G]`.

    Where a head copies, ids beyond the vocabulary are among them.
    """
    head = HEADS[config.head]
    if head.copies:
        said = readable(said, len(params["table"]))
    return FRONTENDS[head.hears].apply(params, said, cut)


def logits(
    params: Params,
    config: ModelConfig,
    readout: Array,
    weights: Array | None = None,
    items: Array | None = None,
) -> jax.Array:
    """The head's output `[..., V]`; a head that copies has `[..., V + S]`.

    `weights [..., S]` and `items` (the source's ids there) are for that one alone.
    """
    head, table = HEADS[config.head], tied_table(params, config)
    if head.copies:
        looked = Looked(weights, items)  # type: ignore[arg-type]
        return head.apply(params["head"], readout, table, looked)
    return head.apply(params["head"], said(config, readout), table)


def said(config: ModelConfig, readout: Array) -> Array:
    """What of a readout the output layer reads: it may be wider, for a gate."""
    return readout[..., : decoder.readout_size(config)]


def is_input_tied(config: ModelConfig) -> bool:
    """Whether source and target share one table of embeddings."""
    return config.tied_embeddings in ("input", "all")


def is_output_tied(config: ModelConfig) -> bool:
    """Whether the target's embeddings are the output layer's weights."""
    return config.tied_embeddings in ("output", "all")


def tied_table(params: Params, config: ModelConfig) -> Array | None:
    """The target embeddings where they are the output layer's weights, else None."""
    return params["target"]["table"] if is_output_tied(config) else None
