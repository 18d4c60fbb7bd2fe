"""Several sources in one row: each has an encoder, and a place of its own in memory.

A row's ids hold the sources one behind the other, each with an end marker. An encoder
reads its source as if it stood alone, at the beginning of a row, and its annotations
go back to where their tokens are. So a memory has one annotation a token, weights are
in the order of the text, and attention over all of them is the flat combination of
Libovický & Helcl 2017, section 3.1; `attention` has the hierarchical one.
"""

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import layers
from seq2seq_jax.nn.encoder import ENCODERS
from seq2seq_jax.types import EOS, Array, EncoderOutput, Key, Params


def part_numbers(ids: Array, count: int) -> jax.Array:
    """Which source each token is of `[..., S]`, from 0; its end marker is its last.

    What stands behind the end marker of the last of `count` sources counts as its own.

    >>> part_numbers(jnp.array([5, 2, 6, 7, 2, 0]), 2).tolist()
    [0, 0, 1, 1, 1, 1]
    """
    ends = jnp.asarray(ids) == EOS
    before = jnp.cumsum(ends, axis=-1) - ends
    return jnp.minimum(before, count - 1)


def init(key: jax.Array, config: ModelConfig, inits: layers.Initializers) -> Params:
    """Parameters of the encoder, or of one for each source."""
    reader = ENCODERS[config.encoder]
    if config.sources == 1:
        return reader.init(key, config, inits)
    keys = jax.random.split(key, config.sources)
    return {"sources": [reader.init(one, config, inits) for one in keys]}


def encode(
    params: Params,
    config: ModelConfig,
    embedded: jax.Array,
    ids: Array,
    mask: Array,
    key: Key,
) -> EncoderOutput:
    """Annotations of all sources where their tokens stand; the mean of the last states.

    Args:
        params: of `init`.
        config: names the encoder, and tells how many sources there are.
        embedded: `[..., S, E]` of the whole row.
        ids: `[..., S]` of the whole row.
        mask: `[..., S]` bool.
        key: brings dropout.
    """
    reader = ENCODERS[config.encoder]
    if config.sources == 1:
        return reader.encode(params, config, embedded, mask, key)
    numbers = part_numbers(ids, config.sources)
    places = jnp.arange(embedded.shape[-2])
    keys = layers.split_key(key, config.sources)
    annotations, carries = jnp.zeros(()), []
    for number, own in enumerate(params["sources"]):
        here = (numbers == number) & jnp.asarray(mask)
        first = jnp.argmax(here, axis=-1)[..., None]
        alone = moved(embedded, places + first)
        real = places < jnp.sum(here, axis=-1, keepdims=True)
        encoded = reader.encode(own, config, alone, real, keys[number])
        back = moved(encoded.annotations, places - first)
        annotations = annotations + jnp.where(here[..., None], back, 0.0)
        carries.append(encoded.carry)
    carry = jax.tree.map(lambda *each: sum(each) / len(each), *carries)
    return EncoderOutput(annotations, carry, jnp.asarray(mask), parts=numbers)


def moved(x: Array, order: jax.Array) -> jax.Array:
    """Rows of `x [..., S, D]` in another order; any in the place of one not there.

    >>> moved(jnp.arange(3.0)[:, None], jnp.arange(3) + 1).ravel().tolist()
    [1.0, 2.0, 2.0]
    """
    order = jnp.clip(order, 0, x.shape[-2] - 1)
    return jnp.take_along_axis(x, order[..., None], axis=-2)
