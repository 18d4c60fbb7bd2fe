"""Laws of ensembles: of one, of two, of a model with itself; what does not fit."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from predictors import TINY, close, params_of, predictor, texts, tokenizer
from small import params_of as sweep_params
from sweeps import DECODER_SWEEP, name

from seq2seq_jax.data import tokenizers
from seq2seq_jax.errors import InputError
from seq2seq_jax.inference import programs
from seq2seq_jax.inference.ensemble import Ensemble
from seq2seq_jax.inference.mixing import MIXES
from seq2seq_jax.inference.predictor import Predictor

OTHER = dataclasses.replace(TINY, decoder="bahdanau", attention="additive", cell="gru")
WAYS = [
    {"beam_size": 1},
    {"beam_size": 4, "n_best": 3, "coverage_penalty": 0.2, "no_repeat_ngram": 2},
    {"temperature": 1.0, "n_best": 3, "top_k": 5, "min_output_length": 4},
]


def exactly(one, other):
    for a, b in zip(one, other, strict=True):
        assert dataclasses.replace(a, alignment=None) == dataclasses.replace(
            b, alignment=None
        )
        np.testing.assert_array_equal(a.alignment, b.alignment)


@pytest.mark.parametrize("options", WAYS)
def test_of_one_it_is_the_model_bit_for_bit(options):
    one, given = predictor(), texts(12)
    alone = Ensemble([one])
    both = zip(
        one.translate(given, **options), alone.translate(given, **options), strict=True
    )
    for ours, theirs in both:
        exactly(ours, theirs)
    scores = one.score(given, given), alone.score(given, given)
    for ours, theirs in zip(*scores, strict=True):
        np.testing.assert_array_equal(ours.token_log_probs, theirs.token_log_probs)


@pytest.mark.parametrize("mix", MIXES)
def test_of_a_model_with_itself_it_is_the_model(mix):
    one, given = predictor(), texts(12)
    twice = Ensemble([one, one], mix)
    for options in WAYS[1:2]:
        found = one.translate(given, **options), twice.translate(given, **options)
        for ours, theirs in zip(*found, strict=True):
            close(ours[0], theirs[0])
    for ours, theirs in zip(
        one.score(given, given), twice.score(given, given), strict=True
    ):
        np.testing.assert_allclose(
            ours.token_log_probs, theirs.token_log_probs, rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(ours.alignment, theirs.alignment, atol=1e-6)


def by_hand(mix, one, other):
    """The mean distribution `[..., V]` of two, in float64."""
    if mix == "probabilities":
        return np.log((np.exp(one) + np.exp(other)) / 2)
    mean = (one + other) / 2
    return mean - np.log(np.exp(mean).sum(-1, keepdims=True))


@pytest.mark.parametrize("config", DECODER_SWEEP, ids=name)
def test_of_two_it_is_the_mean_at_every_step(config):
    """Whatever the decoder; and so in every search, which reads no more than a step."""
    members = [sweep_params(config, seed) for seed in (1, 2)]
    source = np.array([[5, 6, 7, 2], [8, 2, 0, 0]], np.int32)
    lengths = np.array([4, 2], np.int32)
    tokens = jnp.array([[[1], [4], [7]], [[1], [9], [5]]]).transpose(1, 0, 2)

    @partial(jax.jit, static_argnums=1)
    def steps(params, model, source, lengths):
        (step, shared, state), _ = programs.started(params, model, source, lengths)
        state, found = jax.tree.map(lambda x: x[:, None], state), []
        for token in tokens:
            state, *rest = step(shared, state, token)
            found.append(rest)
        return found

    alone = [steps(params, config, source, lengths) for params in members]
    for mix in MIXES:
        model = programs.Members((config, config), mix, (0, 1))
        found = steps(tuple(members), model, (source, source), (lengths, lengths))
        for (mean, look), *each in zip(found, *alone, strict=True):
            (one, first), (other, second) = jax.tree.map(np.float64, each)
            np.testing.assert_allclose(mean, by_hand(mix, one, other), atol=2e-5)
            np.testing.assert_allclose(look, (first + second) / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("mix", "options"),
    [("probabilities", WAYS[1]), ("log_probabilities", WAYS[2])],
)
def test_what_a_search_finds_scores_as_forced(mix, options):
    both = Ensemble([predictor(), predictor(OTHER, seed=3)], mix)
    given = texts(9)
    many = list(both.translate(given, token_log_probs=True, **options))
    for row in range(len(many[-1])):
        said = [found[row].text for found in many]
        for found, score in zip(many, both.score(given, said), strict=True):
            ours = found[row]
            if len(ours.tokens) != len(score.token_log_probs):
                continue  # it said <unk>, which text does not give back
            close_ = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4)
            close_(ours.token_log_probs, score.token_log_probs)
            close_(ours.alignment, score.alignment)
            close_(ours.log_prob, score.log_prob)


def test_neither_batches_nor_n_best_change_a_result():
    both, given = Ensemble([predictor(), predictor(OTHER, seed=3)]), texts(20)
    every = list(both.translate(given, n_best=3))
    for text, found in zip(given, every, strict=True):
        (alone,) = both.translate([text], n_best=3)
        (best,) = both.translate([text], n_best=1)
        close(found[0], best[0])
        for one, other in zip(found, alone, strict=True):
            close(one, other)


def other_source(**options):
    """A model that reads the same texts as bytes."""
    config = dataclasses.replace(TINY, attention="additive")
    reads, says = tokenizers.train("byte", []), tokenizer()
    from seq2seq_jax.nn import model

    params = model.init_params(jax.random.key(5), config, reads.size, says.size)
    sizes = {"max_length": 16, "length_ratio": 1.5} | options
    return Predictor(
        jax.tree.map(lambda x: 2.0 * x, params), config, reads, says, **sizes
    )


def test_each_member_reads_with_its_own_tokeniser():
    """Alignments are then the first one's."""
    first, second = predictor(), other_source()
    given, said = ["abc", "dé f", "n"], ["ab", "c", "pon"]
    both = Ensemble([first, second])
    parts = zip(*(one.score(given, said) for one in (both, first, second)), strict=True)
    for mean, one, other in parts:
        wanted = by_hand("probabilities", one.token_log_probs, other.token_log_probs)
        np.testing.assert_allclose(mean.token_log_probs, wanted, atol=1e-5)
        np.testing.assert_allclose(mean.alignment, one.alignment, atol=1e-6)
        assert mean.source_pieces == one.source_pieces
    assert [found[0].source_pieces[-1] for found in both.translate(given)] == [
        "</s>"
    ] * 3


def test_a_member_that_does_not_look_has_no_say_in_alignments():
    blind = predictor(dataclasses.replace(TINY, attention="none"), seed=2)
    both = Ensemble([blind, predictor()])
    assert both.looks
    (ours,), (theirs,) = (one.score(["abc"], ["de"]) for one in (both, predictor()))
    np.testing.assert_allclose(ours.alignment, theirs.alignment, atol=1e-6)
    assert not Ensemble([blind, blind]).looks


def test_what_does_not_fit_together_is_refused():
    says = tokenizers.train("char", ["abcdefghijklmnoq "], 40)
    strange = Predictor(params_of(TINY), TINY, tokenizer(), says)
    with pytest.raises(InputError, match=r"model 2 .* \(token 20 is 'p' and 'q'\)"):
        Ensemble([predictor(), strange])
    with pytest.raises(InputError, match="no members"):
        Ensemble([])
    with pytest.raises(InputError, match="mix is 'mean', expected one of"):
        Ensemble([predictor(), predictor()], "mean")
    bytes_ = Predictor(params_of(TINY), TINY, tokenizer(), tokenizers.train("byte", []))
    with pytest.raises(InputError, match="char and byte"):
        Ensemble([predictor(), bytes_])
