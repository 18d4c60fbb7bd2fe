"""Several sources of a line: cut at tabs, read one by one, looked at together."""

import re
from dataclasses import replace

import jax
import numpy as np
import pytest
import reference
import reference_model
from small import SMOOTHING, assert_close, everything, make_batch, params_of
from sweeps import SEVERAL, name

from seq2seq_jax.config import Config, DataConfig, ModelConfig
from seq2seq_jax.data import pipeline, tokenizers
from seq2seq_jax.data.copies import beside
from seq2seq_jax.errors import InputError
from seq2seq_jax.exporting import folder
from seq2seq_jax.inference.options import Search
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.nn import model, several
from seq2seq_jax.serving import requests
from seq2seq_jax.serving.limits import Refused
from seq2seq_jax.types import EOS

LETTERS = tokenizers.train("char", ["abcdef"], 40)
TWO = replace(LETTERS, parts=2)
sweep = pytest.mark.parametrize("config", SEVERAL, ids=name)


def parted_batch():
    """The ragged batch with ends of sources inside its rows."""
    batch = make_batch()
    source = np.array(batch.source)
    source[0, 2] = source[0, 5] = source[1, 0] = source[1, 2] = source[2, 0] = EOS
    return replace(batch, source=source)


@sweep
def test_each_source_is_read_for_itself_as_the_transcription_does(config):
    params, batch = params_of(config), parted_batch()
    found = everything(params, config, batch)
    exact = reference.to_float64(params)
    loss = reference_model.batch_loss(exact, config, batch, SMOOTHING)[0]
    assert_close(found["sums"].loss, loss, 1e-5)
    for row, (source, heard, _) in enumerate(reference_model.real_rows(batch)):
        _, weights = reference_model.translate_row(exact, config, source, heard)
        seen = found["weights"][row, : len(heard), : len(source)]
        assert_close(seen, weights, 1e-5)


@sweep
def test_its_gradient_is_that_of_finite_differences(config):
    params, batch = params_of(config), parted_batch()
    grads = everything(params, config, batch)["grads"]
    draw = np.random.default_rng(0)
    way = jax.tree.map(lambda p: draw.normal(0, 1, p.shape), params)

    def moved(step):
        there = jax.tree.map(lambda p, d: np.float64(p) + step * d, params, way)
        return reference_model.batch_loss(
            reference.to_float64(there), config, batch, SMOOTHING
        )[0]

    slope = (moved(1e-5) - moved(-1e-5)) / 2e-5
    products = jax.tree.map(lambda g, d: np.sum(np.asarray(g) * d), grads, way)
    assert_close(sum(jax.tree.leaves(products)), slope, 1e-4)


def test_a_source_is_read_as_if_it_stood_alone():
    config, batch = SEVERAL[0], make_batch()
    params = params_of(config)
    one, other = np.array([[5, 6, EOS]]), np.array([[7, 8, 9, EOS]])
    both = np.concatenate([one, other], axis=1)
    table = params["source"]["table"]
    own = params["encoder"]["sources"]

    def read(which, ids):
        alone = replace(config, sources=1)
        mask = np.ones(ids.shape, bool)
        return several.encode(own[which], alone, table[ids], ids, mask, None)

    found = model.encode(params, config, both, np.ones(both.shape, bool))
    first, second = read(0, one), read(1, other)
    assert_close(found.annotations[:, :3], first.annotations, 1e-6)
    assert_close(found.annotations[:, 3:], second.annotations, 1e-6)
    mean = jax.tree.map(lambda a, b: (a + b) / 2, first.carry, second.carry)
    assert_close(found.carry, mean, 1e-6)
    assert batch is not None


def test_ids_of_parts_end_with_the_end_marker():
    ids = TWO.encode("ab\tcd")
    a, b, c, d = (LETTERS.encode(letter)[0] for letter in "abcd")
    assert ids == [a, b, EOS, c, d]
    assert TWO.show("ab\tcd") == ["a", "b", "</s>", "c", "d"]
    assert len(TWO.cut("\t")) == 1 and TWO.encode("\t") == [EOS]
    features = tokenizers.train("char_features", ["ab\tN;PL"], 40)
    shown = replace(features, parts=2).show("ab\tN;PL")
    assert shown == ["a", "b", "</s>", ";N", ";PL"]


@pytest.mark.parametrize("text", ["ab", "a\tb\tc", ""])
def test_another_number_of_parts_is_refused(text):
    with pytest.raises(InputError, match=r"expected 2 \(model\.sources\)"):
        TWO.encode(text)


def test_places_to_copy_from_count_the_end_marker_between():
    reader, writer = beside(TWO, "aΩ\tΨ", 9)
    size = LETTERS.size
    assert reader.encode("aΩ\tΨ")[1:] == [size + 1, EOS, size + 3]
    assert writer.decode([size + 3, size + 1]) == "ΨΩ"
    assert writer.encode("ΨΩ") == [size + 3, size + 1]


def config_of(tmp_path, rows):
    (tmp_path / "all.tsv").write_text("".join(f"{row}\n" for row in rows))
    files = {f"{split}_tsv": str(tmp_path / "all.tsv") for split in ("train", "dev")}
    kinds = {"source_tokenizer": "char_features", "target_tokenizer": "char"}
    data = DataConfig(**files, **kinds, features_column=1, target_column=2)
    return Config(data=data, model=ModelConfig(sources=2))


def test_a_tsv_with_a_second_column_is_two_sources(tmp_path):
    config = config_of(tmp_path, ["ab\tN;PL\tabs", "b\tV\tbed"])
    made = pipeline.prepare(config, tmp_path / "run", lambda line: None)
    assert made.source_tokenizer.parts == 2 and made.target_tokenizer.parts == 1
    assert made.train.source(0).tolist().count(EOS) == 1
    one = replace(config, model=ModelConfig())
    assert pipeline.prepare(one, tmp_path / "run", print).fingerprints != (
        made.fingerprints
    )


def test_a_line_with_too_many_parts_is_named(tmp_path):
    lines = tmp_path / "lines"
    lines.write_text("ab\tc\nab\n")
    files = {
        f"{split}_{side}": str(lines)
        for split in ("train", "dev")
        for side in ("source", "target")
    }
    kinds = {"source_tokenizer": "char", "target_tokenizer": "char"}
    config = Config(DataConfig(**files, **kinds), ModelConfig(sources=2))
    with pytest.raises(InputError, match=r"line 2.*has 1 part, expected 2"):
        pipeline.prepare(config, tmp_path / "run", lambda line: None)


def test_a_predictor_looks_at_both(tmp_path):
    config = ModelConfig(hidden_size=8, embedding_size=8, sources=2)
    params = model.init_params(jax.random.key(0), config, LETTERS.size, LETTERS.size)
    made = Predictor(params, config, TWO, LETTERS, max_length=12)
    ((one, *_),) = made.translate(["ab\tcde"])
    assert one.source_pieces == ["a", "b", "</s>", "c", "d", "e", "</s>"]
    assert one.alignment.shape[1] == 7
    np.testing.assert_allclose(one.alignment.sum(1), 1.0, 1e-5)
    with pytest.raises(InputError, match=re.escape("line 2: the source 'abc' has 1")):
        list(made.translate(["a\tb", "abc"]))
    with pytest.raises(InputError, match="cuts no source into several"):
        folder.write(tmp_path / "out", made, Search(2, 1, 1.0, None, True))


def test_a_server_refuses_a_text_of_another_number_of_parts():
    with pytest.raises(Refused, match=r"texts\[1\]: the source 'abc' has 1 part") as no:
        requests.check_tokens(
            ["a\tb", "abc"], "texts", lambda text: len(TWO.encode(text)), 9
        )
    assert no.value.status == 422
