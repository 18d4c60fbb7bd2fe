"""A language model: targets alone, no encoder, scored without a source."""

import re
from dataclasses import replace

import jax
import numpy as np
import pytest
from command_line import refusal, succeed
from small import everything, make_batch, params_of
from sweeps import LANGUAGE_MODEL, TINY

from seq2seq_jax import config as configs
from seq2seq_jax.commands import align, evaluate, score, translate
from seq2seq_jax.config import Config, DataConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.nn import checks
from seq2seq_jax.training import checks as training_checks


def test_it_has_no_encoder_and_reads_no_source():
    params, batch = params_of(LANGUAGE_MODEL), make_batch()
    assert "source" not in params and not jax.tree.leaves(params["encoder"])
    plain = everything(params, LANGUAGE_MODEL, batch)
    other = everything(params, LANGUAGE_MODEL, batch.replace(source=batch.source[::-1]))
    np.testing.assert_array_equal(plain["logits"], other["logits"])
    checks.check(LANGUAGE_MODEL)


@pytest.mark.parametrize("wrong", [{"attention": "general"}, {"bridge": "dense"}])
def test_attention_and_bridge_need_a_source(wrong):
    with pytest.raises(InputError, match="reads no source"):
        checks.check(replace(LANGUAGE_MODEL, **wrong))


def test_cho_s_decoder_needs_a_source():
    cell = {"decoder": "cho", "cell": "gru_reset_before"}
    with pytest.raises(InputError, match=r"'cho' reads.*set model\.decoder plain"):
        checks.check(replace(LANGUAGE_MODEL, **cell))


def test_data_and_model_must_agree():
    for data, model in (
        (DataConfig(target_only=True), TINY),
        (DataConfig(), LANGUAGE_MODEL),
    ):
        with pytest.raises(InputError, match="a language model needs"):
            training_checks.check(Config(data, model))


@pytest.fixture
def workdir(tmp_path):
    config = Config(DataConfig(target_only=True), LANGUAGE_MODEL)
    (tmp_path / "config.json").write_text(configs.to_json(config), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "files"),
    [
        (translate, ["-i", "x"]),
        (evaluate, ["--source", "x", "--reference", "y"]),
        (align, ["-i", "x", "-o", "pictures"]),
        (align, ["-i", "x", "--target", "y", "-o", "pictures"]),
    ],
)
def test_what_decodes_sources_points_to_its_perplexity(workdir, command, files):
    with pytest.raises(InputError) as caught:
        command.main(["--workdir", str(workdir), *files], "prog")
    said = f"score --workdir {workdir} --target FILE --summary perplexity"
    assert "is a language model: " in str(caught.value) and said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sources_are_no_part_of_its_score(workdir):
    files = ["--source", "x", "--target", "y"]
    with pytest.raises(InputError, match=r"--source is x, but .* leave it out"):
        score.main(["--workdir", str(workdir), *files], "prog")


@pytest.mark.slow
def test_it_learns_and_scores_without_a_source(tmp_path):
    text = tmp_path / "text"
    text.write_text("abab\nababab\nab\n" * 40, encoding="utf-8")
    strange = tmp_path / "strange"
    strange.write_text("abab\nbbaa\n", encoding="utf-8")
    workdir = tmp_path / "run"
    sizes = {"hidden_size": 16, "embedding_size": 16}
    arguments = {
        "data.target_only": True,
        "data.train_target": text,
        "data.dev_target": text,
        "data.source_tokenizer": "char",
        "data.target_tokenizer": "char",
        "data.buckets": 1,
        "model.encoder": "none",
        "model.attention": "none",
        "model.bridge": "zero",
        "training.steps": 60,
        "training.batch_tokens": 256,
        "training.learning_rate": 0.02,
        "training.warmup_steps": 5,
        "training.eval_every": 60,
    } | {f"model.{name}": value for name, value in sizes.items()}
    flags = [f"--{name}={value}" for name, value in arguments.items()]
    succeed("train.py", "configs/text.py", f"--workdir={workdir}", *flags)
    scored = succeed("score", f"--workdir={workdir}", f"--target={strange}")
    likely, unlikely = map(float, scored.split())
    assert likely > unlikely + 3
    line = refusal(
        "train.py",
        "configs/text.py",
        f"--workdir={tmp_path}/no",
        *flags,
        "--data.train_source=x",
    )
    assert re.search(r"data.target_only is set, but data.train_source is given", line)
