"""A training that starts from another one's weights, its vocabulary changed or not."""

import os
import shutil
import signal
from dataclasses import replace
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from predictors import LETTERS, TINY, params_of, predictor, texts, tokenizer
from tiny_runs import arrays, assert_same_end, at_step, train

from seq2seq_jax import config as configs
from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig
from seq2seq_jax.data import tokenizers
from seq2seq_jax.errors import InputError
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.nn import model
from seq2seq_jax.training import checks, fingerprints, origin, sessions, warm
from seq2seq_jax.training.checkpoints import Checkpoints
from seq2seq_jax.types import TrainState

SEEDS = {3: 0.9, 5: 0.5}  # a step's params are `params_of(seed=step)`; 3 is the best


@pytest.fixture
def source(tmp_path):
    """A workdir as a training leaves it, with random parameters; a maker of others."""
    folder = tmp_path / "source"
    folder.mkdir()
    config = Config(data=DataConfig(max_length=16), model=TINY)
    (folder / "config.json").write_text(configs.to_json(config), encoding="utf-8")
    for side in warm.SIDES:
        tokenizer().save(folder / "tokenizers", side)
    here = origin.found_in(folder, config)
    checkpoints = Checkpoints(folder / "checkpoints", origin=here)
    for step, score in SEEDS.items():
        one = np.int32(step)
        state = TrainState(one, params_of(TINY, step), {}, jax.random.key(0))
        checkpoints.save(
            step, jax.tree.map(jax.numpy.asarray, state), {}, {"score": score}
        )
    checkpoints.close()
    return folder


def config_of(source, shape=TINY, **training):
    training = TrainingConfig(init_from=str(source), **training)
    return Config(data=DataConfig(max_length=16), model=shape, training=training)


def start(config, both):
    """What the parameters of seed 1 become, the facts, and what was told."""
    lines = []
    sizes = tuple(one.size for one in both)
    data = SimpleNamespace(
        source_tokenizer=both[0], target_tokenizer=both[1], sizes=sizes
    )
    found = warm.read(config, data, lines.append)
    first = model.init_params(jax.random.key(1), config.model, *sizes)
    return first, found.put(first), found.facts, lines


def letters(text):
    return tokenizers.train("char", [text], 60)


def test_under_a_permuted_vocabulary_every_text_is_as_probable(source):
    both = letters(LETTERS[::-1] + " "), letters("aabb" + LETTERS + "  ")
    assert both[0].tokens != both[1].tokens != tokenizer().tokens
    _, params, facts, lines = start(config_of(source), both)
    ours = Predictor(params, TINY, *both, max_length=16)
    theirs = predictor(seed=3, max_length=16)
    pairs = texts(6), texts(6, seed=1)
    for one, other in zip(ours.score(*pairs), theirs.score(*pairs), strict=True):
        np.testing.assert_allclose(one.log_prob, other.log_prob, rtol=1e-5)
    assert facts["step"] == 3 and not facts["averaged"] and not facts["not_taken"]
    assert lines[0].endswith(": the parameters of checkpoint 3; 15 arrays as they are")
    size = tokenizer().size
    counts = [line for line in lines if "rows matched" in line]
    assert len(counts) == 4 and len(lines) == 5
    for line in counts:
        assert line.endswith(f": {size} rows matched by token, 0 new, 0 dropped")


def test_new_tokens_have_the_rows_of_the_seed_and_old_ones_are_dropped(source):
    both = letters("abxyz"), letters("xa")
    config = config_of(source, init_checkpoint="5")
    first, params, facts, _ = start(config, both)
    old, own = params_of(TINY, 5), tokenizer()
    for (path, axis), tok in {
        ("source.table", 0): both[0],
        ("target.table", 0): both[1],
        ("head.kernel", 1): both[1],
        ("head.bias", 0): both[1],
    }.items():
        here, seed, there = (
            np.moveaxis(np.asarray(fingerprints.plain(tree)[path]), axis, 0)
            for tree in (params, first, old)
        )
        for number in range(4):
            np.testing.assert_array_equal(here[number], there[number])
        for number, token in enumerate(tok.tokens, 4):
            if token in own.tokens:
                expected = there[4 + own.tokens.index(token)]
            else:
                expected = seed[number]
            np.testing.assert_array_equal(here[number], expected)
    dropped = own.size - 6
    assert facts["tables"]["source.table"] == (6, 3, dropped)
    assert facts["tables"]["head.bias"] == (5, 1, dropped + 1)
    rest = {"encoder", "decoder"}
    for name in rest:
        jax.tree.map(np.testing.assert_array_equal, params[name], old[name])


@pytest.mark.parametrize(
    "shape",
    [
        TINY,
        replace(TINY, tied_embeddings="all"),
        replace(TINY, encoder="none", attention="none", bridge="zero"),
        replace(TINY, decoder="bahdanau", output_rank=3, tied_embeddings="input"),
    ],
)
def test_what_runs_over_a_vocabulary_is_found(shape):
    found = warm.axes(shape)
    tied = shape.tied_embeddings
    expected = {"target.table": ("target", 0), "head.bias": ("target", 0)}
    if tied != "all":
        expected["head.kernel"] = ("target", 1)
    if tied == "none" and shape.encoder != "none":
        expected["source.table"] = ("source", 0)
    assert found == expected


def test_other_shapes_are_refused_or_left_to_the_seed(source):
    shape = replace(TINY, hidden_size=10, decoder_layers=2)
    both = tokenizer(), tokenizer()
    with pytest.raises(InputError) as caught:
        start(config_of(source, shape), both)
    said = str(caught.value)
    assert "\n" not in said and "checkpoint 3 does not fit this model" in said
    assert "decoder.attention" in said and " is [16, 8] there, [20, 10] here" in said
    assert "training.init_partial True" in said
    first, params, facts, lines = start(
        config_of(source, shape, init_partial=True), both
    )
    ours, seed = fingerprints.plain(params), fingerprints.plain(first)
    old = fingerprints.plain(params_of(TINY, 3))
    for path, leaf in ours.items():
        expected = seed if path in facts["not_taken"] else old
        np.testing.assert_array_equal(leaf, expected[path])
    taken = ours.keys() - set(facts["not_taken"])
    assert {"source.table", "target.table", "head.bias"} <= taken
    assert "arrays do not fit and are not taken: " in lines[-2]
    assert "model.hidden_size: 8 -> 10; model.decoder_layers: 1 -> 2" in lines[-1]
    other = replace(TINY, attention="additive")
    with pytest.raises(InputError, match="is missing there"):
        start(config_of(source, other), both)


def test_a_damaged_checkpoint_is_named_and_never_used(source):
    both = tokenizer(), tokenizer()
    for path in (source / "checkpoints" / "3" / "params").rglob("d/*"):
        os.truncate(path, path.stat().st_size // 2)
    _, _, facts, lines = start(config_of(source), both)
    assert facts["step"] == 5
    assert "checkpoint 3" in lines[0] and "damaged" in lines[0]
    with pytest.raises(InputError, match=r"no whole checkpoint in .*: 3 damaged"):
        start(config_of(source, init_checkpoint="3"), both)
    with pytest.raises(InputError, match="no checkpoint 4 in"):
        start(config_of(source, init_checkpoint="4"), both)


@pytest.mark.parametrize(
    ("data", "training", "says"),
    [
        ({}, {"init_from": "x", "init_checkpoint": "first"}, "expected one of best"),
        ({}, {"init_partial": True}, "nothing reads it: it serves training.init_from"),
        ({"source_vectors": "x"}, {"init_from": "y"}, "start from one of them"),
    ],
)
def test_what_cannot_be_is_refused(data, training, says):
    config = Config(DataConfig(**data), ModelConfig(), TrainingConfig(**training))
    with pytest.raises(InputError, match=says):
        checks.check(config)


def test_a_refused_source_leaves_the_workdir_new(tiny, whole, tmp_path):
    for source, says in ((tmp_path, "no config.json in it"), (whole[1], "not fit")):
        config = tiny(init_from=str(source))
        config = replace(config, model=replace(config.model, hidden_size=9))
        with pytest.raises(InputError, match=says):
            train(config, tmp_path / "run")
        assert not (tmp_path / "run" / "config.json").exists()


def test_a_run_goes_on_without_the_one_that_it_came_from(
    tiny, corpus, tmp_path, monkeypatch
):
    """The source has an average; the new run has other letters, and an average too."""
    source = tmp_path / "source"
    train(tiny(steps=6, ema=0.9), source)
    for name in ("train", "dev"):
        text = (corpus / f"{name}.tsv").read_text(encoding="utf-8")
        new = text.translate(str.maketrans("ab", "ax"))
        (tmp_path / f"{name}.tsv").write_text(new, encoding="utf-8")
    config = tiny(init_from=str(source), ema=0.8, freeze=("encoder",))
    data = replace(
        config.data,
        train_tsv=str(tmp_path / "train.tsv"),
        dev_tsv=str(tmp_path / "dev.tsv"),
    )
    config = replace(config, data=data)
    _, lines = train(config, tmp_path / "whole")
    name = f"training.init_from {source}: "
    assert f"{name}the moving average of checkpoint 6; 9 arrays as they are" in lines
    assert f"{name}source.table: 7 rows matched by token, 1 new, 1 dropped" in lines
    ended, _ = arrays(tmp_path / "whole", 12)
    began, _ = arrays(source, 6)
    for item in ("params", "average"):
        one, other = ended[item]["encoder"], began["average"]["encoder"]
        jax.tree.map(np.testing.assert_array_equal, one, other)
    at_step(monkeypatch, 3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    report, _ = train(config, tmp_path / "run")
    assert (report.status, report.step) == ("interrupted", 3)
    shutil.rmtree(source)
    train(config, tmp_path / "run")
    assert_same_end(tmp_path / "run", tmp_path / "whole", 12)
    first, second = sessions.read(tmp_path / "run" / sessions.NAME)
    assert first["init"]["workdir"] == str(source) and "init" not in second
    assert first["init"]["averaged"] and first["init"]["step"] == 6
    with pytest.raises(InputError, match=r"another config .training\.init_from"):
        train(
            replace(config, training=replace(config.training, init_from=None)),
            tmp_path / "run",
        )
