"""The whole of a beam search, for a person to look at: its tree of hypotheses.

A search keeps what it needs to read its outputs off, no more. Here the same steps are
made one by one, and each is noted. It is a program of its own, for few texts.
"""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.inference import beams, forbidden, options, programs
from seq2seq_jax.inference.asking import Wishes
from seq2seq_jax.inference.batching import group, length_edges
from seq2seq_jax.inference.constraints import FREE, Constraints
from seq2seq_jax.inference.following import with_token_log_probs
from seq2seq_jax.inference.inputs import check_texts, is_text
from seq2seq_jax.inference.options import Search
from seq2seq_jax.inference.parted import Choices, Numbers, of_beams, terms
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.inference.programs import Members
from seq2seq_jax.inference.results import Hypothesis
from seq2seq_jax.inference.search import beam_step
from seq2seq_jax.inference.shortlist import Columns
from seq2seq_jax.inference.stopping import largest_ahead
from seq2seq_jax.types import EOS, Hypotheses, Params


@dataclass(frozen=True)
class Node:
    """A token that the search tried.

    Attributes:
        step: from 0; nodes of one step have one length.
        parent: the place of the node before in the tree; None: the beginning.
        piece: the token as a printable string.
        log_prob: of all tokens up to this one, in nats.
        ended: whether the token is the end marker.
        rank: of an output, its place among the n best, from 0; None: of all others.
    """

    step: int
    parent: int | None
    piece: str
    log_prob: float
    ended: bool
    rank: int | None


@dataclass(frozen=True)
class Found:
    """What a search found, and what it tried.

    Attributes:
        hypotheses: the n best, best first.
        tree: the nodes, parents before children.
        token_log_probs: of each hypothesis `[T]`, in nats.
    """

    hypotheses: list[Hypothesis]
    tree: list[Node]
    token_log_probs: list[np.ndarray]


def search_tree(predictor: Predictor, text: str, **wishes: Any) -> Found:
    """Search for the outputs of one text, and tell every step of it.

    Args:
        predictor: of a model with or without attention.
        text: one. One without tokens, or of white space, has nothing to search for.
        wishes: `beam_size`, `n_best` and the other options of `options.Search`, but for
            those of samples and for unknown words.

    Raises:
        InputError: options that cannot be.
    """
    check_texts("texts", [text], 1)
    known = {"length_penalty": options.LENGTH_PENALTY, "max_output_length": None}
    for name in ("temperature", "top_k", "top_p", "replace_unk", "groups"):
        if wishes.get(name) and wishes[name] != getattr(Search, name, None):
            raise InputError(
                f"{name} is {wishes[name]}, expected none: the tree is of a beam "
                f"search, as it goes"
            )
    search = Search(**known | {"alignments": True} | wishes)
    options.check(search, predictor.target_tokenizer.size, predictor.config.attention)
    (item,) = predictor.items([(text, "")])
    if not is_text(item):
        return Found([], [], [])
    banned = forbidden.banned(tuple(search.forbidden), predictor.target_tokenizer)
    edges = length_edges(predictor.max_length)
    (one,) = group([item.length], edges, lambda length: 1)
    noted = predictor.begin_search(Wishes(search, banned), [item], one, decode)
    found, trace = jax.device_get(noted)
    (every,) = predictor.read_hypotheses(search, [item], found)
    tree = nodes(trace, len(every), predictor.beside(text)[1])
    return Found(
        every, tree, [token_log_probs(tree, rank) for rank in range(len(every))]
    )


@functools.partial(jax.jit, static_argnames=("config", "choices"))
def decode(
    params: Params,
    source: Any,
    lengths: Any,
    limits: jax.Array,
    rows: jax.Array,
    numbers: Numbers,
    asked: Constraints = FREE,
    columns: Columns | None = None,
    *,
    config: ModelConfig | Members,
    choices: Choices,
) -> tuple[Hypotheses, Any]:
    """As `programs.decode` by beam search; also, by step, what `steps` notes."""
    given = params, config, source, lengths, choices.beam_size, columns
    parts, mask = programs.started(*given)
    step, shared, state = programs.bound(parts, numbers, choices, asked)
    wishes = of_beams(numbers, choices) | terms(numbers, choices, mask)
    rules = beams.make_rules(limits, shared, **wishes)
    beam, noted = steps(functools.partial(step, shared), step, rules, state)
    found = beams.trace_back(beam, choices.n_best)
    if choices.each:
        found = with_token_log_probs(*parts, found)
    if columns is not None:
        ids = jnp.asarray(columns.ids)
        found = found.replace(tokens=ids[found.tokens])  # type: ignore[attr-defined]
        noted = (noted[0], ids[noted[1]], *noted[2:])
    return found, noted


def steps(here: Any, step: Any, rules: beams.Rules, state: Any) -> tuple[Any, Any]:
    """Make all steps of a beam search, and note of each what the tree is made of.

    Args:
        here: the step, with what is shared.
        step: as searches have it.
        rules: of the search.
        state: before the first step, `[B, ...]`.

    Returns:
        The last beam, and `[T, B, ...]`: whether rows were done before the step, the
        living hypotheses' tokens, parents and log-probabilities after it, and those
        that have ended.
    """
    ahead = largest_ahead(rules.divisors, rules.limits)

    def noted(before: beams.Beam, beam: beams.Beam) -> Any:
        now = jax.tree.map(
            lambda x: x[before.time], (beam.trace.tokens, beam.trace.parents)
        )
        return before.done, *now, beam.log_probs, beam.finished

    first = beams.first_beam(step, rules, state)
    second = beam_step(here, rules, ahead, first)

    def advance(beam: beams.Beam, _: None) -> tuple[beams.Beam, Any]:
        new = beam_step(here, rules, ahead, beam)
        return new, noted(beam, new)

    last, rest = lax.scan(advance, second, length=len(rules.divisors) - 1)
    start = noted(first, second)
    return last, jax.tree.map(lambda x, y: jnp.concatenate([x[None], y]), start, rest)


def nodes(noted: Any, outputs: int, tokenizer: Any) -> list[Node]:
    """The tree of the first row of a batch; `outputs`: how many were asked for."""
    done, tokens, parents, log_probs, finished = jax.tree.map(lambda x: x[:, 0], noted)
    tree: list[Node] = []
    above: list[int | None] = [None] * tokens.shape[1]  # the last step's node by beam
    last = finished.lengths[-1], finished.slots[-1], finished.log_probs[-1]
    best = [key(*values) for values in zip(*last, strict=True)][:outputs]
    end = tokenizer.pieces([EOS])[0]
    for time in range(len(tokens)):
        if done[time]:
            break
        for length, slot, log_prob in zip(
            finished.lengths[time],
            finished.slots[time],
            finished.log_probs[time],
            strict=True,
        ):
            if length != time + 1:  # ended before
                continue
            name = key(length, slot, log_prob)
            rank = best.index(name) if name in best else None
            tree.append(Node(time, above[slot], end, float(log_prob), True, rank))
        below: list[int | None] = []
        pieces = tokenizer.pieces(tokens[time].tolist())
        over = time + 1 == len(tokens) or done[time + 1]
        for slot, piece in enumerate(pieces):
            below.append(None)
            if log_probs[time, slot] > -np.inf:
                below[slot] = len(tree)
                number = float(log_probs[time, slot])
                parent = above[parents[time, slot]]
                tree.append(Node(time, parent, piece, number, False, None))
        above = below
        if over:
            break
    return tree


def key(length: Any, slot: Any, log_prob: Any) -> tuple[int, int, float]:
    """What tells one ended hypothesis of a row from another."""
    return int(length), int(slot), float(log_prob)


def token_log_probs(tree: list[Node], rank: int) -> np.ndarray:
    """Of each token of an output, in nats."""
    place = next((n for n, node in enumerate(tree) if node.rank == rank), None)
    totals = [0.0]
    while place is not None:
        totals.insert(1, tree[place].log_prob)
        place = tree[place].parent
    return np.diff(totals)
