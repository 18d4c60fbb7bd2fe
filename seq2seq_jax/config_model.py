"""The configuration of the model; see `config`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelConfig:
    """The shape of the model."""

    cell: str = "lstm"
    """rnn, lstm, clipped_lstm, layer_norm_lstm, rnmt_lstm, rnmt_lstm_capped, gru (reset
    after), gru_reset_before (z keeps), gru_bahdanau (z updates), nas, min_gru or
    min_lstm"""
    hidden_size: int = 256
    """units of each layer; of each direction in a bidirectional encoder"""
    decoder_hidden_size: int | None = None
    """units of a decoder layer; None: hidden_size"""
    frontend: str = "tokens"
    """what makes vectors of a source's items: tokens (embeddings), features (a
    projection of numbers) or convolutions (a net for pictures)"""
    embedding_size: int = 256
    """size of token embeddings, or of what a frontend makes"""
    encoder_layers: int = 1
    """layers of the encoder"""
    decoder_layers: int = 1
    """layers of the decoder"""
    encoder: str = "recurrent"
    """recurrent, stacks (its directions meet at the top), pyramid (each layer halves
    the length), positions (what the frontend makes, as it is) or none (a language
    model)"""
    bidirectional: bool = True
    """encoder layers read in both directions"""
    bidirectional_layers: int | None = None
    """how many of them do, from the bottom; None: all"""
    encoder_projection: int | None = None
    """size that the top encoder layer's outputs are projected to; None: as they are"""
    sources: int = 1
    """sources of a line, parted by tabs; each has an encoder of its own"""
    combination: str = "flat"
    """several sources: flat (attention over all of them as one), or hierarchical (over
    each, then over what was found)"""
    reverse_source: bool = False
    """read the source from its last token to its first, the end marker still last"""
    residual: str = "none"
    """none, add, highway or dense, over a layer, where its sizes agree"""
    residual_from: int = 2
    """first layer with a residual connection, counted from 1"""
    bridge: str = "dense"
    """encoder's last state -> decoder's first: the table BRIDGES"""
    attention: str = "general"
    """score: none, last, location, location_code, dot, scaled_dot, general, concat,
    scaled_general, additive, concat_code, normed_additive, coverage or
    location_sensitive"""
    attention_size: int | None = None
    """units of the scores with a tanh in each head; None: the query's size"""
    attention_heads: int = 1
    """attentions side by side, each on its own projection of query and annotations"""
    alignment: str = "global"
    """energies -> weights: global (a softmax over all), local_m, local_m_paper (in a
    window that moves on a position a step), local_p, local_p_paper (in one that is
    predicted), monotonic, monotonic_hard or hard (one place, drawn in training)"""
    drawn_share: float = 0.5
    """alignment hard: share of the sentences for which training draws a place at each
    step; the others read the expected context"""
    window: int = 10
    """local alignments and score location_sensitive: D, positions on each side"""
    positions: int = 100
    """scores location, location_code: longest source that they have weights for"""
    decoder: str = "luong"
    """luong, bahdanau, gnmt_paper, plain (no attention) ...: the table DECODERS"""
    input_feeding: bool = True
    """luong, luong_linear, luong_fed: the attentional vector is fed to the next step"""
    readout_size: int | None = None
    """units of a maxout readout (bahdanau, cho); None: embedding_size"""
    output_rank: int | None = None
    """rank of the output layer, a product of two matrices; None: one full matrix"""
    head: str = "vocabulary"
    """what the decoder's readout says: vocabulary, or pointer, which may copy a source
    token too; of series mean, gaussian or quantiles"""
    quantiles: int = 9
    """head quantiles: how many, evenly spaced, an odd number; 9: 10 % to 90 %"""
    dropout: float = 0.2
    """share of units dropped at the input of every recurrent layer"""
    attention_dropout: float = 0.0
    """share of the attention's weights that a step's context is made without"""
    output_dropout: float = 0.0
    """share of units dropped before the output layer"""
    recurrent_dropout: float = 0.0
    """share of units of h_{t-1} dropped, the same ones at every step of a sequence"""
    zoneout: float = 0.0
    """share of state units that keep their last value at a step"""
    tied_embeddings: str = "none"
    """none, input (both sides' are one), output (the target's are its matrix) or all"""
    init: str = "default"
    """first weights: default, unit_rows, uniform ...: the table INITIALIZERS"""
    init_scale: float | None = None
    """width of init uniform (0.1) or gaussian (0.01); None: the one in brackets"""
    dtype: str = "float32"
    """type of the products: float32 or bfloat16; parameters stay float32"""
    scan: str = "deferred"
    """weights' gradients: deferred, a product after the loop, or plain, inside it"""
    unroll: int | None = None
    """steps in one turn of a loop; None: 12 on GPUs, elsewhere 1"""
    backend: str = "auto"
    """all steps of a layer by: scan, pallas (TPU), cudnn (NVIDIA); auto: by platform"""
