"""Laws of searches over real models, swept over every table: teacher forcing agrees."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import as_read, params_of, quick_jit
from sweeps import SWEEP, name

from seq2seq_jax.inference import programs
from seq2seq_jax.inference.search import beam_search, greedy_search
from seq2seq_jax.nn import model
from seq2seq_jax.types import EOS, PAD, UNK, Batch

sweep = pytest.mark.parametrize("config", SWEEP, ids=name)

VOCAB = 5  # the special tokens and one word: outputs are strings of it and of UNK
SOURCES = [[3, 4, 4, 3, EOS], [4, 3, EOS], [EOS]]
LIMITS, LENGTH, BEAMS = (7, 5, 7), 7, 3
SHORT_LIMITS, SHORT = (4, 3, 4), 4
EVERY = [
    [*said, EOS]
    for length in range(SHORT)
    for said in itertools.product((UNK, 4), repeat=length)
]


@functools.partial(quick_jit, static_argnums=1)
def searches(params, config, source, mask):
    """A narrow beam, one of 1, greedy search, and a beam as wide as all outputs."""
    source = as_read(config, Batch(source, mask, mask, mask, mask)).source
    limits, most = jnp.array(LIMITS), len(EVERY)
    # Several hypotheses of a row may read another memory than one does.
    one = programs.one_started(params, config, source, mask)
    beam = functools.partial(
        beam_search, *programs.one_started(params, config, source, mask, alive=BEAMS)
    )
    return {
        "beam": beam(limits, beam_size=BEAMS, n_best=BEAMS, max_length=LENGTH),
        "one": beam_search(*one, limits, beam_size=1, max_length=LENGTH),
        "greedy": greedy_search(*one, limits, max_length=LENGTH),
        "full": beam(
            jnp.array(SHORT_LIMITS), beam_size=most, n_best=most, max_length=SHORT
        ),
    }


token_log_probs = quick_jit(model.token_log_probs, static_argnums=1)


@functools.cache
def found(config):
    """What the searches find, as NumPy arrays."""
    source = programs.pad(SOURCES, len(SOURCES), LENGTH)
    mask = np.arange(LENGTH) < np.array([len(ids) for ids in SOURCES])[:, None]
    # Laid out for inference here; what it is compared with reads them as they are.
    params = model.prepared(params_of(config, target_size=VOCAB), config)
    results = searches(params, config, source, mask)
    return jax.tree.map(np.asarray, results)


def outputs(hypotheses):
    """`(row, place, ids with EOS)` of every hypothesis."""
    for row, place in np.ndindex(hypotheses.lengths.shape):
        length = hypotheses.lengths[row, place]
        if length:
            said = hypotheses.tokens[row, place]
            assert (said[length - 1 :] == PAD).all()
            yield row, place, [*said[: length - 1].tolist(), EOS]


@functools.cache
def forced(config):
    """`{(row, ids): (log-probabilities, weights)}` of all that may be asked for."""
    pairs = [(row, tuple(ids)) for row in range(len(SOURCES)) for ids in EVERY]
    pairs += [(row, tuple(ids)) for row, _, ids in outputs(found(config)["beam"])]
    pairs += [(row, tuple(ids)) for row, _, ids in outputs(found(config)["greedy"])]
    batch = programs.teacher_forced(
        [SOURCES[row] for row, _ in pairs],
        [ids for _, ids in pairs],
        len(SOURCES) * (len(EVERY) + BEAMS + 1),
        LENGTH,
    )
    params = params_of(config, target_size=VOCAB)
    given = token_log_probs(params, config, as_read(config, batch))
    log_probs, weights = map(np.asarray, given)
    return dict(zip(pairs, zip(log_probs, weights, strict=False), strict=False))


@sweep
def test_greedy_is_a_beam_of_one(config):
    one, greedy = found(config)["one"], found(config)["greedy"]
    jax.tree.map(np.testing.assert_array_equal, one, greedy)


@sweep
@pytest.mark.parametrize("search", ["beam", "greedy", "full"])
def test_scores_and_alignments_are_those_of_the_output_as_a_target(config, search):
    hypotheses, counts = found(config)[search], [0] * len(SOURCES)
    for row, place, ids in outputs(hypotheses):
        log_probs, weights = forced(config)[row, tuple(ids)]
        expected, aligned = log_probs.sum(), hypotheses.alignments[row, place]
        np.testing.assert_allclose(hypotheses.log_probs[row, place], expected, 1e-5)
        np.testing.assert_allclose(hypotheses.scores[row, place], expected, 1e-5)
        length = len(ids)
        np.testing.assert_allclose(aligned[:length], weights[:length], 1e-5, 1e-6)
        assert not aligned[length:].any()
        assert length <= (SHORT_LIMITS if search == "full" else LIMITS)[row]
        counts[row] += 1
    assert all(counts) and (search != "beam" or counts == [BEAMS] * len(SOURCES))


@sweep
def test_a_beam_of_full_width_is_brute_force(config):
    full = found(config)["full"]
    for row, limit in enumerate(SHORT_LIMITS):
        possible = [tuple(ids) for ids in EVERY if len(ids) <= limit]
        said = [tuple(ids) for at, _, ids in outputs(full) if at == row]
        assert sorted(said) == sorted(possible)  # each of them once
        scores = [forced(config)[row, ids][0].sum() for ids in possible]
        best = sorted(scores, reverse=True)
        np.testing.assert_allclose(full.scores[row, : len(best)], best, 1e-5)


def test_the_searches_are_put_to_the_test():
    """Beams end early and late, and cross: a best output is not greedy's."""
    lengths, other = set(), 0
    for config in SWEEP:
        lengths |= set(found(config)["beam"].lengths.ravel().tolist())
        best, greedy = found(config)["beam"], found(config)["greedy"]
        other += (best.tokens[:, 0] != greedy.tokens[:, 0]).any(-1).sum()
    assert {1, 2, 3, 4, LENGTH} <= lengths
    assert other >= len(SWEEP) // 2
