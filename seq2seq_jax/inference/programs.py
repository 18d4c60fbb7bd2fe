"""What inference compiles: the model under a search, and the model given its target.

Parameters are arguments, not constants, so all predictors of one config share programs.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.inference.beams import Step
from seq2seq_jax.inference.constraints import FREE, Constraints, Manners, constrained
from seq2seq_jax.inference.diverse import diverse_search
from seq2seq_jax.inference.eight_bits import floats
from seq2seq_jax.inference.following import with_token_log_probs
from seq2seq_jax.inference.holding import holding_search
from seq2seq_jax.inference.mixing import MIXES, mean_weights, mixed
from seq2seq_jax.inference.parted import Choices, Numbers, of_beams, terms
from seq2seq_jax.inference.search import beam_search, greedy_search, sample_search
from seq2seq_jax.inference.shortlist import ROWS, Columns
from seq2seq_jax.nn import model
from seq2seq_jax.types import (
    BOS,
    PAD,
    Array,
    AttentionMemory,
    Batch,
    Hypotheses,
    Params,
)

TOKENS = 4096  # padded source tokens of a batch, at most
HYPOTHESES = 512  # rows times beams of a batch, at most


class Members(NamedTuple):
    """Of an ensemble, in the place of one model's config.

    Parameters, sources and their lengths are then tuples, an entry a member.

    Attributes:
        configs: the members'.
        mix: an entry of `mixing.MIXES`.
        looking: the members whose weights are averaged.
    """

    configs: tuple[ModelConfig, ...]
    mix: str
    looking: tuple[int, ...]


@functools.partial(jax.jit, static_argnames=("config", "choices"))
def decode(
    params: Params,
    source: jax.Array,
    lengths: jax.Array,
    limits: jax.Array,
    rows: jax.Array,
    numbers: Numbers,
    asked: Constraints = FREE,
    columns: Columns | None = None,
    *,
    config: ModelConfig | Members,
    choices: Choices,
) -> Hypotheses:
    """Search for the outputs of a batch of sources.

    Args:
        params: the model's.
        source: `[B, S]` ids, EOS included.
        lengths: `[B]` how many are real; 0 in rows that fill up the batch.
        limits: `[B]` largest lengths of the outputs, 0 in those rows.
        rows: `[B]` a number for each row, which its samples depend on.
        numbers, choices: the search, as `parted` gives it.
        asked: of the outputs, row by row.
        columns: the tokens that may be said; `numbers` and `asked` are by their places
            then. None: all.
        config: the model's; see `Members` for several.
    """
    alive = choices.n_best if numbers.draws is not None else choices.beam_size
    model_parts, mask = started(params, config, source, lengths, alive, columns)
    parts = bound(model_parts, numbers, choices, asked)
    search = search_of(numbers, choices, rows, model_parts, asked)
    found = search(*parts, limits, **terms(numbers, choices, mask))
    if choices.each and choices.groups == 1:
        found = with_token_log_probs(*model_parts, found)
    if columns is not None:
        found = dataclasses.replace(
            found, tokens=jnp.asarray(columns.ids)[found.tokens]
        )
    return found if choices.alignments else dataclasses.replace(found, alignments=None)


def bound(
    parts: tuple[Step, Any, Any], numbers: Numbers, choices: Choices, asked: Constraints
) -> tuple[Step, Any, Any]:
    """A model's step function, and what goes with it, under what the options ask."""
    manners = Manners(
        choices.ngram, numbers.banned, numbers.phrases, numbers.repetition
    )
    own = *manners[1:], asked.least, asked.prefix
    if choices.ngram or any(x is not None for x in own):
        return constrained(*parts, choices.max_length, asked, manners)
    return parts


def search_of(
    numbers: Numbers,
    choices: Choices,
    rows: jax.Array,
    own: tuple[Step, Any, Any],
    asked: Constraints,
) -> Callable[..., Hypotheses]:
    """Greedy search, beam search or sampling, with what each of them needs alone."""
    beams, draws = of_beams(numbers, choices), numbers.draws
    if numbers.diversity is not None:
        beams |= {"groups": choices.groups, "diversity": numbers.diversity}
        return functools.partial(diverse_search, own=own, **beams)
    if draws is not None:
        return functools.partial(
            sample_search,
            keys=jax.vmap(jax.random.fold_in, (None, 0))(draws.key, rows),
            samples=choices.n_best,
            temperature=draws.temperature,
            top_k=draws.top_k,
            top_p=draws.top_p,
        )
    if asked.wanted is not None:
        del beams["places"], beams["prune"]
        return functools.partial(holding_search, wanted=asked.wanted, **beams)
    if choices.beam_size == 1:
        return greedy_search
    return functools.partial(beam_search, **beams)


def started(
    params: Params,
    config: ModelConfig | Members,
    source: Any,
    lengths: Any,
    alive: int = 1,
    columns: Columns | None = None,
) -> tuple[tuple[Step, Any, Any], jax.Array]:
    """A search's step function, what its rows share and their state; and a mask.

    Arguments as those of `decode`, and how many hypotheses a row has. The mask is true
    at the real positions that weights tell of; they may be fewer than the source's.
    """
    if isinstance(config, Members):
        each = zip(params, config.configs, source, lengths, strict=True)
        parts, masks = zip(
            *(started(*one, alive, columns) for one in each), strict=True
        )
        return mixed(parts, config.mix, config.looking), masks[0]
    mask = jnp.arange(source.shape[1]) < lengths[:, None]
    parts = one_started(params, config, source, mask, alive, columns)
    return parts, jnp.asarray(parts[1][0].mask)[:, 0]


def one_started(
    params: Params,
    config: ModelConfig,
    source: jax.Array,
    mask: jax.Array,
    alive: int = 1,
    columns: Columns | None = None,
) -> tuple[Step, tuple[AttentionMemory, jax.Array | None], Any]:
    """One model as a step function, what its rows share, and their first state."""
    memory, state = model.start(
        params, config, model.encode(params, config, source, mask)
    )
    if alive > 1:
        memory, state = model.readied(params, config, memory, state)
    # One memory serves all beams: [B, 1, S, C].
    memory = jax.tree.map(lambda x: x[:, None], memory)

    ids = own = None
    if columns is not None:
        ids, own = jnp.asarray(columns.ids), jnp.asarray(columns.own)[:, None]
        params, config = model.narrowed(params, config, ids)

    def step(shared: tuple, state: Any, tokens: jax.Array) -> tuple:
        memory, own = shared
        read = tokens if ids is None else ids[tokens]
        state, logits, weights = model.step(params, config, memory, state, read)
        logits = logits.astype(jnp.float32)
        if own is not None:
            logits = jnp.where(own, logits, -jnp.inf)
        return state, jax.nn.log_softmax(logits), weights.astype(jnp.float32)

    return step, (memory, own), state


@functools.partial(jax.jit, static_argnames=("config",))
def token_log_probs(
    params: Params, batch: Any, *, config: ModelConfig | Members
) -> tuple[jax.Array, Array]:
    """log p of each target token `[B, T]` and attention weights `[B, T, S]`.

    Of several models there is a batch for each, with the same targets.
    """
    params = floats(params)
    if not isinstance(config, Members):
        log_probs, weights = model.token_log_probs(params, config, batch)
        return log_probs, weights.astype(jnp.float32)
    each = zip(params, config.configs, batch, strict=True)
    found = [model.all_log_probs(*member) for member in each]
    members, looks = zip(*found, strict=True)
    mean = model.log_probs_of(batch[0], MIXES[config.mix](members))
    return mean, mean_weights(looks, config.looking).astype(jnp.float32)


def rows_of(length: int, alive: int, listed: bool = False) -> int:
    """Rows of a search's batch of that padded length; `listed`: by a shortlist.

    >>> rows_of(100, alive=5), rows_of(10, alive=5)
    (40, 102)
    """
    rows = max(1, min(TOKENS // length, HYPOTHESES // alive))
    return min(rows, ROWS) if listed else rows


def teacher_forced(
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    rows: int,
    length: int,
) -> Batch:
    """Pairs of ids, EOS included, as a batch `[rows, length]` on both sides."""
    source, target = pad(sources, rows, length), pad(targets, rows, length)
    sizes, said = (
        np.array([*map(len, side), *[0] * (rows - len(side))])[:, None]
        for side in (sources, targets)
    )
    places = np.arange(length)
    shifted = np.concatenate([np.full((rows, 1), BOS), target[:, :-1]], axis=1)
    return Batch(
        source=source,
        source_mask=places < sizes,
        target_in=np.where(places < said, shifted, PAD).astype(np.int32),
        target_out=target,
        target_mask=places < said,
    )


def padded(
    sequences: Sequence[Sequence[int]], rows: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """`pad`, and how many ids of each row `[rows]` are real."""
    sizes = [*map(len, sequences), *[0] * (rows - len(sequences))]
    return pad(sequences, rows, length), np.array(sizes, np.int32)


def pad(sequences: Sequence[Sequence[int]], rows: int, length: int) -> np.ndarray:
    """Ids `[rows, length]`, or numbers, padded on the right and with empty rows.

    >>> pad([[5, 2]], 2, 3).tolist()
    [[5, 2, 0], [0, 0, 0]]
    """
    ids = np.full((rows, length), PAD, np.int32)
    if sequences and isinstance(sequences[0], np.ndarray):  # of numbers [S, F]
        ids = np.zeros((rows, length, sequences[0].shape[1]), np.float32)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
    return ids
