"""Encoders by name in `ENCODERS`: stacked recurrent layers in two ways, or none."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import layers, pyramid, sizes
from seq2seq_jax.nn.cells import CELLS
from seq2seq_jax.nn.residuals import RESIDUALS
from seq2seq_jax.nn.runs import run_layer
from seq2seq_jax.types import Array, EncoderOutput, Key, Params


class Encoder(NamedTuple):
    """One kind of encoder.

    Attributes:
        init: `(key, config, initializers) -> params`.
        encode: `(params, config, x [..., S, E] or None, mask [..., S], key) ->
            EncoderOutput`.
        reads: whether it reads a source: without one x is None.
        apart: whether each direction's layers read that direction alone.
        settings: fields of the config that it reads and some other entries do not.
        shorter: `(config, S) -> ` the number of annotations; None: S.
    """

    init: Callable[..., Params]
    encode: Callable[..., EncoderOutput]
    reads: bool = True
    apart: bool = False
    settings: tuple[str, ...] = ()
    shorter: Callable[[ModelConfig, int], int] | None = None


# (params, config, x, mask, key) -> (carries, x): all layers, bottom up
Layers = Callable[..., tuple[tuple, jax.Array]]


def init(key: jax.Array, config: ModelConfig, inits: layers.Initializers) -> Params:
    """Parameters by layer and direction, of the residuals and of the projection."""
    cell, size = CELLS[config.cell], config.hidden_size
    keys = list(jax.random.split(key, config.encoder_layers + 1))
    made: dict[str, Any] = {"layers": [], "residuals": []}
    inputs = config.embedding_size
    for layer, mine in enumerate(keys[:-1]):
        outputs = sizes.encoder_layer_size(config, layer)
        *directions, residual = jax.random.split(mine, 3)
        made["layers"].append(
            [
                cell.init(k, inputs, size, inits)
                for k in directions[: sizes.directions(config, layer)]
            ]
        )
        kind = RESIDUALS[config.residual]
        here = sizes.has_residual(config, layer, inputs, outputs)
        made["residuals"].append(kind.init(residual, outputs, inits) if here else {})
        inputs = outputs
    if config.encoder_projection:
        made["projection"] = layers.dense_init(
            keys[-1], inputs, config.encoder_projection, inits.kernel
        )
    return made


def stacks_init(
    key: jax.Array, config: ModelConfig, inits: layers.Initializers
) -> Params:
    """A stack of its own for each direction; the projection reads both."""
    alone = replace(config, bidirectional=False, encoder_projection=None)
    *keys, last = jax.random.split(key, 3)
    made = [init(key, alone, inits) for key in keys]
    params: dict[str, Any] = {
        name: [stack[name] for stack in made] for name in ("layers", "residuals")
    }
    size = config.encoder_projection
    if size:
        width = 2 * config.hidden_size
        params["projection"] = layers.dense_init(last, width, size, inits.kernel)
    return params


def encode_by(
    run: Layers,
    params: Params,
    config: ModelConfig,
    x: jax.Array,
    mask: Array,
    key: Key = None,
) -> EncoderOutput:
    """Annotations h_j = [h->_j ; h<-_j] (Bahdanau 2014, eq. 7) of the top layer.

    With `reverse_source` the layers read the tokens from the last to the first, the end
    marker still last (Sutskever 2014, section 3.3); the annotations come back in the
    order of the source, so nothing after the encoder knows of it.

    Args:
        run: `in_layers` or `in_stacks`.
        params: of `init` or `stacks_init`.
        config: the model's.
        x: `[..., S, E]`, the frontend's output; dropped out here.
        mask: `[..., S]` bool.
        key: for dropout and zoneout.
    """
    if config.reverse_source:
        x = reversed_tokens(x, mask)
    carries, x = run(params, config, x, mask, key)
    if config.encoder_projection:
        x = jnp.where(mask[..., None], layers.dense(params["projection"], x), 0.0)
    if config.reverse_source:
        x = reversed_tokens(x, mask)
    return EncoderOutput(x, carries, jnp.asarray(mask))


def in_layers(
    params: Params,
    config: ModelConfig,
    x: jax.Array,
    mask: Array,
    key: Key = None,
    first: int = 0,
) -> tuple[tuple, jax.Array]:
    """Layer upon layer, each reading both directions of the one below.

    `first` is the direction that the first set of a layer's parameters reads in.
    """
    carries, below = [], []
    for i, layer in enumerate(params["layers"]):
        here, inner, key = layers.split_key(key, 3)
        below.append(x)
        inputs = layers.dropout(here, config.dropout, x)
        carry, output = run_layer(layer, config, inputs, mask, inner, first)
        if sizes.has_residual(config, i, x.shape[-1], output.shape[-1]):
            kind = RESIDUALS[config.residual]
            output = kind.apply(params["residuals"][i], below, output)
            output = jnp.where(mask[..., None], output, 0.0)
        x = output
        carries.append(carry)
    return tuple(carries), x


def in_stacks(
    params: Params, config: ModelConfig, x: jax.Array, mask: Array, key: Key = None
) -> tuple[tuple, jax.Array]:
    """A stack in each direction, which meet at the top alone.

    tensorflow/nmt's encoder_type `bi` (a bidirectional_dynamic_rnn of two stacks).
    """
    runs = []
    for direction in range(2):
        mine, key = layers.split_key(key, 2)
        stack = {name: params[name][direction] for name in ("layers", "residuals")}
        runs.append(in_layers(stack, config, x, mask, mine, direction))
    (ahead, one), (back, other) = runs
    carries = tuple((*a, *b) for a, b in zip(ahead, back, strict=True))
    return carries, jnp.concatenate([one, other], axis=-1)


encode = partial(encode_by, in_layers)


def reversed_tokens(x: jax.Array, mask: Array) -> jax.Array:
    """`x [..., S, D]` with its real positions reversed, but for the last one of them.

    The last one is the end marker. Padding stays where it is; twice is the identity.

    >>> x = jnp.arange(5.0)[:, None]
    >>> reversed_tokens(x, jnp.arange(5) < 4).ravel().tolist()
    [2.0, 1.0, 0.0, 3.0, 4.0]
    """
    place = jnp.arange(x.shape[-2])
    length = jnp.sum(mask, axis=-1, keepdims=True)
    order = jnp.where(place < length - 1, length - 2 - place, place)
    return jnp.take_along_axis(x, order[..., None], axis=-2)


def no_init(key: jax.Array, config: ModelConfig, inits: layers.Initializers) -> Params:
    """No parameters."""
    return {"layers": []}


def nothing(
    params: Params, config: ModelConfig, x: None, mask: Array, key: Key = None
) -> EncoderOutput:
    """No source: zeros for all that a decoder may start from, a language model.

    >>> config = ModelConfig(hidden_size=2, encoder="none")
    >>> nothing({}, config, None, jnp.ones((3, 1), bool)).annotations.shape
    (3, 1, 4)
    """
    mask = jnp.asarray(mask)

    def zeros(*shape: int) -> jax.Array:
        return jnp.zeros_like(mask, jnp.float32, shape=shape)

    rows, cell = mask.shape[:-1], CELLS[config.cell]
    carry = tuple(
        tuple(
            cell.initial_carry(zeros(*rows, 1), config.hidden_size)
            for _ in range(sizes.directions(config, layer))
        )
        for layer in range(config.encoder_layers)
    )
    annotations = zeros(*mask.shape, sizes.annotation_size(config))
    return EncoderOutput(annotations, carry, mask)


def positions_init(
    key: jax.Array, config: ModelConfig, inits: layers.Initializers
) -> Params:
    """The projection, where there is one."""
    made: dict[str, Any] = {"layers": []}
    if config.encoder_projection:
        shape = config.embedding_size, config.encoder_projection
        made["projection"] = layers.dense_init(key, *shape, inits.kernel)
    return made


def positions(
    params: Params, config: ModelConfig, x: jax.Array, mask: Array, key: Key = None
) -> EncoderOutput:
    """The frontend's vectors as annotations; the last carry is their mean.

    So a dense bridge is the two networks of Xu et al. 2015, section 3.1.2: c_0 and h_0
    from (1 / L) sum_i a_i, there each of several layers.

    >>> config = ModelConfig(encoder="positions", cell="gru")
    >>> x, mask = jnp.array([[1.0], [3.0], [9.0]]), jnp.arange(3) < 2
    >>> positions({"layers": []}, config, x, mask).carry[0][0][0].tolist()
    [2.0]
    """
    real = jnp.asarray(mask)[..., None]
    x = jnp.where(real, layers.dropout(key, config.dropout, x), 0.0)
    mean = x.sum(axis=-2) / jnp.maximum(real.sum(axis=-2), 1)
    if config.encoder_projection:
        x = jnp.where(real, layers.dense(params["projection"], x), 0.0)
    carry = (mean,) * CELLS[config.cell].parts
    return EncoderOutput(x, ((carry,),), jnp.asarray(mask))


SETTINGS = ("encoder_layers", "bidirectional", "encoder_projection", "reverse_source")
ENCODERS = {
    "recurrent": Encoder(init, encode, settings=SETTINGS),
    "stacks": Encoder(
        stacks_init, partial(encode_by, in_stacks), apart=True, settings=SETTINGS
    ),
    "positions": Encoder(positions_init, positions, settings=("encoder_projection",)),
    "pyramid": Encoder(
        pyramid.init,
        pyramid.encode,
        settings=("encoder_layers", "bidirectional", "encoder_projection"),
        shorter=pyramid.shorter,
    ),
    "none": Encoder(no_init, nothing, reads=False),
}
