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
from seq2seq_jax.inference.following import with_token_log_probs
from seq2seq_jax.inference.holding import holding_search
from seq2seq_jax.inference.mixing import MIXES, mean_weights, mixed
from seq2seq_jax.inference.parted import Choices, Numbers, of_beams, terms
from seq2seq_jax.inference.search import beam_search, greedy_search, sample_search
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
        config: the model's; see `Members` for several.
    """
    model_parts, mask = started(params, config, source, lengths)
    parts = bound(model_parts, numbers, choices, asked)
    search = search_of(numbers, choices, rows, model_parts, asked)
    found = search(*parts, limits, **terms(numbers, choices, mask))
    if choices.each and choices.groups == 1:
        found = with_token_log_probs(*model_parts, found)
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
    params: Params, config: ModelConfig | Members, source: Any, lengths: Any
) -> tuple[tuple[Step, Any, Any], jax.Array]:
    """A search's step function, what its rows share and their state; and a mask.

    Arguments as those of `decode`. The mask is true at the real positions that weights
    tell of; they may be fewer than the source's.
    """
    if isinstance(config, Members):
        each = zip(params, config.configs, source, lengths, strict=True)
        parts, masks = zip(*(started(*member) for member in each), strict=True)
        return mixed(parts, config.mix, config.looking), masks[0]
    mask = jnp.arange(source.shape[1]) < lengths[:, None]
    parts = one_started(params, config, source, mask)
    return parts, jnp.asarray(parts[1].mask)[:, 0]


def one_started(
    params: Params, config: ModelConfig, source: jax.Array, mask: jax.Array
) -> tuple[Step, AttentionMemory, Any]:
    """One model as a step function, what its rows share, and their first state."""
    memory, state = model.start(
        params, config, model.encode(params, config, source, mask)
    )
    # One memory serves all beams: [B, 1, S, C].
    memory = jax.tree.map(lambda x: x[:, None], memory)

    def step(memory: AttentionMemory, state: Any, tokens: jax.Array) -> tuple:
        state, logits, weights = model.step(params, config, memory, state, tokens)
        log_probs = jax.nn.log_softmax(logits.astype(jnp.float32))
        return state, log_probs, weights.astype(jnp.float32)

    return step, memory, state


@functools.partial(jax.jit, static_argnames=("config",))
def token_log_probs(
    params: Params, batch: Any, *, config: ModelConfig | Members
) -> tuple[jax.Array, Array]:
    """log p of each target token `[B, T]` and attention weights `[B, T, S]`.

    Of several models there is a batch for each, with the same targets.
    """
    if not isinstance(config, Members):
        log_probs, weights = model.token_log_probs(params, config, batch)
        return log_probs, weights.astype(jnp.float32)
    each = zip(params, config.configs, batch, strict=True)
    found = [model.all_log_probs(*member) for member in each]
    members, looks = zip(*found, strict=True)
    mean = model.log_probs_of(batch[0], MIXES[config.mix](members))
    return mean, mean_weights(looks, config.looking).astype(jnp.float32)


def rows_of(length: int, alive: int) -> int:
    """Rows of a search's batch of that padded length.

    >>> rows_of(100, alive=5), rows_of(10, alive=5)
    (40, 102)
    """
    return max(1, min(TOKENS // length, HYPOTHESES // alive))


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
