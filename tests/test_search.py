"""Laws of greedy and beam search, on step functions that a test can see through."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from searches import (
    PENALTIES,
    SOURCE,
    VOCAB,
    brute_force,
    find,
    follow,
    real,
    rnn,
    same,
    score,
    search,
    toy,
    unshared,
)

from seq2seq_jax.inference import beams
from seq2seq_jax.inference.penalties import gnmt_coverage
from seq2seq_jax.inference.search import beam_search, beam_step
from seq2seq_jax.inference.stopping import largest_ahead
from seq2seq_jax.inference.topk import top_k
from seq2seq_jax.types import BOS, EOS, PAD, UNK


@pytest.mark.parametrize("penalty", PENALTIES)
def test_greedy_is_a_beam_of_one(penalty):
    for seed, end in enumerate([-2.0, 0.0, 2.0, 4.0, 6.0]):
        params, state = toy(seed, 8, end=end)
        limits = [0, 1, 2, 5, 9, 9, 30, 9]
        one = find(params, state, limits, 1, penalty, max_length=9)
        greedy = find(params, state, limits, None, penalty, max_length=9)
        same(one, greedy)
        assert (one.lengths[:, 0] <= np.minimum(limits, 9)).all()


def test_greedy_takes_the_most_probable_token_and_stops_at_the_first_end():
    params, state = toy(3, 10, end=4.0)
    found = find(params, state, [9] * 10, 1, max_length=9)
    assert len(set(found.lengths[:, 0].tolist())) > 2
    for row in range(10):
        now, last, said = state[row], BOS, []
        while last != EOS:
            now, log_probs, _ = rnn(params, now, last)
            log_probs = log_probs.at[jnp.array([PAD, BOS])].set(-jnp.inf)
            last = EOS if len(said) == 8 else int(jnp.argmax(log_probs))
            said.append(last)
        assert found.lengths[row, 0] == len(said)
        assert found.tokens[row, 0, : len(said) - 1].tolist() == said[:-1]


@pytest.mark.parametrize("n", [2, 60])  # with 2 the search stops early
@pytest.mark.parametrize("penalty", PENALTIES)
def test_a_beam_of_full_width_is_brute_force(penalty, n):
    params, state = toy(7, 3, vocab=6, sharpness=1.0)
    limits = [1, 3, 4]
    found = find(params, state, limits, 6**3, penalty, max_length=4, n_best=n)
    for row, limit in enumerate(limits):
        truth = brute_force(params, state[row], limit, 6, penalty)
        assert (found.lengths[row] > 0).sum() == min(n, len(truth))
        for i, (best, tokens) in enumerate(truth[:n]):
            length = found.lengths[row, i]
            assert (*found.tokens[row, i, : length - 1], EOS) == tokens
            np.testing.assert_allclose(found.scores[row, i], best, rtol=1e-5)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_first_n_do_not_depend_on_n(penalty):
    limits = [3, 12, 7, 12, 12, 1, 12, 12]
    for seed, end in enumerate([-1.0, 2.0, 4.0]):
        params, state = toy(seed, 8, end=end)
        args = (params, state, limits, 5, penalty)
        most = find(*args, n_best=5, max_length=12)
        assert (most.scores[:, 1:] <= most.scores[:, :-1]).all()
        for n in (1, 3):
            less = find(*args, n_best=n, max_length=12)
            same(less, jax.tree.map(lambda x, n=n: x[:, :n], most))


def test_stopping_early_saves_steps():
    params, state = toy(7, 6, end=5.0)
    seen = []

    def counted(params, state, tokens):
        jax.debug.callback(lambda: seen.append(1))
        return rnn(params, state, tokens)

    steps = []
    for n in (1, 4):
        seen.clear()
        find(params, state, [40] * 6, 4, step=counted, max_length=40, n_best=n)
        jax.effects_barrier()
        steps.append(len(seen))
    assert 1 < steps[0] < steps[1] < 40


def test_a_row_does_not_depend_on_the_others_or_on_the_size_of_the_results():
    params, state = toy(13, 6)
    limits = [4, 1, 10, 7, 0, 10]
    options = {"size": 3, "n_best": 3, "penalty": ("gnmt", 1.0, 0.5)}
    whole = find(params, state, limits, max_length=10, **options)
    assert (whole.lengths <= np.array(limits)[:, None]).all()
    for row, limit in enumerate(limits):
        alone = find(params, state[row, None], [limit], max_length=15, **options)
        alone = alone.replace(
            tokens=alone.tokens[:, :, :10], alignments=alone.alignments[:, :, :10]
        )
        same(alone, jax.tree.map(lambda x, row=row: x[row, None], whole))


@pytest.mark.parametrize("size", [None, 4])
@pytest.mark.parametrize("beta", [None, 0.7])
def test_scores_and_alignments_are_those_of_the_tokens(size, beta):
    params, state = toy(17, 4)
    penalty, n = ("gnmt", 0.7, beta), {"n_best": size} if size else {}
    found = find(params, state, [9, 3, 9, 6], size, penalty, max_length=9, **n)
    for row, i in itertools.product(range(4), range(size or 1)):
        length = found.lengths[row, i]
        tokens = [*found.tokens[row, i, : length - 1], EOS]
        log_probs, looks = follow(params, state[row], [tokens])
        total = log_probs.sum()
        np.testing.assert_allclose(found.log_probs[row, i], total, rtol=1e-5)
        expected = score(penalty, total, looks[0], state[row])
        np.testing.assert_allclose(found.scores[row, i], expected, rtol=1e-5)
        np.testing.assert_allclose(found.alignments[row, i, :length], looks[0], 1e-5)
        assert (found.alignments[row, i, length:] == 0).all()
        assert (found.tokens[row, i, length - 1 :] == PAD).all()


def rules_of(penalty):
    limits = jnp.full(6, 9)
    return beams.make_rules(
        limits,
        (),
        max_length=9,
        beam_size=4,
        n_best=4,
        coverage_penalty=penalty,
        mask=jnp.ones((6, SOURCE), bool),
        forbidden=(),
    )


def test_the_coverage_penalty_ranks_what_has_ended_and_steers_nothing():
    """What lives is the same whatever the penalty is (tensorflow/addons#859)."""
    params, state = toy(37, 6, end=2.0)
    step = unshared(rnn, params)
    seen = []
    for penalty in (None, lambda coverage, mask: -99.0 * coverage[..., 0]):
        rules = rules_of(penalty)
        ahead = largest_ahead(rules.divisors, rules.limits)
        beam = beams.first_beam(step, rules, state)
        for _ in range(5):
            beam = beam_step(functools.partial(step, ()), rules, ahead, beam)
        seen.append(beam)
    assert (seen[0].ended > 1).any()
    for name in ("tokens", "log_probs", "ended", "trace"):
        same(getattr(seen[0], name), getattr(seen[1], name))
    assert not np.array_equal(seen[0].finished.slots, seen[1].finished.slots)


def test_sums_of_weights_are_carried_only_where_they_are_penalised():
    params, state = toy(1, 6)
    step = unshared(rnn, params)
    for penalty, sums in ((None, 0), (lambda coverage, mask: coverage.sum(-1), 1)):
        first = beams.first_beam(step, rules_of(penalty), state)
        assert len(jax.tree.leaves(first.coverage)) == sums


def test_a_word_without_any_attention_costs_much_but_not_everything():
    mask = jnp.array([[True, True, True]])
    coverage = jnp.array([[[0.0, 1.0, 3.0], [0.5, 1.0, 3.0]]])
    penalty = gnmt_coverage(0.2)(coverage, mask)
    assert np.isfinite(penalty).all()
    assert penalty[0, 0] < -10 < penalty[0, 1] < 0


def spell(params, state, tokens):
    """The toy with weights that spell the history of its hypothesis."""
    inner, history, time = state
    inner, log_probs, _ = rnn(params, inner, tokens)
    now = jnp.arange(history.shape[-1]) == time[..., None]
    history = jnp.where(now, tokens[..., None], history)
    return (inner, history, time + 1), log_probs, history.astype(jnp.float32)


def test_alignments_follow_the_ancestry():
    params, state = toy(19, 5, sharpness=2.0)
    state = (state, jnp.zeros((5, 8), jnp.int32), jnp.zeros(5, jnp.int32))
    found = find(params, state, [8] * 5, 4, step=spell, n_best=4, max_length=8)
    assert len({tuple(x) for x in found.tokens[0]}) == 4
    for row, i in itertools.product(range(5), range(4)):
        read = [BOS, *found.tokens[row, i]]
        for time in range(found.lengths[row, i]):
            heard = found.alignments[row, i, time]
            assert heard[: time + 1].tolist() == read[: time + 1]
            assert not heard[time + 1 :].any()


def test_what_is_forbidden_is_never_said():
    params, state = toy(23, 20)
    usual, more = (PAD, BOS), (PAD, BOS, UNK, 5)
    for size, forbidden in ((4, usual), (4, more), (None, more)):
        options = {"forbidden": forbidden, "max_length": 10}
        found = find(params, state, [10] * 20, size, **options)
        inside = np.arange(10) < found.lengths[..., None] - 1
        said = set(found.tokens[inside].tolist())
        assert {6, 7} < said
        assert (UNK in said) == (UNK not in forbidden)
        assert not said & {*forbidden, EOS}


def test_where_there_are_too_few_the_rest_is_empty():
    params, state = toy(29, 2, vocab=5)
    found = find(params, state, [1, 2], 4, n_best=4, max_length=3)
    assert found.lengths[0].tolist() == [1, 0, 0, 0]  # only the end itself
    assert sorted(found.lengths[1]) == [0, 1, 2, 2]  # the end, UNK, 4
    assert (np.isneginf(found.scores) == (found.lengths == 0)).all()


def flat(log_probs, state, tokens):
    """The same log-probabilities `[V]` at each step."""
    every = jnp.broadcast_to(log_probs, (*tokens.shape, len(log_probs)))
    return state, every, jnp.ones((*tokens.shape, 1))


def test_of_equals_the_lowest_id_comes_first():
    table = jnp.full(VOCAB, -1.0).at[EOS].set(-9.0)
    found = find(table, (), [2], 3, step=flat, n_best=3, max_length=2)
    assert found.tokens[0, :, 0].tolist() == [3, 4, 5]
    assert find(table, (), [2], step=flat, max_length=2).tokens[0, 0, 0] == 3


def test_a_step_that_allows_nothing_ends():
    for size in (None, 2):
        table = jnp.full(VOCAB, -jnp.inf)
        found = find(table, (), [4, 4], size, step=flat, max_length=4)
        assert (found.lengths == 0).all()
        assert np.isneginf(found.scores).all()


def test_jit_changes_nothing():
    params, state = toy(31, 3)
    args = (params, state, [3, 2, 3], 3)
    loose, tight = search(rnn, *args, max_length=3), find(*args, max_length=3)
    same(tight.tokens, loose.tokens)
    np.testing.assert_allclose(tight.scores, loose.scores, rtol=1e-6)
    np.testing.assert_allclose(tight.alignments, loose.alignments, rtol=1e-5)


def test_more_results_than_beams_are_refused():
    params, state = toy(1, 1)
    with pytest.raises(ValueError, match="n_best is 3, expected 1 to beam_size"):
        search(rnn, params, state, [3], 2, n_best=3, max_length=3)


@pytest.mark.parametrize("size", [7, 100, 4999, 40_000])
@pytest.mark.parametrize("block", [None, 3, 64])
def test_top_k_in_two_stages_is_lax_top_k(size, block):
    """Ties and -inf included, which few distinct numbers make sure of."""
    rng = np.random.default_rng(size)
    smooth = rng.normal(size=(2, 3, size)).astype(np.float32)
    tied = rng.integers(0, 4, size=(2, 3, size)).astype(np.float32)
    ours = jax.jit(functools.partial(top_k, k=5, block=block))
    for values in (smooth, tied, np.where(tied > 0, -np.inf, tied)):
        same(list(ours(values)), list(jax.lax.top_k(values, 5)))


@pytest.mark.parametrize("size", [1, 4])
def test_rows_that_go_on_alone_keep_what_is_theirs(size):
    """The last few rows of a batch are searched by themselves."""
    params, state = toy(41, 16, end=-4.0)
    limits = jnp.arange(2, 34, 2)
    rng = np.random.default_rng(0)
    tilt = jnp.asarray(rng.normal(0, 1.0, (16, VOCAB)), jnp.float32)

    def tilted(shared, state, tokens):
        state, log_probs, weights = rnn(params, state, tokens)
        return state, jax.nn.log_softmax(log_probs + shared[:, None]), weights

    @jax.jit
    def found(shared, state, limits, mask):
        return beam_search(
            tilted,
            shared,
            state,
            limits,
            beam_size=size,
            n_best=size,
            max_length=32,
            coverage_penalty=gnmt_coverage(0.2),
            mask=mask,
        )

    together = found(tilt, state, limits, real(state))
    ends = np.sort(np.asarray(together.lengths.max(1)))
    assert ends[12] < ends[15]  # or nothing was left behind
    for row in range(16):
        one = slice(row, row + 1)
        alone = found(tilt[one], state[one], limits[one], real(state[one]))
        same(alone, jax.tree.map(lambda x, one=one: x[one], together))
