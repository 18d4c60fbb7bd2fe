"""What is exported: search and scoring over any number of rows of any length.

Rows are worked off some at a time, in a loop inside the program: its memory does not
grow with their number, and what is compiled for a batch is what the predictor compiles.
Weights are arguments. Each program serves several platforms.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export, lax

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.exporting import weights
from seq2seq_jax.inference import eight_bits, forbidden, programs
from seq2seq_jax.inference.constraints import FREE, Constraints
from seq2seq_jax.inference.lengths import shortest as shortest_of
from seq2seq_jax.inference.options import Search
from seq2seq_jax.inference.parted import parted
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.nn.stack import join_feed
from seq2seq_jax.types import BOS, PAD, Batch, Params

ROWS = 32  # at a time
PLATFORMS = ("cpu", "cuda", "tpu")


def portable(config: ModelConfig) -> ModelConfig:
    """The config without kernels of one platform."""
    return dataclasses.replace(config, backend="scan")


def plain(params: Params) -> Params:
    """The model's own parameters, without what a predictor makes of them."""
    params = eight_bits.floats(params)
    target = {name: x for name, x in params["target"].items() if name != "shares"}
    return params | {"target": target, "decoder": join_feed(params["decoder"])}


def translation(
    predictor: Predictor, search: Search, form: str, rows: int = ROWS
) -> Callable[..., Any]:
    """`(weights, source [b, s], lengths [b]) ->` what `Hypotheses` holds, as a dict.

    A source's output is as long at most as the predictor would have it; rows of length
    0 give nothing.
    """
    like, config = plain(predictor.params), portable(predictor.config)
    bounds, tokenizer = search.bounds, predictor.target_tokenizer
    sizes = range(1, predictor.max_length + 1)
    limits = np.array([0, *(predictor.limit(n, bounds) for n in sizes)], np.int32)
    longest = search.max_output_length or predictor.max_length
    shortest = np.array([0, *(shortest_of(n, bounds) for n in sizes)], np.int32)
    banned = forbidden.banned(tuple(search.forbidden), tokenizer)
    numbers, choices = parted(search, longest, banned)

    def whole(stored: dict[str, Any], source: jax.Array, lengths: jax.Array) -> Any:
        params = weights.unpack(stored, like, form)

        def part(source: jax.Array, lengths: jax.Array) -> dict[str, Any]:
            place = jnp.minimum(lengths, len(limits) - 1)
            most = jnp.asarray(limits)[place]
            least = jnp.minimum(most, jnp.asarray(shortest)[place])
            found = programs.decode(
                params,
                source,
                lengths,
                most,
                jnp.zeros(rows, jnp.uint32),
                numbers,
                Constraints(least) if bounds.binds else FREE,
                config=config,
                choices=choices,
            )
            fields = dataclasses.fields(found)
            all_of = {field.name: getattr(found, field.name) for field in fields}
            return {name: value for name, value in all_of.items() if value is not None}

        return in_parts(part, rows, source, lengths)

    return whole


def scoring(predictor: Predictor, form: str, rows: int = ROWS) -> Callable[..., Any]:
    """`(weights, source [b, s], lengths [b], target [b, t], lengths [b]) -> [b, t]`.

    The log-probability of each target token, EOS included; 0 on padding.
    """
    like, config = plain(predictor.params), portable(predictor.config)

    def whole(stored: dict[str, Any], *both: jax.Array) -> jax.Array:
        params = weights.unpack(stored, like, form)

        def part(
            source: jax.Array, lengths: jax.Array, target: jax.Array, said: jax.Array
        ) -> jax.Array:
            mask = jnp.arange(target.shape[1]) < said[:, None]
            begin = jnp.full((rows, 1), BOS, target.dtype)
            shifted = jnp.concatenate([begin, target[:, :-1]], axis=1)
            batch = Batch(
                source=source,
                source_mask=jnp.arange(source.shape[1]) < lengths[:, None],
                target_in=jnp.where(mask, shifted, PAD),
                target_out=target,
                target_mask=mask,
            )
            return programs.token_log_probs(params, batch, config=config)[0]

        return in_parts(part, rows, *both)

    return whole


def in_parts(part: Callable[..., Any], size: int, *arrays: jax.Array) -> Any:
    """`part` of `size` rows at a time, the last of them filled up with zeros."""
    rows = arrays[0].shape[0]
    parts = (rows + size - 1) // size

    def cut(x: jax.Array) -> jax.Array:
        missing = [(0, parts * size - rows), *[(0, 0)] * (x.ndim - 1)]
        return jnp.pad(x, missing).reshape(parts, size, *x.shape[1:])

    found = lax.map(lambda xs: part(*xs), tuple(map(cut, arrays)))
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:rows], found)


def exported(
    whole: Callable[..., Any],
    stored: dict[str, np.ndarray],
    sides: int,
    platforms: Sequence[str],
    longest: int,
) -> bytes:
    """A program as StableHLO for all the platforms, with symbolic rows and lengths.

    Args:
        whole: of the weights, and of ids and lengths for each side.
        stored: the weights.
        sides: 1: the source; 2: the target too.
        platforms: of `PLATFORMS`.
        longest: of a side, in tokens.
    """
    names = ("rows", "source", "target")[: sides + 1]
    bounds = [f"{name}>=1" for name in names]
    bounds += [f"{name}<={longest}" for name in names[1:]]
    scope = export.SymbolicScope(bounds)
    rows, *lengths = export.symbolic_shape(", ".join(names), scope=scope)
    like = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in stored.items()}
    made = functools.partial(jax.ShapeDtypeStruct, dtype=jnp.int32)
    shapes = [made(shape) for n in lengths for shape in ((rows, n), (rows,))]

    def lowered(function: Callable[..., Any]) -> bytes:
        program = export.export(jax.jit(function), platforms=tuple(platforms))
        return bytes(program(like, *shapes).serialize())

    try:
        return lowered(whole)
    except NotImplementedError:
        # A recurrence that runs in parallel over time must know how long it is.
        return lowered(at_length(whole, longest))


def at_length(whole: Callable[..., Any], longest: int) -> Callable[..., Any]:
    """The same function, which pads its ids to that length, and cuts what it gives."""

    def wide(stored: dict[str, Any], *sides: jax.Array) -> Any:
        padded = [
            jnp.pad(x, ((0, 0), (0, longest - x.shape[1]))) if x.ndim == 2 else x
            for x in sides
        ]
        found = whole(stored, *padded)
        if not isinstance(found, dict):  # of target tokens
            return found[:, : sides[2].shape[1]]
        if "alignments" in found:
            looks = found["alignments"][..., : sides[0].shape[1]]
            found = found | {"alignments": looks}
        return found

    return wide
