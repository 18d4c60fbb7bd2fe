"""Try in shapes what a user has added to a table, before anything is read or compiled.

Inside a loop over time a wrong shape shows up far from the function that made it, in a
trace without a line of it. Here it is told of by name, and an error in the function
itself comes with a short trace.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.extending import called, ours
from seq2seq_jax.nn import attention, layers, sizes
from seq2seq_jax.nn.encoder import ENCODERS
from seq2seq_jax.nn.scores import SCORES
from seq2seq_jax.types import EncoderOutput

ROWS, QUERIES, LENGTH = 2, 4, 3  # all different, so that none passes for another


def check(config: ModelConfig) -> None:
    """Refuse a score or an encoder that gives other shapes than it must.

    Raises:
        InputError: naming the entry, what it gave and what was expected.
    """
    if not ours(SCORES[config.attention].energies):
        check_score(replace(config, attention_heads=1))
    if not ours(ENCODERS[config.encoder].encode):
        check_encoder(config)


def check_score(config: ModelConfig) -> None:
    """Energies of one query for a memory, and of many, as a beam has them."""
    score, heads = SCORES[config.attention], config.attention_heads
    name = f"model.attention {config.attention!r}"
    query_size = sizes.decoder_size(config) // heads
    value_size = sizes.annotation_size(config) // heads

    def energies(*rows: int) -> Any:
        inits = layers.initializers()
        key, mask = jax.random.key(0), jnp.ones((ROWS, LENGTH), bool)
        params = called(name, score.init, key, config, query_size, value_size, inits)
        encoded = EncoderOutput(jnp.zeros((ROWS, LENGTH, value_size)), (), mask)
        query = jnp.zeros((*rows, query_size))
        memory = called(name, score.memory, params, encoded)
        state = attention.initial_state(config, memory, query)
        if len(rows) > 1:
            memory = attention.shared(config, memory)
        given = called(name, score.energies, params, query, memory, state)
        return given if hasattr(given, "shape") else None

    for rows in ((ROWS,), (ROWS, QUERIES)):
        given = jax.eval_shape(partial(energies, *rows))
        found, wanted = getattr(given, "shape", None), (*rows, LENGTH)
        if found != wanted:
            raise InputError(
                f"{name}: its energies for queries "
                f"{[*rows, query_size]} and {LENGTH} places are {told(found)}, "
                f"expected {list(wanted)}"
            )


def check_encoder(config: ModelConfig) -> None:
    """Annotations as many and as wide as the config says."""
    encoder, name = ENCODERS[config.encoder], f"model.encoder {config.encoder!r}"
    # To choose a backend asks for the devices, which no process may before it joins
    # the others.
    config = replace(config, backend="scan")

    def encode() -> Any:
        inits = layers.initializers()
        params = called(name, encoder.init, jax.random.key(0), config, inits)
        mask = jnp.ones((ROWS, LENGTH), bool)
        x = jnp.zeros((ROWS, LENGTH, config.embedding_size)) if encoder.reads else None
        given = called(name, encoder.encode, params, config, x, mask, None)
        if not isinstance(given, EncoderOutput):
            raise InputError(
                f"{name} gave {type(given).__name__}, expected an EncoderOutput"
            )
        return given.annotations

    found = jax.eval_shape(encode)
    length = encoder.shorter(config, LENGTH) if encoder.shorter else LENGTH
    wanted = (ROWS, length, sizes.annotation_size(config))
    if encoder.reads and found.shape != wanted:
        raise InputError(
            f"{name} gave annotations {list(found.shape)}, expected "
            f"{list(wanted)}: their width follows from model.hidden_size and the "
            f"directions; where yours is another, set model.encoder_projection to it"
        )


def told(shape: Any) -> str:
    """A shape, in words."""
    return "no array" if shape is None else str(list(shape))
