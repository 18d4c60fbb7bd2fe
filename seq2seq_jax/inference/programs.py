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
from seq2seq_jax.inference.forbidden import NOTHING, Banned
from seq2seq_jax.inference.mixing import MIXES, mean_weights, mixed
from seq2seq_jax.inference.options import Search
from seq2seq_jax.inference.penalties import LENGTH_PENALTIES, gnmt_coverage
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


class Draws(NamedTuple):
    """What samples are drawn by.

    Attributes:
        temperature: of all.
        key: of all; a row's is this one, folded with its number.
        top_k, top_p: of what is drawn from, see `draws.narrowed`; or None.
    """

    temperature: jax.Array
    key: jax.Array
    top_k: jax.Array | None = None
    top_p: jax.Array | None = None


class Numbers(NamedTuple):
    """Options whose value needs no program of its own; None is off, and another one.

    Attributes:
        alpha: of the length penalty.
        beta: of the coverage penalty.
        draws: of samples.
        banned, phrases, repetition: as in `constraints.Manners`.
        prune, diversity: as in `beam_search` and `diverse_search`.
    """

    alpha: jax.Array
    beta: jax.Array | None
    draws: Draws | None
    banned: Array | None = None
    phrases: Array | None = None
    repetition: jax.Array | None = None
    prune: jax.Array | None = None
    diversity: jax.Array | None = None


class Choices(NamedTuple):
    """Options that decide the program.

    Attributes:
        beam_size, n_best, max_length: as in `beam_search`; 1 beam is greedy search;
            where there are draws, `n_best` samples.
        alignments: whether the result has them, else None.
        length_penalty_kind: an entry of `LENGTH_PENALTIES`.
        stop: an entry of `search.STOPS`.
        ngram: as in `constraints.Manners`.
        each: whether the result has log-probabilities of each token.
        places: an entry of `places.PLACES`.
        groups: of beams; 1 is beam search.
    """

    beam_size: int
    n_best: int
    max_length: int
    alignments: bool
    length_penalty_kind: str
    stop: str
    ngram: int = 0
    each: bool = False
    places: str = "kept"
    groups: int = 1


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


def parted(
    search: Search, max_length: int, banned: Banned = NOTHING
) -> tuple[Numbers, Choices]:
    """The options of a search by what another value of them costs.

    Args:
        search: the options.
        max_length: as in `beam_search`.
        banned: its forbidden texts as ids.
    """
    draws, bent = None, search.repetition_penalty != 1.0
    if search.temperature is not None:
        draws = Draws(
            jnp.float32(search.temperature),
            jax.random.key(search.seed),
            None if search.top_k is None else jnp.int32(search.top_k),
            None if search.top_p is None else jnp.float32(search.top_p),
        )
    numbers = Numbers(
        alpha=jnp.float32(search.length_penalty),
        beta=jnp.float32(search.coverage_penalty) if search.coverage_penalty else None,
        draws=draws,
        banned=banned.ids,
        phrases=banned.phrases,
        repetition=jnp.float32(search.repetition_penalty) if bent else None,
        prune=None if search.prune is None else jnp.float32(search.prune),
        diversity=jnp.float32(search.diversity) if search.groups > 1 else None,
    )
    return numbers, Choices(
        search.beam_size,
        search.outputs,
        max_length,
        search.alignments or search.replace_unk,
        search.length_penalty_kind,
        search.stop,
        search.no_repeat_ngram,
        search.token_log_probs or bent,
        search.places,
        search.groups,
    )


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
    beta, penalty = numbers.beta, LENGTH_PENALTIES[choices.length_penalty_kind]
    found = search_of(numbers, choices, rows, model_parts)(
        *parts,
        limits,
        max_length=choices.max_length,
        length_penalty=penalty(numbers.alpha),
        coverage_penalty=None if beta is None else gnmt_coverage(beta),
        mask=mask,
    )
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
    if choices.ngram or any(x is not None for x in (*manners[1:], *asked)):
        return constrained(*parts, choices.max_length, asked, manners)
    return parts


def search_of(
    numbers: Numbers, choices: Choices, rows: jax.Array, own: tuple[Step, Any, Any]
) -> Callable[..., Hypotheses]:
    """Greedy search, beam search or sampling, with what each of them needs alone."""
    if numbers.diversity is not None:
        return functools.partial(
            diverse_search,
            groups=choices.groups,
            diversity=numbers.diversity,
            beam_size=choices.beam_size,
            n_best=choices.n_best,
            own=own,
        )
    draws = numbers.draws
    if draws is not None:
        return functools.partial(
            sample_search,
            keys=jax.vmap(jax.random.fold_in, (None, 0))(draws.key, rows),
            samples=choices.n_best,
            temperature=draws.temperature,
            top_k=draws.top_k,
            top_p=draws.top_p,
        )
    if choices.beam_size == 1:
        return greedy_search
    return functools.partial(
        beam_search,
        beam_size=choices.beam_size,
        n_best=choices.n_best,
        stop=choices.stop,
        places=choices.places,
        prune=numbers.prune,
    )


def started(
    params: Params, config: ModelConfig | Members, source: Any, lengths: Any
) -> tuple[tuple[Step, Any, Any], jax.Array]:
    """A search's step function, what its rows share and their state; and a mask.

    Arguments as those of `decode`. The mask `[B, S]` is true at the real positions that
    weights tell of.
    """
    if isinstance(config, Members):
        each = zip(params, config.configs, source, lengths, strict=True)
        parts, masks = zip(*(started(*member) for member in each), strict=True)
        return mixed(parts, config.mix, config.looking), masks[0]
    mask = jnp.arange(source.shape[1]) < lengths[:, None]
    return one_started(params, config, source, mask), mask


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
) -> tuple[jax.Array, jax.Array]:
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
    """Ids `[rows, length]`, padded on the right and with empty rows.

    >>> pad([[5, 2]], 2, 3).tolist()
    [[5, 2, 0], [0, 0, 0]]
    """
    ids = np.full((rows, length), PAD, np.int32)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
    return ids
