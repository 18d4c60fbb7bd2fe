"""Refuse impossible models before anything is compiled, each with its reason."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from seq2seq_jax import config as configs
from seq2seq_jax import limits, unread
from seq2seq_jax.config import Config, ModelConfig
from seq2seq_jax.errors import InputError, choose
from seq2seq_jax.extending import FILE_FIRST, check_entry
from seq2seq_jax.nn import attention, layers, sizes, trying
from seq2seq_jax.nn.alignments import ALIGNMENTS
from seq2seq_jax.nn.backends import BACKENDS
from seq2seq_jax.nn.bridges import BRIDGES
from seq2seq_jax.nn.cells import CELLS
from seq2seq_jax.nn.decoder import readout_size
from seq2seq_jax.nn.decoders import DECODERS
from seq2seq_jax.nn.encoder import ENCODERS
from seq2seq_jax.nn.frontends import FRONTENDS
from seq2seq_jax.nn.heads import HEADS
from seq2seq_jax.nn.recurrence import SCANS
from seq2seq_jax.nn.residuals import RESIDUALS
from seq2seq_jax.nn.scores import SCORES
from seq2seq_jax.nn.unread import READERS

TIES = ("none", "input", "output", "all")
DTYPES = ("float32", "bfloat16")
COMBINATIONS = ("flat", "hierarchical")
TABLES: dict[str, Iterable[str]] = {
    "frontend": FRONTENDS,
    "cell": CELLS,
    "encoder": ENCODERS,
    "residual": RESIDUALS,
    "bridge": BRIDGES,
    "attention": SCORES,
    "alignment": ALIGNMENTS,
    "decoder": DECODERS,
    "tied_embeddings": TIES,
    "init": layers.INITIALIZERS,
    "head": HEADS,
    "combination": COMBINATIONS,
    "dtype": DTYPES,
    "scan": SCANS,
    "backend": ("auto", *BACKENDS),
}


def load(path: Path) -> Config:
    """Read a workdir's `config.json`, and refuse a model that cannot be.

    Raises:
        InputError: naming the file and what is wrong with it.
    """
    config = configs.load(path)
    try:
        limits.validate(config)
        known(config.model, FILE_FIRST)
        check(config.model, config.data.shared_vocab)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return config


def check(config: ModelConfig, shared_vocab: bool = False) -> None:
    """Refuse unknown names, impossible pairs and settings that nothing reads.

    Raises:
        InputError: naming both sides of the conflict and a way out.
    """
    known(config)
    check_attention(config)
    check_source(config)
    check_sources(config)
    check_layers(config)
    check_ties(config, shared_vocab)
    check_head(config, shared_vocab)
    reason = DECODERS[config.decoder].refuse(config)
    if reason:
        raise InputError(f"model.decoder {config.decoder!r} {reason}")
    if config.backend != "auto":
        refusal = BACKENDS[config.backend].refuse(config)
        if refusal:
            raise InputError(f"model.backend {config.backend!r} {refusal}")
    unread.check("model", config, READERS)
    trying.check(config)


def known(config: ModelConfig, more: str = "") -> None:
    """Refuse names that no table has, and entries that are none."""
    for field, table in TABLES.items():
        name = choose(table, getattr(config, field), f"model.{field}", more)
        if isinstance(table, Mapping):
            check_entry(table, name, f"model.{field}")


def check_frontend(config: ModelConfig) -> None:
    """What needs a source of tokens, and what a source of numbers."""
    if config.frontend == "tokens":
        if ENCODERS[config.encoder].shorter is not None:
            raise InputError(
                f"model.encoder {config.encoder!r} makes fewer annotations than there "
                f"are items, but model.frontend is 'tokens', whose alignments are of "
                f"each token: set model.encoder recurrent, or model.frontend features"
            )
        return
    told = f"model.frontend {config.frontend!r} reads numbers, which are no tokens"
    for field, wrong in (
        ("head", HEADS[config.head].copies),
        ("sources", config.sources > 1),
        ("reverse_source", config.reverse_source),  # which leaves an end marker last
        ("encoder", not ENCODERS[config.encoder].reads),
    ):
        if wrong:
            raise InputError(
                f"{told}, but model.{field} is {getattr(config, field)!r}: set it to "
                f"{getattr(ModelConfig(), field)}, or model.frontend tokens"
            )


def check_source(config: ModelConfig) -> None:
    """What reads a source, and what its encoder tells the decoder."""
    check_frontend(config)
    reads = ENCODERS[config.encoder].reads
    bridged = bool(attention.context_size(config)) or BRIDGES[config.bridge].reads
    if not reads and bridged:
        raise InputError(
            f"model.encoder {config.encoder!r} reads no source, but model.attention is "
            f"{config.attention!r} and model.bridge {config.bridge!r}: set "
            f"model.attention none and model.bridge zero"
        )
    if reads and not bridged and not DECODERS[config.decoder].reads:
        raise InputError(
            f"model.attention is {config.attention!r} and model.bridge "
            f"{config.bridge!r}, so model.decoder {config.decoder!r} learns nothing of "
            f"the source: set model.bridge dense, or model.encoder none"
        )


def check_sources(config: ModelConfig) -> None:
    """Several sources, and how attention to them is combined."""
    if config.sources > 1 and not ENCODERS[config.encoder].reads:
        raise InputError(
            f"model.sources is {config.sources}, but model.encoder {config.encoder!r} "
            f"reads no source: set model.sources 1"
        )
    if config.sources > 1 and config.alignment != "global":
        raise InputError(
            f"model.alignment {config.alignment!r} moves over one source, but "
            f"model.sources is {config.sources}: set model.alignment global"
        )
    score = SCORES[config.attention]
    if config.combination == "hierarchical" and (score.shares or not score.looks):
        raise InputError(
            f"model.combination 'hierarchical' combines what attention finds in each "
            f"source, but model.attention {config.attention!r} gives no energies: set "
            f"it to general, or model.combination flat"
        )


def check_layers(config: ModelConfig) -> None:
    """Layers, cell, bridge and initial values."""
    bridge = BRIDGES[config.bridge]
    count = config.bidirectional_layers
    apart = ENCODERS[config.encoder].apart
    if apart and not (config.bidirectional and count is None):
        raise InputError(
            f"model.encoder {config.encoder!r} is a stack in each direction, but "
            f"model.bidirectional is {config.bidirectional} and "
            f"model.bidirectional_layers {count}: set them to True and None, or "
            f"model.encoder recurrent"
        )
    if count is not None and count > config.encoder_layers:
        raise InputError(
            f"model.bidirectional_layers is {count}, but model.encoder_layers is "
            f"{config.encoder_layers}: set it to at most that, or to None for all"
        )
    if config.recurrent_dropout and not CELLS[config.cell].recurrent_product:
        raise InputError(
            f"model.recurrent_dropout drops h_(t-1) inside recurrent products, but "
            f"model.cell {config.cell!r} has none: set model.recurrent_dropout 0"
        )
    size = sizes.decoder_size(config)
    for layer, given in enumerate(bridge.sizes(config)):
        if given != size:
            raise InputError(
                f"model.bridge {config.bridge!r} needs encoder and decoder of one "
                f"size, but decoder layer {layer + 1} has {size} units and gets a state"
                f" of {spelt_out(config, given)}: set model.decoder_hidden_size "
                f"{given}, or model.bridge dense"
            )
    if config.init_scale is not None and config.init not in ("uniform", "gaussian"):
        raise InputError(
            f"model.init_scale is {config.init_scale}, but model.init {config.init!r} "
            f"has no width: set model.init uniform or gaussian, or leave it out"
        )


def spelt_out(config: ModelConfig, size: int) -> str:
    """A size, and that it is two directions' where it is.

    >>> spelt_out(ModelConfig(hidden_size=10), 20)
    '20 (two directions of 10)'
    """
    both = config.bidirectional and size == 2 * config.hidden_size
    return f"{size} (two directions of {config.hidden_size})" if both else str(size)


def check_attention(config: ModelConfig) -> None:
    """Score, heads and alignment."""
    annotation, size = sizes.annotation_size(config), sizes.decoder_size(config)
    score = SCORES[config.attention]
    if score.same_size and annotation != size:
        raise InputError(
            f"model.attention {config.attention!r} needs annotations and decoder of "
            f"one size, but they are {spelt_out(config, annotation)} and {size}: set "
            f"model.decoder_hidden_size {annotation}, or model.attention general"
        )
    heads = config.attention_heads
    if heads > 1 and (annotation % heads or size % heads):
        raise InputError(
            f"model.attention_heads is {heads}, which does not divide the annotations' "
            f"size {annotation} and the decoder's {size}: choose one that divides both"
        )
    if config.drawn_share > 1:
        raise InputError(
            f"model.drawn_share is {config.drawn_share}, expected at most 1"
        )
    reason = score.refuse(config)
    if reason:
        raise InputError(f"model.attention {config.attention!r} {reason}")


def check_head(config: ModelConfig, shared_vocab: bool) -> None:
    """What a head that copies needs, and one that says numbers."""
    if HEADS[config.head].width is not None and config.quantiles % 2 == 0:
        raise InputError(
            f"model.quantiles is {config.quantiles}, expected an odd number: the one "
            f"in the middle is the median, which the decoder reads"
        )
    if not HEADS[config.head].copies:
        return
    told = f"model.head {config.head!r} copies tokens that attention looks at"
    if not SCORES[config.attention].looks:
        raise InputError(
            f"{told}, but model.attention is {config.attention!r}: set it to general, "
            f"or model.head vocabulary"
        )
    if not shared_vocab:
        raise InputError(
            f"{told}, so both sides need one vocabulary: set data.shared_vocab True, "
            f"or model.head vocabulary"
        )


def check_tables(config: ModelConfig) -> None:
    """Refuse to tie embeddings where a side has none."""
    told = f"model.tied_embeddings is {config.tied_embeddings!r}"
    if HEADS[config.head].width is not None:
        raise InputError(
            f"{told}, but model.head {config.head!r} says numbers, which have no "
            f"embeddings: set model.tied_embeddings none"
        )
    if config.frontend != "tokens" and config.tied_embeddings != "output":
        raise InputError(
            f"{told}, but model.frontend {config.frontend!r} has no embeddings: set "
            f"model.tied_embeddings none"
        )


def check_ties(config: ModelConfig, shared_vocab: bool) -> None:
    """Tied embeddings."""
    if config.tied_embeddings != "none":
        check_tables(config)
    readout = readout_size(config)
    tied = config.tied_embeddings
    if tied in ("input", "all") and not ENCODERS[config.encoder].reads:
        raise InputError(
            f"model.tied_embeddings is {tied!r}, but model.encoder {config.encoder!r} "
            f"reads no source, so there is one table of embeddings already: set "
            f"model.tied_embeddings {'output' if tied == 'all' else 'none'}"
        )
    if tied in ("output", "all") and readout != config.embedding_size:
        raise InputError(
            f"model.tied_embeddings {config.tied_embeddings!r} needs the decoder's "
            f"readout ({readout}) as wide as model.embedding_size "
            f"({config.embedding_size}): set model.embedding_size {readout}, or "
            f"model.output_rank {config.embedding_size}"
        )
    if tied in ("input", "all") and not shared_vocab:
        raise InputError(
            f"model.tied_embeddings {tied!r} needs one vocabulary for both sides: set "
            f"data.shared_vocab True, or model.tied_embeddings "
            f"{'output' if tied == 'all' else 'none'}"
        )
