"""Embeddings that start from word vectors."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from seq2seq_jax import config as configs
from seq2seq_jax.config import Config, DataConfig, ModelConfig
from seq2seq_jax.data import pipeline, tokenizers, vectors
from seq2seq_jax.errors import InputError
from seq2seq_jax.training import embeddings, loop, workdirs

WORDS = tokenizers.train("word", ["der hund", "die katze"], vocab_size=20)
LINES = "3 2\nhund 1 2\nfremd 3 4\nkatze 0.5 -1e-1\nhund 9 9\n"


def write(tmp_path, text):
    path = tmp_path / "vectors.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_known_tokens_get_their_first_vector(tmp_path):
    ids, rows = vectors.read(write(tmp_path, LINES), WORDS, 2)
    assert WORDS.decode(ids) == "hund katze"
    np.testing.assert_allclose(rows, [[1, 2], [0.5, -0.1]])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hund 1 2\ndie 1 2 3\n", "line 2: 3 numbers, expected model.embedding_size"),
        ("hund 1 x\n", "line 1: 'hund 1 x' holds no numbers"),
        ("hund 1 nan\n", "line 1: 2 numbers"),
        ("dog 1 2\n", "a vector for none of the vocabulary's 8 tokens"),
    ],
)
def test_bad_files_are_refused_with_their_line(tmp_path, text, says):
    with pytest.raises(InputError, match=re.escape(says)):
        vectors.read(write(tmp_path, text), WORDS, 2)


def prepared(tokenizer):
    return pipeline.Prepared(tokenizer, tokenizer, None, None, None)


def test_only_the_rows_of_known_tokens_change(tmp_path):
    path = write(tmp_path, LINES)
    config = Config(DataConfig(target_vectors=str(path)), ModelConfig(embedding_size=2))
    table = np.full((WORDS.size, 2), 7.0, np.float32)
    params = {"source": {"table": table}, "target": {"table": table}, "head": 1}
    said = []
    found = embeddings.read(config, prepared(WORDS), said.append)
    made = embeddings.start_from(params, found)
    assert made["head"] == 1 and made["source"]["table"] is table
    known = WORDS.encode("hund katze")
    np.testing.assert_allclose(made["target"]["table"][known[0]], [1, 2])
    rest = [i for i in range(WORDS.size) if i not in known]
    assert (np.asarray(made["target"]["table"])[rest] == 7.0).all()
    assert said == [f"{path}: vectors of 2 of {WORDS.size} target tokens"]


@pytest.mark.parametrize(
    ("text", "says"),
    [("abc def\n", "holds no numbers"), ("word 1 2 3 4 5 6\n", "a vector for none")],
)
def test_a_refused_file_leaves_the_workdir_to_the_corrected_command(
    tiny, tmp_path, text, says
):
    config, workdir = tiny(), tmp_path / "run"
    data = replace(config.data, source_vectors=str(write(tmp_path, text)))
    with pytest.raises(InputError, match=says):
        loop.train(replace(config, data=data), workdir, log=lambda line: None)
    if says == "holds no numbers":
        assert not workdir.exists()
    assert not (workdir / "config.json").exists()
    assert not (workdir / "tokenizers").exists()
    assert workdirs.admit(config, workdir) == []


def test_a_run_that_goes_on_needs_its_vectors_no_more(whole, tmp_path):
    config, workdir = whole[0], tmp_path / "run"
    shutil.copytree(whole[1], workdir)
    data = replace(config.data, source_vectors=str(tmp_path / "gone"))
    other = replace(config, data=data)
    (workdir / "config.json").write_text(configs.to_json(other), encoding="utf-8")
    report = loop.train(other, workdir, log=lambda line: None)
    assert report.status == "already done"


def test_source_vectors_need_a_source_of_tokens():
    config = Config(DataConfig(source_vectors="x"), ModelConfig(frontend="features"))
    with pytest.raises(InputError, match="has no embeddings of tokens"):
        embeddings.check(config)


def test_source_vectors_need_a_source_table():
    config = Config(
        DataConfig(source_vectors="x", shared_vocab=True),
        ModelConfig(tied_embeddings="all"),
    )
    with pytest.raises(InputError, match=r"set data\.target_vectors"):
        embeddings.check(config)
    embeddings.check(replace(config, model=ModelConfig()))
    none = ModelConfig(encoder="none")
    with pytest.raises(InputError, match=r"'none' reads no source: leave it out"):
        embeddings.check(replace(config, model=none))


def test_each_side_has_its_own_vocabulary_size():
    pairs = [("a b c d e", "f g h i j")]
    data = DataConfig(
        source_tokenizer="word",
        target_tokenizer="word",
        vocab_size=8,
        target_vocab_size=6,
    )
    both = pipeline.train_tokenizers(pairs, data)
    assert [tokenizer.size for tokenizer in both] == [8, 6]
    with pytest.raises(InputError, match=r"set data\.vocab_size alone"):
        pipeline.check(replace(data, shared_vocab=True))
