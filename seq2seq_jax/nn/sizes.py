"""Sizes that follow from a config: one place for the arithmetic of layers."""

from seq2seq_jax.config import ModelConfig


def directions(config: ModelConfig, layer: int) -> int:
    """1 or 2: in how many directions encoder layer `layer` (from 0) reads.

    >>> gnmt = ModelConfig(bidirectional_layers=1, encoder_layers=3)
    >>> [directions(gnmt, layer) for layer in range(3)]
    [2, 1, 1]
    """
    count = config.bidirectional_layers
    both = config.bidirectional and (count is None or layer < count)
    return 2 if both else 1


def encoder_layer_size(config: ModelConfig, layer: int) -> int:
    """Size of the outputs of encoder layer `layer`, its directions side by side."""
    return config.hidden_size * directions(config, layer)


def annotation_size(config: ModelConfig) -> int:
    """C: the size of an annotation."""
    top = encoder_layer_size(config, config.encoder_layers - 1)
    return config.encoder_projection or top


def decoder_size(config: ModelConfig) -> int:
    """H of the decoder's layers."""
    return config.decoder_hidden_size or config.hidden_size


def has_residual(config: ModelConfig, layer: int, inputs: int, outputs: int) -> bool:
    """Whether layer `layer` (from 0) has a residual connection: its sizes agree."""
    wanted = config.residual != "none" and layer + 1 >= config.residual_from
    return wanted and inputs == outputs
