"""The options of a search, by what another value of them costs: a program, or none."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax.inference.forbidden import NOTHING, Banned
from seq2seq_jax.inference.options import Search
from seq2seq_jax.inference.penalties import LENGTH_PENALTIES, gnmt_coverage
from seq2seq_jax.types import Array


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
        stop: an entry of `stopping.STOPS`.
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


def terms(numbers: Numbers, choices: Choices, mask: jax.Array) -> dict[str, Any]:
    """The arguments of `beams.make_rules` that all searches have."""
    penalty, beta = LENGTH_PENALTIES[choices.length_penalty_kind], numbers.beta
    return {
        "max_length": choices.max_length,
        "length_penalty": penalty(numbers.alpha),
        "coverage_penalty": None if beta is None else gnmt_coverage(beta),
        "mask": mask,
    }


def of_beams(numbers: Numbers, choices: Choices) -> dict[str, Any]:
    """Those that beam search alone has."""
    return {
        "beam_size": choices.beam_size,
        "n_best": choices.n_best,
        "stop": choices.stop,
        "places": choices.places,
        "prune": numbers.prune,
    }
