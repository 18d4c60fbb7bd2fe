"""Sentence vectors: what the encoder makes of a text, as one vector."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.errors import InputError, choose
from seq2seq_jax.inference import programs
from seq2seq_jax.inference.batching import Group
from seq2seq_jax.inference.inputs import Item
from seq2seq_jax.nn import model
from seq2seq_jax.nn.encoder import ENCODERS
from seq2seq_jax.types import EncoderOutput, Params


def mean(encoded: EncoderOutput) -> jax.Array:
    """The mean of the annotations `[B, C]`, the end marker's among them."""
    count = jnp.maximum(encoded.mask.sum(axis=-1, keepdims=True), 1)
    return encoded.annotations.sum(axis=-2) / count  # they are 0 on padding


def largest(encoded: EncoderOutput) -> jax.Array:
    """The largest of each unit over the annotations `[B, C]`."""
    known = jnp.where(encoded.mask[..., None], encoded.annotations, -jnp.inf)
    return jnp.where(encoded.mask.any(-1, keepdims=True), known.max(axis=-2), 0.0)


def last(encoded: EncoderOutput) -> jax.Array:
    """The top layer's last output of each direction, side by side.

    What a decoder without attention is told of the source (Sutskever 2014).
    """
    return jnp.concatenate([carry[-1] for carry in encoded.carry[-1]], axis=-1)


POOLS: dict[str, Callable[[EncoderOutput], jax.Array]] = {
    "mean": mean,
    "max": largest,
    "last": last,
}


def check(pool: str, config: ModelConfig | programs.Members) -> None:
    """Refuse what cannot be encoded.

    Raises:
        InputError: an unknown pool, a language model, or several models.
    """
    choose(POOLS, pool, "pool")
    if isinstance(config, programs.Members):
        raise InputError("an ensemble has no vectors of its own: ask its members")
    if not ENCODERS[config.encoder].reads:
        raise InputError("a language model reads no source, so it encodes none")


@partial(jax.jit, static_argnames=("config", "pool"))
def vectors(
    params: Params,
    source: jax.Array,
    lengths: jax.Array,
    *,
    config: ModelConfig,
    pool: str,
) -> jax.Array:
    """`[B, C]`, float32, of sources `[B, S]` of which `lengths` `[B]` are real."""
    mask = jnp.arange(source.shape[1]) < lengths[:, None]
    encoded = model.encode(params, config, source, mask)
    return POOLS[pool](encoded).astype(jnp.float32)


def work(params: Params, config: ModelConfig, pool: str) -> dict[str, Any]:
    """How `batching.process` encodes."""
    return {
        "length_of": lambda item: item.length,
        "rows_of": partial(programs.rows_of, alive=1),
        "begin": partial(begin, params, config, pool),
        "finish": finish,
    }


def begin(
    params: Params, config: ModelConfig, pool: str, items: list[Item], group: Group
) -> jax.Array:
    """Start on a batch, without waiting for it."""
    ids = [item.source for item in items]
    lengths = [*map(len, ids), *[0] * (group.rows - len(ids))]
    source = programs.pad(ids, group.rows, group.length)
    sizes = np.array(lengths, np.int32)
    return vectors(params, source, sizes, config=config, pool=pool)


def finish(items: list[Item], found: jax.Array) -> Iterator[np.ndarray]:
    """Wait for a batch."""
    yield from np.asarray(found)[: len(items)]
