"""The recipes of the papers: each makes a model, of the size that the paper tells."""

import pytest

from seq2seq_jax.commands import parameters, recipes
from seq2seq_jax.config import flatten
from seq2seq_jax.nn import checks
from seq2seq_jax.training import optimizer

FULL = {
    "sutskever2014": ["full", "small"],
    "cho2014": ["full", "small"],
    "bahdanau2014": ["full", "rnnencdec", "small", "rnnencdec_small"],
    "luong2015": ["full", "small"],
    "gnmt2016": ["full", "small"],
    "rnmt_plus2018": ["full", "small"],
    "tensorflow_nmt": [
        "iwslt15",
        "wmt16",
        "wmt16_gnmt_4_layer",
        "wmt16_gnmt_8_layer",
        "small",
    ],
}
VARIANTS = [f"{name}:{variant}" for name in FULL for variant in FULL[name]]

# What the papers say of their full sizes, copied by hand, by the names of our fields. A
# length counts the end marker, which papers do not; epsilon None is Adadelta's 1e-6 and
# a Gaussian's init_scale None is 0.01.
SUTSKEVER = """
    cell lstm, encoder_layers 4, decoder_layers 4, hidden_size 1000,
    embedding_size 1000, bidirectional False, reverse_source True, attention none,
    dropout 0.0, init uniform, init_scale 0.08, vocab_size 160000,
    target_vocab_size 80000, batch_size 128, normalize sentences, clip_norm 5.0,
    label_smoothing 0.0, optimizer sgd, momentum 0.0, learning_rate 0.7, warmup_steps 0,
    schedule halving, decay_unit epochs, decay_start 5, decay_every 0.5,
    decay_factor 0.5, epochs 7.5, eval_beam_size 12, eval_length_penalty 0.0,
    eval_coverage_penalty 0.0, bridge pass
"""
CHO = """
    cell gru_reset_before, encoder_layers 1, decoder_layers 1, hidden_size 1000,
    embedding_size 100, output_rank 100, readout_size 500, bidirectional False,
    attention none, decoder cho, dropout 0.0, init gaussian, init_scale None,
    vocab_size 15000, target_vocab_size None, batch_size 64, normalize sentences,
    clip_norm None, label_smoothing 0.0, optimizer adadelta, rho 0.95, epsilon None,
    learning_rate 1.0, warmup_steps 0, schedule constant
"""
BAHDANAU = """
    cell gru_bahdanau, encoder_layers 1, decoder_layers 1, hidden_size 1000,
    embedding_size 620, readout_size 500, bidirectional True, attention additive,
    attention_size 1000, decoder bahdanau_appendix, dropout 0.0, init gaussian,
    init_scale None, vocab_size 30000, target_vocab_size None, max_length 51,
    batch_size 80, normalize sentences, clip_norm 1.0, label_smoothing 0.0,
    optimizer adadelta, rho 0.95, epsilon None, learning_rate 1.0, warmup_steps 0,
    schedule constant, steps 667000, bridge backward, eval_beam_size 12,
    eval_length_penalty 0.0
"""
RNNENCDEC = ", bidirectional False, attention last, attention_size None"
LUONG = """
    cell lstm, encoder_layers 4, decoder_layers 4, hidden_size 1000,
    embedding_size 1000, bidirectional False, reverse_source True, attention general,
    alignment local_p, window 10, decoder luong, input_feeding True, dropout 0.2,
    init uniform, init_scale 0.1, vocab_size 50000, target_vocab_size None,
    max_length 51, batch_size 128, normalize sentences, clip_norm 5.0,
    label_smoothing 0.0, optimizer sgd, momentum 0.0, learning_rate 1.0, warmup_steps 0,
    schedule halving, decay_unit epochs, decay_start 8, decay_every 1, decay_factor 0.5,
    epochs 12, eval_beam_size 12, eval_length_penalty 0.0, bridge pass
"""
GNMT = """
    cell lstm, encoder_layers 8, decoder_layers 8, hidden_size 1024, bidirectional True,
    bidirectional_layers 1, residual add, residual_from 3, attention additive,
    decoder gnmt_paper, dropout 0.2, init uniform, init_scale 0.04, shared_vocab True,
    vocab_size 32000, batch_size 128, clip_norm 5.0, label_smoothing 0.0,
    optimizer adam, learning_rate 0.0002, warmup_steps 0, sgd_from 60000,
    sgd_learning_rate 0.5, schedule halving, decay_unit steps, decay_start 1200001,
    decay_every 200000, decay_factor 0.5, steps 2000000, embedding_size 1024,
    bridge each_direction, eval_length_penalty 0.2, eval_coverage_penalty 0.2
"""
RNMT = """
    cell rnmt_lstm, encoder_layers 6, decoder_layers 8, hidden_size 1024,
    encoder_projection 1024, bidirectional True, bidirectional_layers None,
    residual add, residual_from 3, attention additive, attention_heads 4, decoder rnmt,
    init uniform, init_scale 0.04, shared_vocab True, vocab_size 32000, batch_size 4096,
    label_smoothing 0.1, optimizer adam_l2, beta1 0.9, beta2 0.999, epsilon 1e-06,
    weight_decay 1e-05, learning_rate 0.0001, warmup_steps 500, schedule rnmt,
    decay_start 600000, decay_every 600000, embedding_size 1024, replicas 32,
    bridge each_direction, clip_norm None, clip_deviations 4.0
"""
# Half as many layers as tensorflow/nmt's where both directions of an encoder are two.
NMT = """
    cell lstm, bidirectional True, dropout 0.2, init uniform, init_scale 0.1,
    max_length 51, long_lines truncate, buckets 5, batch_size 128, normalize sentences,
    clip_norm 5.0, label_smoothing 0.0, optimizer sgd, momentum 0.0, learning_rate 1.0,
    warmup_steps 0, log_every 100, keep_last 5,
"""
IWSLT15 = """
    encoder_layers 1, decoder_layers 2, bidirectional_layers None, hidden_size 512,
    embedding_size 512, attention scaled_general, decoder luong_linear, residual none,
    steps 12000, schedule luong234, vocab_size 17200, target_vocab_size 7700
"""
WMT16 = """
    encoder_layers 2, decoder_layers 4, bidirectional_layers None, hidden_size 1024,
    embedding_size 1024, attention normed_additive, decoder luong_linear, residual none,
    steps 340000, schedule luong10, vocab_size 32000, shared_vocab True,
"""
WMT16_GNMT = "encoder_layers 4, bidirectional_layers 1, decoder gnmt_v2, residual add,"
TOLD = {
    "sutskever2014:full": SUTSKEVER,
    "cho2014:full": CHO,
    "bahdanau2014:full": BAHDANAU,
    "bahdanau2014:rnnencdec": BAHDANAU + RNNENCDEC,
    "luong2015:full": LUONG,
    "gnmt2016:full": GNMT,
    "rnmt_plus2018:full": RNMT,
    "tensorflow_nmt:iwslt15": NMT + IWSLT15,
    "tensorflow_nmt:wmt16": NMT + WMT16,
    "tensorflow_nmt:wmt16_gnmt_4_layer": NMT + WMT16 + WMT16_GNMT,
    "tensorflow_nmt:wmt16_gnmt_8_layer": NMT
    + WMT16
    + WMT16_GNMT
    + "encoder_layers 8, decoder_layers 8",
}


def told(recipe):
    """Values as text, by field; of two of one field, the last."""
    return dict(pair.split() for pair in TOLD[recipe].split(",") if pair.strip())


def test_every_full_size_is_told():
    assert set(TOLD) == {recipe for recipe in VARIANTS if "small" not in recipe}


@pytest.mark.parametrize("recipe", TOLD)
def test_hyperparameters_are_those_of_the_paper(recipe):
    values = flatten(recipes.load(recipe))
    ours = {name.split(".")[1]: str(value) for name, value in values}
    assert {name: ours[name] for name in told(recipe)} == told(recipe)


@pytest.mark.parametrize("recipe", VARIANTS)
def test_every_variant_is_a_possible_model(recipe):
    config = recipes.load(recipe)
    checks.check(config.model, config.data.shared_vocab)
    optimizer.check(config.training)
    counts = parameters.count(config)
    assert min(counts.values()) >= 0
    assert (counts["attention"] > 0) == (
        config.model.attention not in ("none", "last", "dot")
    )


def test_sutskevers_model_has_384_million_parameters_64_of_them_recurrent():
    counts = parameters.count(recipes.load("sutskever2014"))
    assert round(counts["layers"] / 1e6) == 64
    assert round(sum(counts.values()) / 1e6) == 384


def test_rnmt_plus_has_the_papers_379_million_parameters():
    counts = parameters.count(recipes.load("rnmt_plus2018"))
    assert abs(sum(counts.values()) / 378.9e6 - 1) < 0.002


def test_the_command_shows_them(capsys):
    parameters.main(["sutskever2014"], "seq2seq-jax parameters")
    said = capsys.readouterr().out.splitlines()
    assert said[1].split()[0] == "layers" and said[1].split()[1].startswith("64,")
    assert said[-1].split()[0] == "all" and said[-1].split()[1].startswith("384,")
