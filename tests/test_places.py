"""Beams as papers had them, against the same rules written as loops over lists."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from searches import VOCAB, rnn, toy

from seq2seq_jax.inference.penalties import gnmt_penalty
from seq2seq_jax.inference.places import PLACES
from seq2seq_jax.inference.search import beam_search
from seq2seq_jax.types import BOS, EOS, PAD

ROWS, SIZE, BEST, LONGEST = 6, 4, 4, 7
LIMITS = np.array([7, 7, 7, 5, 3, 1])


@pytest.fixture(scope="module")
def model():
    return toy(1, ROWS, sharpness=1.0, end=1.0)


def found(model, places, prune, alpha):
    params, state = model

    @jax.jit
    def run(prune, state, limits):
        return beam_search(
            lambda shared, state, tokens: rnn(params, state, tokens),
            (),
            state,
            limits,
            beam_size=SIZE,
            n_best=BEST,
            max_length=LONGEST,
            length_penalty=gnmt_penalty(alpha),
            places=places,
            prune=prune,
        )

    prune = None if prune is None else jnp.float32(prune)
    return jax.tree.map(np.asarray, run(prune, state, LIMITS))


def continuations(params, alive, last, prune):
    """`(log-probability, tokens, state)` of all that may be said, best first."""
    made = []
    for total, tokens, state in alive:
        state, log_probs, _ = rnn(params, state, jnp.array(tokens[-1]))
        said = [EOS] if last else [v for v in range(VOCAB) if v not in (PAD, BOS)]
        log_probs = np.asarray(log_probs)
        best = max(log_probs[v] for v in said)
        made += [
            (total + log_probs[v], [*tokens, v], state)
            for v in said
            if prune is None or log_probs[v] >= best - prune
        ]
    return sorted(made, key=lambda one: -one[0])


def expected(params, state, limit, places, prune, alpha):
    """The best ended hypotheses `(score, tokens)` of a row."""

    def score(total, length):
        return total / ((5 + length) / 6) ** alpha

    alive, ended = [(0.0, [BOS], state)], []
    for length in range(1, limit + 1):
        ranked = continuations(params, alive, length == limit, prune)
        if places == "kept":
            ends = [one for one in ranked[:SIZE] if one[1][-1] == EOS]
            alive = [one for one in ranked[: 2 * SIZE] if one[1][-1] != EOS][:SIZE]
        else:
            ranked = ranked[: SIZE - len(ended) * (places == "lost")]
            ends = [one for one in ranked if one[1][-1] == EOS]
            alive = [one for one in ranked if one[1][-1] != EOS]
        ended += [(score(total, length), tokens[1:]) for total, tokens, _ in ends]
        if prune is not None and ended:
            least = max(ended)[0] - prune
            alive = [one for one in alive if score(one[0], length) >= least]
        if not alive:
            break
        if len(ended) >= SIZE and max(ended)[0] >= score(alive[0][0], length):
            break
    return sorted(ended, key=lambda one: -one[0])[:BEST]


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("prune", [None, 1.0])
@pytest.mark.parametrize("places", PLACES)
def test_it_is_the_search_written_as_loops(model, places, prune, alpha):
    params, state = model
    ours = found(model, places, prune, alpha)
    for row, limit in enumerate(LIMITS):
        theirs = expected(params, state[row], limit, places, prune, alpha)
        assert (ours.lengths[row] > 0).sum() == len(theirs)
        for place, (score, tokens) in enumerate(theirs):
            said = ours.tokens[row, place][: ours.lengths[row, place] - 1]
            assert [*said.tolist(), EOS] == tokens
            np.testing.assert_allclose(ours.scores[row, place], score, rtol=1e-5)


def test_the_rules_differ_and_a_wide_prune_leaves_nothing_out(model):
    ends = {places: found(model, places, None, 1.0) for places in PLACES}
    few = {places: end.scores.tobytes() for places, end in ends.items()}
    assert len(set(few.values())) == len(PLACES)
    wide = found(model, "kept", 1e9, 1.0)
    jax.tree.map(np.testing.assert_array_equal, wide, ends["kept"])
    narrow = found(model, "kept", 0.0, 0.0)  # no more than greedy search
    assert (narrow.lengths[:, 1] == 0).all()
