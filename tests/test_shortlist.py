"""Shortlists: what they list, and laws of searches that say nothing else."""

import collections
import dataclasses
import itertools

import jax
import numpy as np
import pytest
from predictors import LETTERS, TINY, close, params_of, predictor, texts, tokenizer

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.data import lexical
from seq2seq_jax.errors import InputError
from seq2seq_jax.inference import batching, programs, shortlist
from seq2seq_jax.inference.ensemble import Ensemble
from seq2seq_jax.inference.history import search_tree
from seq2seq_jax.inference.shortlist import Shortlist
from seq2seq_jax.nn import model
from seq2seq_jax.types import EOS, PAD, UNK

SIZE = tokenizer().size
EDGES = batching.length_edges(16)
TIED = dataclasses.replace(TINY, tied_embeddings="all", readout_size=None)
RANKED = dataclasses.replace(TINY, output_rank=4, decoder="bahdanau")


def listing(seed=0, frequent=2, likely=3):
    """A shortlist in which each letter has a few others."""
    rng = np.random.default_rng(seed)
    table = rng.integers(UNK + 1, SIZE, (SIZE, likely)).astype(np.int32)
    common = rng.integers(UNK + 1, SIZE, frequent).astype(np.int32)
    widths = np.full((len(batching.FEW), len(EDGES)), 8)
    return Shortlist(common, table, np.array(EDGES), widths, SIZE)


def everything():
    """A shortlist that leaves nothing out."""
    table = np.zeros((SIZE, 1), np.int32)
    widths = np.full((len(batching.FEW), len(EDGES)), 8)
    return Shortlist(np.arange(SIZE), table, np.array(EDGES), widths, SIZE)


def random_pairs(count=12, seed=0):
    rng = np.random.default_rng(seed)
    return [
        tuple(rng.integers(4, high, rng.integers(0, 5)).tolist() for high in (7, 9))
        for _ in range(count)
    ]


def by_hand(pairs, rounds):
    """t(y | x) of IBM Model 1, as section 4.1 of Brown et al. 1993 writes it."""
    there = {(y, x) for f, e in pairs for y in e for x in {PAD, *f}}
    chances = dict.fromkeys(there, 1.0)
    for _ in range(rounds):
        counts = collections.defaultdict(float)
        for source, target in pairs:
            for y in target:
                whole = sum(chances[y, x] for x in {PAD, *source})
                for x in {PAD, *source}:
                    counts[y, x] += chances[y, x] / whole
        sums = collections.defaultdict(float)
        for (_, x), count in counts.items():
            sums[x] += count
        chances = {(y, x): count / sums[x] for (y, x), count in counts.items()}
    return chances


@pytest.mark.parametrize("seed", range(3))
def test_translations_are_those_of_model_1_by_hand(seed):
    pairs = random_pairs(seed=seed)
    wanted = by_hand(pairs, lexical.ROUNDS)
    table = lexical.together(pairs, 9)
    chances = np.ones(len(table.sources))
    for _ in range(lexical.ROUNDS):
        chances = lexical.better(chances, table)
    entries = zip(table.targets.tolist(), table.sources.tolist(), strict=True)
    found = dict(zip(entries, chances.tolist(), strict=True))
    assert found == pytest.approx(wanted)
    for x, ids in enumerate(lexical.translations(pairs, (7, 9), most=2).tolist()):
        kept = [y for y in ids if y != PAD]
        every = sorted((t for (_, s), t in wanted.items() if s == x), reverse=True)
        best = [t for t in every[:2] if t >= lexical.LEAST]
        assert [wanted[y, x] for y in kept] == pytest.approx(best)


def test_no_pairs_list_nothing_but_what_is_special():
    both = (tokenizer(), tokenizer())
    for pairs in ([], [([], [])]):
        found = shortlist.made(pairs, both, 5, 5, EDGES)
        assert found.allowed([]).tolist() == [0, 1, 2, 3]
        assert found.columns([found.allowed([5])], 1, 8).own.sum() == 5  # and itself


def test_a_list_has_the_frequent_the_likely_and_what_must_be_said():
    pairs = [([4, 5], [7, 8]), ([4, 6], [7, 9]), ([4], [7])]
    both = (tokenizer(), tokenizer())
    found = shortlist.made(pairs, both, 1, 1, EDGES)
    special = [0, 1, 2, 3]
    assert found.frequent.tolist() == [7]
    assert found.allowed([5]).tolist() == [*special, 5, 7, 8]  # 5: one vocabulary
    assert found.allowed([6], [11]).tolist() == [*special, 6, 7, 9, 11]
    assert (found.widths >= 8).all()


def test_columns_hold_all_lists_and_each_row_its_own():
    found = listing()
    allowed = [found.allowed([i, i + 1]) for i in range(5, 12)]
    columns = found.columns(allowed, rows=9, length=8)
    ids, own = columns
    assert ids[: UNK + 1].tolist() == [0, 1, 2, 3] and own.shape == (9, len(ids))
    for row, mine in zip(own, allowed, strict=False):
        assert sorted(ids[row]) == mine.tolist()
    assert not own[7:].any()


@pytest.mark.parametrize("config", [TINY, TIED, RANKED])
@pytest.mark.parametrize("beam", [1, 4])
def test_a_list_of_all_tokens_changes_nothing(config, beam):
    lines, wish = texts(20), {"beam_size": beam, "n_best": min(beam, 3)}
    plain = predictor(config).translate(lines, **wish)
    listed = predictor(config, shortlist=everything()).translate(lines, **wish)
    for every, others in zip(plain, listed, strict=True):
        for one, other in zip(every, others, strict=True):
            close(one, other)


def log_prob(config, params, line, tokens, allowed):
    """Of an output by softmaxes over what is allowed, from logits of all tokens."""
    source = [*tokenizer().encode(line), EOS]
    length = max(len(source), len(tokens))
    batch = programs.teacher_forced([source], [tokens], 1, length)
    logits = np.asarray(model.apply(params, config, batch), np.float64)[0]
    bound = np.full_like(logits, -np.inf)
    bound[:, allowed] = logits[:, allowed]
    norms = np.log(np.exp(bound).sum(axis=1))
    return sum(bound[t, y] - norms[t] for t, y in enumerate(tokens))


@pytest.mark.parametrize("config", [TINY, TIED, RANKED])
def test_outputs_are_listed_and_their_probabilities_are_over_the_list(config):
    found, lines = listing(), texts(12)
    model_of = predictor(config, shortlist=found)
    every = model_of.translate(lines, beam_size=3, n_best=2, token_log_probs=True)
    for line, hypotheses in zip(lines, every, strict=True):
        allowed = found.allowed([*tokenizer().encode(line), EOS])
        for one in hypotheses:
            assert set(one.tokens) <= set(allowed.tolist()) - {PAD}
            wanted = log_prob(config, params_of(config), line, one.tokens, allowed)
            assert one.log_prob == pytest.approx(wanted, abs=1e-3)
            assert sum(one.token_log_probs) == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize("wish", [{}, {"groups": 3}, {"no_repeat_ngram": 1}])
def test_neither_the_batch_nor_n_best_changes_a_result(wish):
    model_of, lines = predictor(shortlist=listing()), texts(40)
    together = list(model_of.translate(lines, beam_size=3, n_best=3, **wish))
    for line, every in zip(lines, together, strict=True):
        ((alone,),) = model_of.translate([line], beam_size=3, **wish)
        close(alone, every[0])


def unlisted(found, line):
    """The last letter that the outputs of a line would not have."""
    ids = tokenizer().encode(LETTERS)
    listed = found.allowed([*tokenizer().encode(line), EOS])
    return [a for a, i in zip(LETTERS, ids, strict=True) if i not in listed][-1]


def test_what_must_be_said_may_be_said_though_it_is_not_listed():
    found, lines = listing(), texts(8, longest=3)
    model_of = predictor(shortlist=found)
    for line in lines:  # by itself: all lists together lack nothing
        letter = unlisted(found, line)
        ((begun,),) = model_of.translate([line], prefixes=[letter])
        ((held,),) = model_of.translate(
            [line], required=[[letter]], max_output_ratio=3.0
        )
        assert begun.text.startswith(letter) and letter in held.text


def test_what_is_forbidden_is_not_said_with_a_list_either():
    model_of, lines = predictor(shortlist=listing()), texts(8)
    plain = [best.text for best, *_ in model_of.translate(lines)]
    pairs = [text[:2] for text in plain if len(text) > 1]
    assert len(pairs) > 2
    for never in ([pairs[0][0], pairs[1][0]], pairs):
        for best, *_ in model_of.translate(lines, forbidden=tuple(never)):
            assert not any(text in best.text for text in never)


def test_a_tree_of_a_search_says_what_the_search_says():
    model_of = predictor(shortlist=listing(), max_length=8)
    for line in texts(3, longest=6):
        ((best,),) = model_of.translate([line], beam_size=3)
        found = search_tree(model_of, line, beam_size=3, n_best=1)
        close(found.hypotheses[0], best)
        (leaf,) = (node for node in found.tree if node.rank == 0)
        pieces = [leaf.piece]
        while leaf.parent is not None:
            leaf = found.tree[leaf.parent]
            pieces.insert(0, leaf.piece)
        assert pieces == best.pieces


def test_an_ensemble_says_what_its_first_member_lists():
    lines, found = texts(6), listing()
    one = predictor(shortlist=found)
    both = Ensemble([one, predictor(shortlist=found)])
    for (best,), (other,) in zip(
        one.translate(lines), both.translate(lines), strict=True
    ):
        close(best, other)
    mixed = Ensemble([one, predictor(seed=1)])
    for line, (best,) in zip(lines, mixed.translate(lines), strict=True):
        allowed = found.allowed([*tokenizer().encode(line), EOS])
        assert set(best.tokens) <= set(allowed.tolist())


def test_samples_are_drawn_from_all_tokens():
    with pytest.raises(InputError, match="shortlist"):
        predictor(shortlist=listing()).translate(["ab"], temperature=1.0)


def test_lines_of_mixed_lengths_need_a_program_a_shape():
    programs.decode.clear_cache()
    list(predictor(shortlist=listing()).translate(texts(500), beam_size=2))
    assert programs.decode._cache_size() <= 2 * len(EDGES) + 1


def test_a_narrow_output_layer_says_the_same_of_its_tokens():
    ids = np.array([0, 1, 2, 3, 9, 6])
    for config in (TINY, TIED):
        params = params_of(config)
        batch = programs.teacher_forced([[5, 6, EOS]], [[9, 6, EOS]], 1, 4)
        whole = model.apply(params, config, batch)
        narrow = model.apply(*model.narrowed(params, config, ids), batch)
        np.testing.assert_allclose(narrow, whole[..., ids], rtol=1e-5, atol=1e-5)


def test_a_shortlist_is_read_as_it_was_written(tmp_path):
    for side in ("source", "target"):
        tokenizer().save(tmp_path / "tokenizers", side)
    found = listing()
    path = found.save(tmp_path)
    again = shortlist.load(tmp_path)
    for name in shortlist.ARRAYS:
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    whole = path.read_bytes()
    for damaged in (b"", whole[:-40], whole[:100], b"PK" + whole[9:]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"cannot be read.*shortlist --workdir"):
            shortlist.load(tmp_path)
    path.write_bytes(whole)
    other = dataclasses.replace(tokenizer(), lowercase=True)
    other.save(tmp_path / "tokenizers", "target")
    with pytest.raises(InputError, match="other tokenizers"):
        shortlist.load(tmp_path)
    for wrong in ({"widths": found.widths * 0}, {"frequent": found.frequent + SIZE}):
        dataclasses.replace(found, **wrong).save(tmp_path)
        with pytest.raises(InputError, match="cannot be read"):
            shortlist.load(tmp_path)
    path.unlink()
    with pytest.raises(InputError, match="has no shortlist"):
        shortlist.load(tmp_path)


def test_no_pickle_is_read(tmp_path):
    for side in ("source", "target"):
        tokenizer().save(tmp_path / "tokenizers", side)
    path = listing().save(tmp_path)
    with np.load(path) as file:
        parts = dict(file)
    np.savez(path, **parts | {"likely": np.array([{}], object)})
    with pytest.raises(InputError, match="cannot be read"):
        shortlist.load(tmp_path)


def test_a_head_that_copies_has_no_list():
    from seq2seq_jax.inference import workdir

    copying = ModelConfig(head="pointer", decoder="see")
    with pytest.raises(InputError, match=r"model\.head is 'pointer'"):
        workdir.check_narrow(copying)


def test_widths_are_those_that_neighbours_need():
    lists = [(4, np.arange(i, i + 3)) for i in range(4)]
    assert shortlist.width_of(lists, 2, 8) == shortlist.up(4)
    assert shortlist.width_of(lists, 2, 3) == shortlist.up(1)
    pairs = itertools.pairwise(shortlist.wide_enough(128, n) for n in range(1, 2000))
    assert all(a <= b for a, b in pairs)


def test_more_beams_than_a_short_list_feeds_give_no_nan():
    model_of = predictor(shortlist=listing(frequent=0, likely=1))
    for every in model_of.translate(texts(10), beam_size=5, n_best=5):
        assert all(np.isfinite(one.log_prob) for one in every if one.tokens)


def test_scores_are_over_all_tokens():
    lines = texts(4)
    plain, listed = predictor(), predictor(shortlist=listing())
    both = zip(plain.score(lines, lines), listed.score(lines, lines), strict=True)
    assert all(one.log_prob == other.log_prob for one, other in both)
    assert jax.tree.map(np.shape, plain.params) == jax.tree.map(np.shape, listed.params)
