"""Laws of the predictor, on tiny models with random parameters."""

import dataclasses
import itertools
import random

import jax
import numpy as np
import pytest
from predictors import LETTERS, TINY, close, params_of, predictor, texts, tokenizer

from seq2seq_jax import config as configs
from seq2seq_jax.config import Config, DataConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.inference import batching, programs
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.types import UNK


def test_order_is_kept_and_a_batch_changes_nothing():
    model_ = predictor()
    lines = texts(60)
    together = list(model_.translate(lines, beam_size=3, n_best=2, window=50))
    assert len(together) == 60
    for line, found in list(zip(lines, together, strict=True))[::7]:
        assert found[0].source_pieces == [*line, "</s>"]
        (alone,) = model_.translate([line], beam_size=3, n_best=2)
        assert len(alone) == len(found) == 2
        for one, other in zip(alone, found, strict=True):
            close(one, other)
    assert len({best.text for best, _ in together}) > 10
    assert len({len(best.tokens) for best, _ in together}) > 3


@pytest.mark.parametrize(
    ("decoder", "attention", "beam_size"),
    [
        ("luong", "dot", 4),
        ("luong", "general", 1),
        ("bahdanau", "additive", 4),
    ],
)
def test_scores_and_alignments_are_those_of_the_output_as_a_target(
    decoder, attention, beam_size
):
    config = dataclasses.replace(
        TINY, decoder=decoder, attention=attention, decoder_hidden_size=16, cell="gru"
    )
    model_ = predictor(config)
    lines = texts(24)
    alpha, seen = 0.6, 0
    found = model_.translate(
        lines, beam_size=beam_size, n_best=beam_size, length_penalty=alpha
    )
    pairs = [
        (line, one) for line, every in zip(lines, found, strict=True) for one in every
    ]
    sources, said = zip(*pairs, strict=True)
    scores = model_.score(sources, [one.text for one in said])
    for one, score in zip(said, scores, strict=True):
        if UNK in one.tokens:
            continue  # as text, what is unknown cannot be read back
        seen += 1
        assert score.pieces == one.pieces
        np.testing.assert_allclose(score.log_prob, one.log_prob, rtol=1e-4)
        divisor = ((5 + len(one.tokens)) / 6) ** alpha
        np.testing.assert_allclose(one.score, one.log_prob / divisor, rtol=1e-5)
        np.testing.assert_allclose(score.alignment, one.alignment, atol=1e-4)
        assert one.alignment.shape == (len(one.tokens), len(one.source_pieces))
        np.testing.assert_allclose(one.alignment.sum(-1), 1, rtol=1e-5)
    assert seen >= 6


def test_more_outputs_do_not_change_the_best():
    model_ = predictor(max_length=8)
    lines = texts(20, longest=7)
    five = list(model_.translate(lines, beam_size=5, n_best=5))
    two = model_.translate(lines, beam_size=5, n_best=2)
    for one, many in zip(two, five, strict=True):
        close(one[0], many[0])
        close(one[1], many[1])
        scores = [each.score for each in many]
        assert scores == sorted(scores, reverse=True)
        assert len({tuple(each.tokens) for each in many}) == 5


def test_a_handful_of_programs_serves_hundreds_of_lines():
    model_ = predictor(max_length=24, length_ratio=1.0)
    # One for each length, and one for a last window that holds few lines.
    most = len(batching.length_edges(24)) + 1
    before = programs.decode._cache_size(), programs.token_log_probs._cache_size()
    lines = texts(300, longest=23)
    list(model_.translate(lines, beam_size=1, window=90))
    list(model_.translate(lines[::-1], beam_size=1, window=300))
    list(model_.translate(texts(150, longest=20, seed=1), beam_size=1))
    list(model_.translate(lines, beam_size=1, length_penalty=0.3))
    assert programs.decode._cache_size() - before[0] <= most
    list(model_.score(lines, lines[::-1], window=90))
    assert programs.token_log_probs._cache_size() - before[1] <= most


def test_predictors_of_one_config_share_programs():
    list(predictor(seed=1).translate(["abc"], beam_size=3, n_best=2))
    before = programs.decode._cache_size()
    list(predictor(seed=2).translate(["cba"], beam_size=3, n_best=2))
    assert programs.decode._cache_size() == before


def test_an_empty_line_is_an_empty_line():
    lines = ["", "abc", "", " ", "de", "\t"]
    found = list(predictor().translate(lines, beam_size=3, n_best=2))
    for line, outputs in zip(lines, found, strict=True):
        if line.strip():
            assert len(outputs) == 2
        else:
            (nothing,) = outputs
            assert (nothing.text, nothing.tokens, nothing.pieces) == ("", [], [])
            assert (nothing.score, nothing.log_prob) == (0.0, 0.0)
            assert nothing.alignment.shape == (0, 0)
    assert [out[0].text for out in predictor().translate(["", ""])] == ["", ""]
    assert list(predictor().translate([])) == []


def test_long_lines_are_cut_and_counted():
    said = []
    model_ = predictor(max_length=8, warn=said.append)
    lines = ["abc", "abcdefgh", "abcdefg", "abcdefghijkl"]
    found = list(model_.translate(lines, beam_size=1))
    assert [len(out[0].source_pieces) for out in found] == [4, 8, 8, 8]
    close(found[1][0], found[2][0])
    assert len(said) == 1
    assert said[0].startswith("2 of 4 lines were cut to 8 tokens")
    assert said[0].endswith("the first is line 2")
    list(model_.score(["a", "b"], ["a", "abcdefgh"]))
    assert said[1].startswith("1 of 2 lines were cut")
    with pytest.warns(UserWarning, match="1 of 1 lines were cut"):
        list(predictor(max_length=8).translate(["abcdefgh"], beam_size=1))


def test_an_endless_input_is_read_as_it_is_needed():
    read = []

    def endless():
        for number in itertools.count():
            read.append(number)
            yield LETTERS[number % 16]

    results = predictor().translate(endless(), beam_size=1, window=10)
    assert not read
    assert len(list(itertools.islice(results, 25))) == 25
    assert len(read) == 30


def test_outputs_are_as_long_as_their_text_lets_them():
    model_ = predictor(length_ratio=0.5)
    for line, (best,) in zip(
        texts(30), model_.translate(texts(30), beam_size=1), strict=True
    ):
        assert len(best.tokens) <= -(-(len(line) + 1) // 2) + 5
        assert best.tokens[-1] == 2
    assert predictor(length_ratio=None, max_length=100).limit(20) == 50
    assert predictor(length_ratio=9.0, max_length=100).limit(20) == 100
    for (best,) in model_.translate(["abc"], max_output_length=3):
        assert len(best.tokens) <= 3


def test_without_attention_there_is_no_alignment():
    config = dataclasses.replace(TINY, attention="none")
    model_ = predictor(config)
    (found,) = model_.translate(["abc"], beam_size=2)
    assert found[0].alignment is None
    (score,) = model_.score(["abc"], [found[0].text])
    assert score.alignment is None
    (plain,) = predictor().translate(["abc"], beam_size=1, alignments=False)
    assert plain[0].alignment is None


def test_bfloat16_works_and_gives_float32():
    model_ = predictor(dataclasses.replace(TINY, dtype="bfloat16"))
    (found,) = model_.translate(["abc"], beam_size=2)
    assert found[0].alignment.dtype == np.float32
    assert np.isfinite(found[0].score)


def test_an_empty_target_is_its_end():
    (score,) = predictor().score(["abc"], [""])
    assert score.pieces == ["</s>"]
    assert score.token_log_probs.shape == (1,)
    assert score.log_prob == score.token_log_probs[0] < 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 0}, "beam_size is 0, expected 1 to 21"),
        (
            {"beam_size": 22},
            "beam_size is 22, expected 1 to 21, the size of the target",
        ),
        ({"beam_size": 2, "n_best": 3}, "n_best is 3, expected 1 to beam_size"),
        ({"n_best": 0}, "n_best is 0"),
        ({"max_output_length": 0}, "max_output_length is 0"),
        ({"window": 0}, "window is 0"),
        ({"length_penalty": float("nan")}, "length_penalty is nan"),
        (
            {"length_penalty_kind": "none", "length_penalty": 0.5},
            "length_penalty is 0.5, but length_penalty_kind is 'none'",
        ),
        ({"length_penalty_kind": "gmnt"}, "length_penalty_kind is 'gmnt'.*'gnmt'"),
        ({"stop": "last"}, "stop is 'last', expected one of ahead, ended, first"),
        ({"stop": "first", "n_best": 2}, "stop is 'first' with n_best 2, but"),
        ({"stop": "first", "temperature": 1.0}, "stop is 'first' with samples, but"),
        ({"stop": "ended", "temperature": 1.0}, "it is a rule of a beam"),
        ({"coverage_penalty": -0.1}, "coverage_penalty is -0.1, expected a finite"),
    ],
)
def test_impossible_options_are_refused_at_once(options, message):
    with pytest.raises(InputError, match=message):
        predictor().translate(iter(()), **options)


def test_what_is_no_list_of_pairs_is_refused():
    with pytest.raises(InputError, match="texts is one string"):
        predictor().translate("abc")
    with pytest.raises(InputError, match="targets end after 1 lines"):
        list(predictor().score(["a", "b"], ["a"]))


def save_workdir(folder, data=None):
    """A workdir as a training leaves it, with random parameters."""
    from seq2seq_jax.training.checkpoints import Checkpoints
    from seq2seq_jax.types import TrainState

    config = Config(data=data or DataConfig(max_length=16), model=TINY)
    folder.mkdir()
    (folder / "config.json").write_text(configs.to_json(config), encoding="utf-8")
    for side in ("source", "target"):
        tokenizer().save(folder / "tokenizers", side)
    checkpoints = Checkpoints(folder / "checkpoints")
    for step, score in ((1, 0.9), (2, 0.1)):
        params = params_of(TINY, seed=step)
        one = jax.numpy.int32(step)
        state = TrainState(one, params, {"count": one}, jax.random.key(0))
        checkpoints.save(step, state, {}, {"score": score})
    checkpoints.close()


def test_a_workdir_is_all_that_is_needed(tmp_path):
    save_workdir(tmp_path / "run")
    (tmp_path / "run" / "lengths.json").write_text('{"length_ratio": 1.5}')
    (tmp_path / "run").rename(tmp_path / "moved")
    lines = texts(5)
    for which, seed in (("best", 1), ("latest", 2), (1, 1)):
        loaded = Predictor.load(tmp_path / "moved", which)
        assert (loaded.max_length, loaded.length_ratio) == (16, 1.5)
        ours = predictor(seed=seed).translate(lines, beam_size=3, n_best=2)
        theirs = loaded.translate(lines, beam_size=3, n_best=2)
        for one, other in zip(ours, theirs, strict=True):
            close(one[0], other[0])
    (tmp_path / "moved" / "lengths.json").unlink()
    assert Predictor.load(tmp_path / "moved").length_ratio is None
    (tmp_path / "moved" / "lengths.json").write_text("[]")
    with pytest.raises(InputError, match="holds no length_ratio"):
        Predictor.load(tmp_path / "moved")
    with pytest.raises(InputError, match=r"has no config\.json"):
        Predictor.load(tmp_path)


def test_windows_rows_and_edges():
    assert [len(x) for x in batching.windows(range(7), 3)] == [3, 3, 1]
    for longest in (2, 8, 9, 30, 100, 1000):
        edges = batching.length_edges(longest)
        assert edges == sorted(set(edges))
        assert edges[-1] == longest
        assert len(edges) <= batching.EDGES
    rng = random.Random(0)
    lengths = [rng.randint(1, 100) for _ in range(500)]
    edges = batching.length_edges(100)
    groups = list(batching.group(lengths, edges, lambda n: 800 // n))
    assert sorted(i for g in groups for i in g.places) == list(range(500))
    assert all(lengths[i] <= g.length for g in groups for i in g.places)
    assert all(len(g.places) == g.rows for g in groups[:-1])
    assert len({(g.rows, g.length) for g in groups}) <= len(edges)
