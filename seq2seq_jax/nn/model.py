"""The one place where frontend, encoder, attention, decoder and head meet.

`init_params` makes a pytree; everything else is a pure function of it, the config
(which is hashable: pass it as a static argument) and data, with any leading dimensions.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import decoder, feedback, layers, several
from seq2seq_jax.nn.encoder import ENCODERS
from seq2seq_jax.nn.ends import (
    embed,
    embed_source,
    is_input_tied,
    is_output_tied,
    logits,
    said,
    tied_table,
)
from seq2seq_jax.nn.frontends import FRONTENDS
from seq2seq_jax.nn.heads import HEADS
from seq2seq_jax.nn.losses import coverage_loss, doubly_stochastic_loss
from seq2seq_jax.nn.pointer import readable
from seq2seq_jax.nn.shards import Shards
from seq2seq_jax.nn.stack import part_feed
from seq2seq_jax.types import (
    Array,
    AttentionMemory,
    Batch,
    DecoderState,
    EncoderOutput,
    Key,
    Looked,
    Params,
    Sums,
)

TABLES = ("source", "target")  # embeddings
SHARES = 1 << 25  # numbers of a table that `prepared` makes, at most: 128 MiB


def init_params(
    key: jax.Array,
    config: ModelConfig,
    source_vocab_size: int,
    target_vocab_size: int,
    heard_size: int | None = None,
) -> Params:
    """All parameters, float32, as nested dicts and lists.

    Args:
        source_vocab_size: ids of a source, or features of one of its items.
        target_vocab_size: ids, or numbers, that a step says.
        heard_size: numbers that the decoder reads at a step; None: what it says.
    """
    inits = layers.initializers(config.init, config.init_scale)
    keys = jax.random.split(key, 5)
    size, readout = config.embedding_size, decoder.readout_size(config)
    tied, reader = is_output_tied(config), ENCODERS[config.encoder]
    head, wider = HEADS[config.head], decoder.readout_width(config) - readout
    beside = (wider,) if head.copies else ()
    if head.width is not None:
        beside = (head.width(config),)
    hears, heard = FRONTENDS[head.hears], heard_size or target_vocab_size
    table = inits._replace(embedding=inits.tied) if tied else inits
    params = {
        "target": hears.init(keys[1], heard, size, table),
        "encoder": several.init(keys[2], config, inits),
        "decoder": decoder.init(keys[3], config, inits),
        "head": head.init(keys[4], readout, target_vocab_size, inits, tied, *beside),
    }
    if reader.reads and not is_input_tied(config):
        reads = FRONTENDS[config.frontend]
        params["source"] = reads.init(keys[0], source_vocab_size, size, inits)
    return params


@jax.named_scope("encoder")
def encode(
    params: Params,
    config: ModelConfig,
    source: Array,
    source_mask: Array,
    key: Key = None,
    cut: Shards | None = None,
) -> EncoderOutput:
    """Annotations of a source `[..., S]`; `key` brings dropout."""
    reader = ENCODERS[config.encoder]
    layer_params = layers.cast_kernels(params["encoder"], config.dtype)
    if not reader.reads:
        return reader.encode(layer_params, config, None, source_mask, key)
    own = params["target" if is_input_tied(config) else "source"]
    embedded, mask = embed_source(own, config, source, source_mask, cut)
    encoded = several.encode(layer_params, config, embedded, source, mask, key)
    if not HEADS[config.head].copies:
        return encoded
    return encoded.replace(items=source)  # type: ignore[attr-defined]


def start(
    params: Params, config: ModelConfig, encoded: EncoderOutput
) -> tuple[AttentionMemory, DecoderState]:
    """What the decoder reads at every step, and its first state."""
    params = layers.cast_kernels(params, config.dtype)
    memory, state = decoder.start(params["decoder"], config, encoded)
    return memory.replace(items=encoded.items), state  # type: ignore[attr-defined]


def narrowed(
    params: Params, config: ModelConfig, ids: Array
) -> tuple[Params, ModelConfig]:
    """Parameters and config of the model whose output layer says these ids alone.

    Its logits `[..., N]` are those of `ids [N]`; what it reads are tokens as before.
    """
    narrow = HEADS[config.head].narrow
    assert narrow is not None, f"the head {config.head!r} cannot say less"
    head = narrow(params["head"], ids, tied_table(params, config))
    tied = "input" if is_input_tied(config) else "none"
    return params | {"head": head}, replace(config, tied_embeddings=tied)


def readied(
    params: Params, config: ModelConfig, memory: AttentionMemory, state: DecoderState
) -> tuple[AttentionMemory, DecoderState]:
    """What `start` gave, for many hypotheses: `step` has fewer products then."""
    params = layers.cast_kernels(params, config.dtype)
    return decoder.readied(params["decoder"], config, memory, state)


def step(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    tokens: Array,
) -> tuple[DecoderState, jax.Array, Array]:
    """One step from the tokens just said: `(state, logits [..., V], weights [..., S])`.

    Any leading dimensions; a memory `[B, 1, S, C]` serves states `[B, K, H]`.
    """
    embedded = embed(params["target"], config, tokens)
    shares, projected = params["target"].get("shares"), None
    if shares is not None:
        copies = HEADS[config.head].copies
        projected = shares[readable(tokens, len(shares)) if copies else tokens]
    params = layers.cast_kernels(params, config.dtype)
    state, readout, weights = decoder.step(
        params["decoder"], config, memory, state, embedded, projected=projected
    )
    return state, logits(params, config, readout, weights, memory.items), weights


def prepared(params: Params, config: ModelConfig, limit: int = SHARES) -> Params:
    """Parameters as inference reads them; every function here takes them as well.

    Matrices have the type of their products, and the feed's is cut off the bottom
    layer's: no search casts or cuts them again. `step` finds each target token's share
    of the gates: a search would multiply the same embeddings by the same matrix again
    and again, a fifteenth of its products at 8,000 tokens. There is no such table
    `[V, G*H]` where it would have more than `limit` numbers.
    """
    cast = {name: layers.cast_kernels(params[name], config.dtype) for name in params}
    cast["decoder"] = part_feed(cast["decoder"], config)
    # Embeddings are read as they are, and may be the output layer's weights too.
    made = cast | {name: params[name] for name in TABLES if name in params}

    def shares(table: Array) -> jax.Array:
        return decoder.shares(cast["decoder"], config, table)

    if (table := params["target"].get("table")) is None:
        return made
    if math.prod(jax.eval_shape(shares, table).shape) <= limit:
        made["target"] = params["target"] | {"shares": shares(table)}
    return made


def run(
    params: Params,
    config: ModelConfig,
    batch: Batch,
    key: Key = None,
    own: Array | None = None,
    cut: Shards | None = None,
) -> tuple[jax.Array, Array, Array | None]:
    """Teacher-forced `(readouts [B, T, R], attention weights [B, T, S], drawn)`.

    With a key, `own` is the probability that the decoder reads what it has said itself
    in place of the true last token. `cut`: as in `loss`, without `own`.
    """
    keys = layers.split_key(key, 5)
    encoded = encode(params, config, batch.source, batch.source_mask, keys[0], cut)
    memory, state = start(params, config, encoded)
    if own is not None and key is not None:
        gold = batch.target_in
        read = feedback.own_inputs(params, config, memory, state, gold, keys, own)
        batch = batch.replace(target_in=read)  # type: ignore[attr-defined]
    # Before the cast: a frequent token's gradient would saturate a bfloat16 sum.
    embedded = embed(params["target"], config, batch.target_in, cut)
    params = layers.cast_kernels(params, config.dtype)
    embedded = layers.dropout(keys[1], config.dropout, embedded)
    readout, weights, drawn = decoder.unroll(
        params["decoder"], config, memory, state, embedded, keys[2]
    )
    return layers.dropout(keys[3], config.output_dropout, readout), weights, drawn


def apply(
    params: Params, config: ModelConfig, batch: Batch, key: Key = None
) -> jax.Array:
    """Teacher-forced logits `[B, T, V]`."""
    return logits_and_weights(params, config, batch, key)[0]


def logits_and_weights(
    params: Params, config: ModelConfig, batch: Batch, key: Key = None
) -> tuple[jax.Array, Array]:
    """Teacher-forced logits `[B, T, V]` and attention weights `[B, T, S]`."""
    readout, weights, _ = run(params, config, batch, key)
    return outputs_of(params, config, batch, readout, weights), weights


def outputs_of(
    params: Params, config: ModelConfig, batch: Batch, readout: Array, weights: Array
) -> jax.Array:
    """Logits `[B, T, V]` of what `run` gave."""
    params = layers.cast_kernels(params, config.dtype)
    items = batch.source[..., None, :]
    return logits(params, config, readout, weights, items)


def loss(
    params: Params,
    config: ModelConfig,
    batch: Batch,
    label_smoothing: float = 0.0,
    key: Key = None,
    *,
    negatives: Array | None = None,
    own: Array | None = None,
    cut: Shards | None = None,
    coverage: float = 0.0,
    evenness: float = 0.0,
    reinforce: Callable[..., jax.Array] | None = None,
) -> Sums:
    """Sums over the batch's real target tokens; divide by `weight` for means.

    `negatives [k]`: ids from `candidates.draw`, the target's rivals in a sampled
    softmax; None: the whole vocabulary. `own`: as in `run`. `cut`: how vocabularies are
    cut over devices; embeddings and head of `params` are then this device's, and there
    are neither `negatives` nor `own`. `coverage`, `evenness`: lambda of
    `coverage_loss`, of `doubly_stochastic_loss`. `reinforce`: `(nll [B, T], drawn,
    mask) ->` the loss by which draws of hard attention learn.
    """
    readout, weights, drawn = run(params, config, batch, key, own, cut)
    with jax.named_scope("loss"):
        sums = head_loss(
            params, config, batch, label_smoothing, readout, weights, negatives, cut
        )
        total, mask = sums.loss, batch.target_mask
        if coverage:
            total += coverage * coverage_loss(weights, mask)
        if evenness:
            total += evenness * doubly_stochastic_loss(weights, mask)
        if reinforce is not None and drawn is not None:
            scores = outputs_of(params, config, batch, readout, weights)
            each = log_probs_of(batch, jax.nn.log_softmax(scores))
            total += reinforce(-each, drawn, mask)
        return sums.replace(loss=total)  # type: ignore[attr-defined]


def head_loss(
    params: Params,
    config: ModelConfig,
    batch: Batch,
    label_smoothing: float,
    readout: Array,
    weights: Array,
    negatives: Array | None,
    cut: Shards | None,
) -> Sums:
    """The head's own sums; arguments as those of `loss`, and what `run` gave."""
    head, table = HEADS[config.head], tied_table(params, config)
    wanted = batch.target_out, batch.target_mask
    if negatives is not None and head.sampled_loss is not None:
        read = said(config, readout)
        args = params["head"], read, *wanted, negatives, config.dtype, table
        return head.sampled_loss(*args)
    params = layers.cast_kernels(params, config.dtype)
    targets = *wanted, label_smoothing, tied_table(params, config)
    if head.copies:
        looked = Looked(weights, batch.source[..., None, :])
        return head.loss(params["head"], readout, *targets, looked)
    return head.loss(params["head"], said(config, readout), *targets, cut)


def forecast(
    params: Params, config: ModelConfig, batch: Batch
) -> tuple[jax.Array, jax.Array]:
    """What a head for numbers says where the decoder reads its own: no teacher forcing.

    Only the first of `target_in` is read whole; of the others, what is not said.

    Returns:
        Outputs `[B, T, M, W]` and attention weights `[B, T, S]`.
    """
    encoded = encode(params, config, batch.source, batch.source_mask)
    memory, state = start(params, config, encoded)
    return feedback.rollout(params, config, memory, state, batch.target_in)


def token_log_probs(
    params: Params, config: ModelConfig, batch: Batch
) -> tuple[jax.Array, Array]:
    """log p(y_t | y_<t, x) `[B, T]`, 0 on padding, and weights `[B, T, S]`."""
    log_probs, weights = all_log_probs(params, config, batch)
    return log_probs_of(batch, log_probs), weights


def all_log_probs(
    params: Params, config: ModelConfig, batch: Batch
) -> tuple[jax.Array, Array]:
    """log p(. | y_<t, x) `[B, T, V]` of every token, and weights `[B, T, S]`."""
    found, weights = logits_and_weights(params, config, batch)
    return jax.nn.log_softmax(found), weights


def log_probs_of(batch: Batch, log_probs: jax.Array) -> jax.Array:
    """Of `[B, T, V]` those of the target's tokens `[B, T]`, 0 on padding."""
    target = batch.target_out[..., None]
    own = jnp.take_along_axis(log_probs, target, axis=-1)[..., 0]
    return jnp.where(batch.target_mask, own, 0.0)
