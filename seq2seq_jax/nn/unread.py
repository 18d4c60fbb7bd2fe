"""Which settings of a model only some models read, for `unread.check`.

What an entry of a table reads stands with the entry, as its `settings`; here stands
what depends on more than one choice.
"""

from collections.abc import Mapping
from typing import Any

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import sizes
from seq2seq_jax.nn.alignments import ALIGNMENTS
from seq2seq_jax.nn.decoders import DECODERS
from seq2seq_jax.nn.encoder import ENCODERS
from seq2seq_jax.nn.heads import HEADS
from seq2seq_jax.nn.residuals import RESIDUALS
from seq2seq_jax.nn.scores import SCORES
from seq2seq_jax.unread import Readers, by_tables, either


def has_encoder(config: ModelConfig) -> bool:
    """Whether there are layers that read a source."""
    return ENCODERS[config.encoder].reads


def has_layers(config: ModelConfig) -> bool:
    """Whether that encoder is made of recurrent layers."""
    return "encoder_layers" in ENCODERS[config.encoder].settings


def reads_residual(config: ModelConfig) -> bool:
    """Whether any layer has a residual connection.

    >>> [reads_residual(ModelConfig(residual="add", decoder_layers=n)) for n in (1, 2)]
    [False, True]
    """
    width, agreed = config.embedding_size, []
    apart = ENCODERS[config.encoder].apart
    for layer in range(config.encoder_layers):
        own = config.hidden_size if apart else sizes.encoder_layer_size(config, layer)
        connected = sizes.has_residual(config, layer, width, own)
        whole = has_layers(config) and ENCODERS[config.encoder].shorter is None
        agreed.append(connected and whole)
        width = own
    top, size = config.decoder_layers - 1, sizes.decoder_size(config)
    return any(agreed) or (top > 0 and sizes.has_residual(config, top, size, size))


TABLES: Mapping[str, Mapping[str, Any]] = {
    "encoder": ENCODERS,
    "alignment": ALIGNMENTS,
    "attention": SCORES,
    "decoder": DECODERS,
    "head": HEADS,
}
READERS = by_tables("model", TABLES) | {
    "attention_dropout": Readers(
        lambda config: not SCORES[config.attention].empty,
        "a model.attention other than none",
    ),
    "bidirectional_layers": Readers(
        lambda config: has_layers(config) and config.bidirectional,
        "an encoder of layers with model.bidirectional True",
    ),
    "combination": Readers(
        lambda config: config.sources > 1, "model.sources of 2 or more"
    ),
    "encoder_projection": Readers(
        lambda config: has_encoder(config) and not SCORES[config.attention].empty,
        "an encoder, with a model.attention other than none",
    ),
    "hidden_size": Readers(
        lambda config: has_layers(config) or config.decoder_hidden_size is None,
        "an encoder of layers, and the decoder where model.decoder_hidden_size is None",
    ),
    "residual": Readers(
        reads_residual,
        "a layer as wide as its input, from layer model.residual_from on, of the "
        "encoder or above the decoder's first",
    ),
    "residual_from": Readers(
        lambda config: config.residual != "none",
        f"model.residual {either(name for name in RESIDUALS if name != 'none')}",
    ),
}
