"""Sizes that follow from a config: one place for the arithmetic of layers."""

from seq2seq_jax.config import ModelConfig

AS_IS = "positions"  # the encoder without layers


def directions(config: ModelConfig, layer: int) -> int:
    """1 or 2: in how many directions encoder layer `layer` (from 0) reads.

    >>> gnmt = ModelConfig(bidirectional_layers=1, encoder_layers=3)
    >>> [directions(gnmt, layer) for layer in range(3)]
    [2, 1, 1]
    """
    if config.encoder == AS_IS:
        return 1
    count = config.bidirectional_layers
    both = config.bidirectional and (count is None or layer < count)
    return 2 if both else 1


def encoder_layer_size(config: ModelConfig, layer: int) -> int:
    """Size of the outputs of encoder layer `layer`, its directions side by side."""
    if config.encoder == AS_IS:
        return config.embedding_size
    return config.hidden_size * directions(config, layer)


def annotation_size(config: ModelConfig) -> int:
    """C: the size of an annotation."""
    return config.encoder_projection or encoder_layer_size(config, top_layer(config))


def top_layer(config: ModelConfig) -> int:
    """The number of the encoder's last layer, from 0; one that has none counts as 1."""
    return 0 if config.encoder == AS_IS else config.encoder_layers - 1


def decoder_size(config: ModelConfig) -> int:
    """H of the decoder's layers."""
    return config.decoder_hidden_size or config.hidden_size


def has_residual(config: ModelConfig, layer: int, inputs: int, outputs: int) -> bool:
    """Whether layer `layer` (from 0) has a residual connection: its sizes agree."""
    wanted = config.residual != "none" and layer + 1 >= config.residual_from
    return wanted and inputs == outputs
