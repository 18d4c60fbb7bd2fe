"""Tiny configs that together hold every entry of every table of `nn`."""

from dataclasses import replace

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn.unread import READERS

TINY = ModelConfig(hidden_size=4, decoder_hidden_size=6, embedding_size=6, dropout=0.0)


def model_config(attention, decoder, cell, bridge, bi, layers, **more):
    """A tiny config; the decoder is as wide as the annotations where that is needed."""
    encoder_layers, decoder_layers = layers
    wide = 8 if bi else 4
    size = wide if attention == "dot" or bridge == "pass" else 6
    values = {
        "cell": cell,
        "attention": attention,
        "decoder": decoder.removesuffix("_no_feed"),
        "input_feeding": not decoder.endswith("_no_feed"),
        "bridge": bridge,
        "bidirectional": bi,
        "encoder_layers": encoder_layers,
        "decoder_layers": decoder_layers,
        "decoder_hidden_size": 4 if bridge == "each_direction" else size,
    }
    return replace(TINY, **values | more)


# Every entry of every table, each decoder with several scores.
SWEEP = [
    model_config("none", "luong", "lstm", "pass", False, (1, 1)),
    model_config("dot", "luong", "gru", "dense", True, (2, 2), residual="add"),
    model_config("general", "luong", "lstm", "dense", True, (1, 2)),
    model_config("additive", "luong", "rnn", "zero", True, (1, 1)),
    model_config("none", "luong_no_feed", "gru_reset_before", "dense", True, (2, 1)),
    model_config("dot", "luong_no_feed", "lstm", "pass", True, (2, 2), residual="add"),
    model_config(
        "general", "luong_no_feed", "gru", "zero", False, (1, 1), tied_embeddings="all"
    ),
    model_config(
        "additive",
        "luong_no_feed",
        "lstm",
        "dense",
        True,
        (1, 1),
        attention_size=3,
        attention_heads=2,
    ),
    model_config("none", "bahdanau", "rnn", "dense", True, (1, 1)),
    model_config("dot", "bahdanau", "lstm", "zero", False, (1, 2), residual="add"),
    model_config(
        "general", "bahdanau", "gru", "pass", True, (2, 1), tied_embeddings="output"
    ),
    model_config(
        "general",
        "luong",
        "lstm",
        "each_direction",
        True,
        (3, 3),
        bidirectional_layers=1,
        residual="highway",
        zoneout=0.3,
        attention_heads=2,
    ),
    model_config(
        "additive",
        "bahdanau",
        "gru",
        "backward",
        True,
        (1, 1),
        reverse_source=True,
        readout_size=5,
        output_rank=3,
        attention_heads=2,
    ),
    model_config(
        "general",
        "luong_no_feed",
        "lstm",
        "dense",
        True,
        (2, 3),
        encoder_projection=6,
        residual="dense",
        zoneout=0.2,
    ),
    model_config(
        "additive",
        "bahdanau",
        "gru_reset_before",
        "dense",
        True,
        (2, 2),
        residual="add",
    ),
]
# One of each decoder beside Luong's and Bahdanau's own, which stand above.
OTHER_DECODERS = [
    model_config(
        "general",
        "bahdanau_appendix",
        "lstm",
        "backward",
        True,
        (2, 2),
        residual="highway",
        readout_size=5,
    ),
    model_config(
        "none",
        "cho",
        "gru_reset_before",
        "zero",
        False,
        (2, 1),
        readout_size=5,
        output_rank=3,
        zoneout=0.2,
    ),
    model_config(
        "additive",
        "gnmt",
        "lstm",
        "each_direction",
        True,
        (2, 3),
        bidirectional_layers=1,
        residual="add",
        residual_from=3,
    ),
    model_config(
        "general",
        "gnmt_v2",
        "gru",
        "dense",
        True,
        (1, 3),
        residual="dense",
        zoneout=0.2,
        attention_heads=2,
    ),
    model_config("dot", "gnmt_paper", "rnn", "pass", True, (2, 2), residual="add"),
    model_config(
        "additive",
        "rnmt",
        "lstm",
        "each_direction",
        True,
        (2, 3),
        encoder_projection=6,
        residual="add",
        residual_from=3,
        attention_heads=2,
        output_rank=6,
        tied_embeddings="output",
    ),
]
OTHER_DECODERS += [
    model_config("none", "plain", "lstm", "pass", False, (2, 2), residual="add"),
    model_config("general", "bahdanau_groundhog", "rnn", "backward", True, (1, 1)),
    model_config("scaled_general", "luong_fed", "gru", "dense", True, (1, 2)),
    model_config(
        "additive",
        "luong_linear",
        "lstm",
        "each_direction",
        True,
        (1, 2),
        residual="add",
    ),
]
SWEEP += OTHER_DECODERS
SWEEP += [
    model_config(
        "none",
        "cho",
        "gru_reset_before",
        "zero",
        True,
        (1, 1),
        tied_embeddings="output",
    ),
]
DECODER_SWEEP = [SWEEP[2], SWEEP[7], SWEEP[14], *OTHER_DECODERS]
# One of each cell that does not stand above.
SWEEP += [
    model_config("none", "bahdanau", "gru_bahdanau", "backward", True, (1, 2)),
    model_config(
        "dot", "bahdanau", "layer_norm_lstm", "pass", False, (1, 2), zoneout=0.2
    ),
    model_config(
        "additive", "luong_no_feed", "rnmt_lstm", "zero", False, (2, 2), residual="add"
    ),
    model_config("general", "luong", "nas", "dense", True, (1, 2)),
    model_config("general", "luong", "clipped_lstm", "pass", False, (1, 1)),
    model_config("general", "bahdanau", "rnmt_lstm_capped", "dense", True, (1, 1)),
    model_config("additive", "luong", "min_gru", "pass", True, (1, 1)),
    model_config("general", "luong_no_feed", "min_lstm", "dense", True, (2, 2)),
    model_config(
        "general",
        "luong_no_feed",
        "lstm",
        "dense",
        True,
        (2, 1),
        encoder="stacks",
        tied_embeddings="input",
    ),
]


def attending(attention, decoder, alignment="global", **more):
    """A config for a score and an alignment, around which all is as small as can be."""
    config = model_config(
        attention, decoder, "rnn", "dense", False, (1, 1), alignment=alignment, **more
    )
    small = {"window": 1, "positions": 4}
    read = {name: n for name, n in small.items() if READERS[name].read(config)}
    return replace(config, **read)


# Every score and alignment; what reads its own past, with every kind of unroll.
RECURRENT_SWEEP = [
    attending("location_sensitive", "luong", attention_size=3),
    attending("general", "luong", "monotonic"),
]
SWEEP += [
    *RECURRENT_SWEEP,
    attending("location_sensitive", "luong_no_feed"),
    attending("location_sensitive", "bahdanau", attention_heads=2),
    attending("coverage", "luong_no_feed", "local_m"),
    attending("coverage", "luong", "monotonic"),
    attending("coverage", "bahdanau"),
    attending("normed_additive", "luong_no_feed", "monotonic"),
    attending("scaled_dot", "bahdanau", "monotonic", decoder_hidden_size=4),
    attending("concat", "luong_no_feed", "local_p"),
    attending("scaled_general", "bahdanau", "local_p", attention_heads=2),
    attending("general", "luong", "local_p_paper"),
    attending("general", "luong", "local_m_paper"),
    attending("concat_code", "luong", "local_m"),
    attending("general", "luong", "monotonic_hard"),
    attending("general", "xu", "hard"),
    attending("location", "luong_no_feed"),
    attending("location_code", "bahdanau"),
    attending("last", "bahdanau"),
]
# A head that copies, with the decoder made for it and with others.
COPYING = [
    attending("coverage", "see", head="pointer", attention_size=3),
    attending("general", "luong_no_feed", head="pointer", tied_embeddings="all"),
    attending("additive", "bahdanau", "monotonic", head="pointer", output_rank=3),
]
SWEEP += [*COPYING, attending("general", "see")]
# Several sources, of which all but the first are empty in the ragged batch.
SEVERAL = [
    attending("general", "luong", sources=2),
    attending("additive", "luong_no_feed", sources=3, combination="hierarchical"),
    attending(
        "general",
        "bahdanau",
        sources=2,
        combination="hierarchical",
        attention_heads=2,
        head="pointer",
    ),
]
SWEEP += SEVERAL
# Sources of numbers. Without layers in the encoder, hidden_size is the decoder's.
WIDE = {"bidirectional": True, "hidden_size": 6, "decoder_hidden_size": None}
NUMBERS = [
    attending("location_sensitive", "luong", frontend="features"),
    attending("general", "bahdanau", frontend="features", tied_embeddings="output"),
    attending(
        "additive",
        "xu",
        frontend="convolutions",
        encoder="positions",
        **WIDE,
        attention_size=3,
    ),
    attending("general", "luong", frontend="convolutions", encoder_projection=6),
    replace(
        attending("location_sensitive", "bahdanau", frontend="features"),
        encoder="pyramid",
        encoder_layers=3,
        bidirectional=True,
    ),
    replace(
        attending("general", "luong", frontend="features", encoder_projection=6),
        encoder="pyramid",
        encoder_layers=2,
        cell="lstm",
    ),
    replace(
        attending("general", "xu", encoder="positions", encoder_projection=4),
        cell="lstm",
        attention_heads=2,
        **WIDE,
    ),
]
SWEEP += NUMBERS
LANGUAGE_MODEL = replace(
    TINY,
    hidden_size=6,
    decoder_hidden_size=None,
    encoder="none",
    attention="none",
    bridge="zero",
)
SWEEP += [LANGUAGE_MODEL]
NOISY = {
    "dropout": 0.3,
    "recurrent_dropout": 0.2,
    "output_dropout": 0.2,
    "attention_dropout": 0.2,
    "zoneout": 0.1,
}


def name(config):
    """A test's id."""
    fed = "" if config.input_feeding else "_no_feed"
    parts = [config.decoder + fed, config.attention, config.cell, config.bridge]
    if config.alignment != "global":
        parts.insert(2, config.alignment)
    if config.head != "vocabulary":
        parts.append(config.head)
    if config.sources > 1:
        parts.append(f"{config.combination}_{config.sources}")
    if config.frontend != "tokens":
        parts.append(config.frontend)
    if config.encoder != "recurrent":
        parts.append("encoder_" + config.encoder)
    return "-".join(parts)
