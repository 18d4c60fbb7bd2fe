"""When a search stops, against a beam search in plain lists."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from searches import PENALTIES, VOCAB, find, follow, same, score, toy

from seq2seq_jax.inference import search
from seq2seq_jax.inference.penalties import LENGTH_PENALTIES
from seq2seq_jax.inference.stopping import STOPS
from seq2seq_jax.types import BOS, EOS, PAD

SIZE, LIMIT = 4, 9
MEAN = ("average", 1.0, None)


def plain(params, state, stop):
    """The best `(score, tokens)` of a row, from lists that are followed anew."""
    living, ended = [((), 0.0)], []
    for length in range(1, LIMIT + 1):
        said = [
            (*tokens, token)
            for tokens, _ in living
            for token in range(VOCAB)
            if token not in (PAD, BOS) and (token == EOS or length < LIMIT)
        ]
        totals = follow(params, state, said)[0].sum(1)
        order = sorted(zip(said, totals, strict=True), key=lambda pair: -pair[1])
        best = [pair for pair in order[:SIZE] if pair[0][-1] == EOS]
        ended += [(score(MEAN, total, tokens, state), tokens) for tokens, total in best]
        living = [pair for pair in order if pair[0][-1] != EOS][:SIZE]
        enough = len(ended) >= SIZE
        if stop == "ahead" and enough and living:
            enough = max(ended)[0] >= living[0][1] / length
        if enough or (stop == "first" and order[0][0][-1] == EOS):
            break
    return max(ended)


def test_no_penalty_and_no_rule_is_excused():
    assert {kind for kind, *_ in PENALTIES} == set(LENGTH_PENALTIES)
    assert set(STOPS) == {"ahead", "ended", "first"}  # what `plain` knows


@pytest.mark.parametrize("stop", STOPS)
def test_the_best_output_is_that_of_a_beam_search_in_lists(stop):
    found_lengths = []
    for seed, end in enumerate([0.0, 2.0, 4.0]):
        params, state = toy(seed, 6, end=end)
        found = find(
            params, state, [LIMIT] * 6, SIZE, MEAN, max_length=LIMIT, stop=stop
        )
        for row in range(6):
            best, tokens = plain(params, state[row], stop)
            length = found.lengths[row, 0]
            assert (*found.tokens[row, 0, : length - 1].tolist(), EOS) == tokens
            np.testing.assert_allclose(found.scores[row, 0], best, rtol=1e-5)
        found_lengths.append(found.lengths[:, 0])
    assert len(np.unique(found_lengths)) > 2


def test_the_rules_differ_and_are_one_to_greedy_search():
    params, state = toy(1, 30, end=3.0)
    limits = [LIMIT] * 30
    for size, equal in ((SIZE, False), (1, True)):
        ahead, ended, first = (
            find(params, state, limits, size, MEAN, max_length=LIMIT, stop=stop)
            for stop in ("ahead", "ended", "first")
        )
        for better, worse in ((ahead, ended), (ended, first)):
            if equal:
                same(better, worse)
            else:
                assert (better.scores >= worse.scores - 1e-6).all()
                assert (better.scores > worse.scores + 1e-3).any()


@pytest.mark.parametrize("stop", ["ahead", "ended"])
@pytest.mark.parametrize("kind", [MEAN, ("gnmt", 1.0, 0.2)])
def test_the_best_do_not_depend_on_how_many_are_asked_for(stop, kind):
    params, state = toy(3, 20, end=2.0)
    few, many = (
        find(
            params,
            state,
            [LIMIT] * 20,
            SIZE,
            kind,
            max_length=LIMIT,
            stop=stop,
            n_best=n,
        )
        for n in (2, SIZE)
    )
    same(few, jax.tree.map(lambda x: x[:, :2], many))


def test_a_word_is_found_though_more_than_the_beam_has_have_ended_before_it():
    """Each step an ending is a tenth as probable as going on: as of letters."""
    word = [EOS + 1 + (n % 2) for n in range(7)]
    here = np.full((len(word) + 1, VOCAB), 1e-6)
    for time, letter in enumerate(word):
        here[time, [letter, EOS]] = 0.89, 0.1
    here[-1, EOS] = 1.0
    table = jnp.log(jnp.array(here / here.sum(1, keepdims=True)))

    def step(shared, time, tokens):
        return time + 1, table[time], jnp.ones((*tokens.shape, 1))

    def best(stop):
        found = search.beam_search(
            step,
            (),
            jnp.zeros(1, jnp.int32),
            jnp.array([8]),
            max_length=8,
            beam_size=3,
            stop=stop,
        )
        return found.tokens[0, 0, : int(found.lengths[0, 0]) - 1].tolist()

    assert best("ahead") == word
    assert len(best("ended")) < len(word)
