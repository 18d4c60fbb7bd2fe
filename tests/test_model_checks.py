"""Impossible models are refused in one line, possible ones accepted."""

from dataclasses import replace

import pytest
from sweeps import SWEEP, name

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.nn import checks


@pytest.mark.parametrize("field", ["cell", "attention", "bridge", "decoder", "dtype"])
def test_a_misspelt_name_is_answered_with_the_nearest(field):
    wrong = getattr(ModelConfig(), field)[:-1] + "x"
    with pytest.raises(
        InputError, match=rf"model\.{field} is '{wrong}', expected one of"
    ):
        checks.check(replace(ModelConfig(), **{field: wrong}))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (
            {"attention": "dot", "hidden_size": 10},
            ["'dot'", "20 (two directions of 10)", "10", "decoder_hidden_size 20"],
        ),
        (
            {"attention": "dot", "bidirectional": False, "decoder_hidden_size": 7},
            ["'dot'", "256", "7", "general"],
        ),
        ({"bridge": "pass", "hidden_size": 10}, ["'pass'", "20", "10", "bridge dense"]),
        (
            {"tied_embeddings": "output", "embedding_size": 9},
            ["'output'", "256", "9", "embedding_size 256"],
        ),
        ({"tied_embeddings": "all"}, ["'all'", "shared_vocab", "output"]),
        ({"tied_embeddings": "input"}, ["'input'", "shared_vocab", "none"]),
        ({"encoder": "stacks", "bidirectional_layers": 1}, ["stacks", "recurrent"]),
        ({"encoder": "stacks", "bidirectional": False}, ["'stacks'", "True"]),
        ({"scan": "plian"}, ["plain"]),
        (
            {"attention": "scaled_dot", "hidden_size": 10},
            ["'scaled_dot'", "20", "10", "decoder_hidden_size 20"],
        ),
        (
            {"attention": "concat_code", "attention_size": 256},
            ["'concat_code'", "512", "256", "attention concat"],
        ),
        (
            {"attention": "concat_code", "attention_heads": 2, "attention_size": 512},
            ["size 256 (of one head)", "512"],
        ),
        (
            {"attention": "last", "alignment": "monotonic"},
            ["'last'", "'monotonic'", "alignment global"],
        ),
        (
            {"attention": "none", "attention_heads": 2},
            ["'none'", "is 2", "attention general"],
        ),
        (
            {"head": "pointer", "attention": "none"},
            ["'pointer'", "'none'", "set it to general"],
        ),
        ({"head": "pointer"}, ["'pointer'", "set data.shared_vocab True"]),
        (
            {"frontend": "features", "reverse_source": True},
            ["'features'", "model.reverse_source is True", "set it to False"],
        ),
        ({"frontend": "features", "sources": 2}, ["model.sources is 2"]),
        (
            {"decoder": "see", "output_rank": 8},
            ["'see'", "output_rank", "is 8", "decoder luong"],
        ),
        (
            {"attention": "none", "alignment": "local_p"},
            ["'none'", "'local_p'", "leave both out"],
        ),
        (
            {"cell": "min_gru", "recurrent_dropout": 0.2},
            ["recurrent_dropout", "'min_gru'", "set model.recurrent_dropout 0"],
        ),
        (
            {"decoder": "rnmt", "decoder_layers": 2, "tied_embeddings": "output"},
            ["'output'", "768", "256", "embedding_size 768", "output_rank 256"],
        ),
        (
            {"decoder": "cho"},
            [
                "'cho'",
                "model.cell is 'lstm', model.bridge is 'dense', model.attention is",
                "set model.cell gru_reset_before, model.bridge zero, model.attention n",
            ],
        ),
        (
            {
                "decoder": "cho",
                "decoder_layers": 2,
                "cell": "gru_reset_before",
                "attention": "none",
                "bridge": "zero",
            },
            ["'cho'", "but model.decoder_layers is 2: set model.decoder_layers 1"],
        ),
        (
            {"decoder": "gnmt", "attention": "none", "decoder_layers": 2},
            ["'gnmt'", "'none'", "model.attention additive", "model.decoder luong"],
        ),
        (
            {"decoder": "plain"},
            ["'plain'", "'general'", "set model.attention none", "model.decoder luong"],
        ),
        (
            {"attention": "none", "bridge": "zero"},
            ["'none'", "'zero'", "nothing of the source", "bridge dense"],
        ),
        (
            {"attention": "none", "encoder_projection": 9},
            ["encoder_projection is 9", "nothing reads it", "attention other than"],
        ),
        (
            {
                "encoder": "none",
                "attention": "none",
                "bridge": "zero",
                "tied_embeddings": "all",
            },
            ["'all'", "reads no source", "tied_embeddings output"],
        ),
        (
            {"decoder": "gnmt_v2"},
            ["'gnmt_v2'", "decoder_layers is 1", "decoder_layers 2", "decoder luong"],
        ),
    ],
)
def test_impossible_pairs_are_refused_in_one_line(values, says):
    with pytest.raises(InputError) as caught:
        checks.check(replace(ModelConfig(), **values))
    message = str(caught.value)
    assert "\n" not in message
    for part in says:
        assert part in message


@pytest.mark.parametrize("config", SWEEP, ids=name)
def test_possible_pairs_are_accepted(config):
    checks.check(config, shared_vocab=True)
