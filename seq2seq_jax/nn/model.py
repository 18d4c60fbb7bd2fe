"""The one place where frontend, encoder, attention, decoder and head meet.

`init_params` makes a pytree; everything else is a pure function of it, the config
(which is hashable: pass it as a static argument) and data, with any leading dimensions.
"""

import math

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import decoder, feedback, layers
from seq2seq_jax.nn.encoder import ENCODERS
from seq2seq_jax.nn.frontends import FRONTENDS
from seq2seq_jax.nn.heads import HEADS
from seq2seq_jax.nn.losses import coverage_loss
from seq2seq_jax.nn.pointer import readable
from seq2seq_jax.nn.recurrence import to_time_major
from seq2seq_jax.nn.shards import Shards
from seq2seq_jax.nn.stack import Noise
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

FRONTEND = FRONTENDS["tokens"]
TABLES = ("source", "target")  # embeddings
SHARES = 1 << 25  # numbers of a table that `prepared` makes, at most: 128 MiB


def init_params(
    key: jax.Array, config: ModelConfig, source_vocab_size: int, target_vocab_size: int
) -> Params:
    """All parameters, float32, as nested dicts and lists."""
    inits = layers.initializers(config.init, config.init_scale)
    keys = jax.random.split(key, 5)
    size, readout = config.embedding_size, decoder.readout_size(config)
    tied, reader = is_output_tied(config), ENCODERS[config.encoder]
    head, wider = HEADS[config.head], decoder.readout_width(config) - readout
    beside = (wider,) if head.copies else ()
    table = inits._replace(embedding=inits.tied) if tied else inits
    params = {
        "target": FRONTEND.init(keys[1], target_vocab_size, size, table),
        "encoder": reader.init(keys[2], config, inits),
        "decoder": decoder.init(keys[3], config, inits),
        "head": head.init(keys[4], readout, target_vocab_size, inits, tied, *beside),
    }
    if reader.reads and not is_input_tied(config):
        params["source"] = FRONTEND.init(keys[0], source_vocab_size, size, inits)
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
    side = "target" if is_input_tied(config) else "source"
    embedded = embed(params[side], config, source, cut)
    encoded = reader.encode(layer_params, config, embedded, source_mask, key)
    if not HEADS[config.head].copies:
        return encoded
    return encoded.replace(items=source)  # type: ignore[attr-defined]


def embed(
    params: Params, config: ModelConfig, ids: Array, cut: Shards | None = None
) -> jax.Array:
    """Embeddings of ids, those beyond the vocabulary among them where a head copies."""
    if HEADS[config.head].copies:
        ids = readable(ids, len(params["table"]))
    return FRONTEND.apply(params, ids, cut)


def start(
    params: Params, config: ModelConfig, encoded: EncoderOutput
) -> tuple[AttentionMemory, DecoderState]:
    """What the decoder reads at every step, and its first state."""
    params = layers.cast_kernels(params, config.dtype)
    memory, state = decoder.start(params["decoder"], config, encoded)
    return memory.replace(items=encoded.items), state  # type: ignore[attr-defined]


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
    if HEADS[config.head].copies:
        tokens = readable(tokens, len(params["target"]["table"]))
    embedded = FRONTEND.apply(params["target"], tokens)
    shares = params["target"].get("shares")
    params = layers.cast_kernels(params, config.dtype)
    projected = None if shares is None else shares[tokens]
    state, readout, weights = decoder.step(
        params["decoder"], config, memory, state, embedded, projected=projected
    )
    return state, logits(params, config, readout, weights, memory.items), weights


def prepared(params: Params, config: ModelConfig, limit: int = SHARES) -> Params:
    """Parameters as inference reads them; every function here takes them as well.

    Matrices have the type of their products, so no search casts them again. `step`
    finds each target token's share of the gates: a search would multiply the same
    embeddings by the same matrix again and again, a fifteenth of its products at 8,000
    tokens. There is no such table `[V, G*H]` where it would have more than `limit`
    numbers.
    """
    cast = {name: layers.cast_kernels(params[name], config.dtype) for name in params}
    # Embeddings are read as they are, and may be the output layer's weights too.
    made = cast | {name: params[name] for name in TABLES if name in params}

    def shares(table: Array) -> jax.Array:
        return decoder.shares(cast["decoder"], config, table)

    table = params["target"]["table"]
    if math.prod(jax.eval_shape(shares, table).shape) <= limit:
        made["target"] = params["target"] | {"shares": shares(table)}
    return made


def logits(
    params: Params,
    config: ModelConfig,
    readout: Array,
    weights: Array | None = None,
    items: Array | None = None,
) -> jax.Array:
    """The head's output `[..., V]`; a head that copies has `[..., V + S]`.

    `weights [..., S]` and `items` (the source's ids there) are for that one alone.
    """
    head, table = HEADS[config.head], tied_table(params, config)
    if head.copies:
        looked = Looked(weights, items)  # type: ignore[arg-type]
        return head.apply(params["head"], readout, table, looked)
    return head.apply(params["head"], said(config, readout), table)


def said(config: ModelConfig, readout: Array) -> Array:
    """What of a readout the output layer reads: it may be wider, for a gate."""
    return readout[..., : decoder.readout_size(config)]


def is_input_tied(config: ModelConfig) -> bool:
    """Whether source and target share one table of embeddings."""
    return config.tied_embeddings in ("input", "all")


def is_output_tied(config: ModelConfig) -> bool:
    """Whether the target's embeddings are the output layer's weights."""
    return config.tied_embeddings in ("output", "all")


def tied_table(params: Params, config: ModelConfig) -> Array | None:
    """The target embeddings where they are the output layer's weights, else None."""
    return params["target"]["table"] if is_output_tied(config) else None


def run(
    params: Params,
    config: ModelConfig,
    batch: Batch,
    key: Key = None,
    own: Array | None = None,
    cut: Shards | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Teacher-forced `(readouts [B, T, R], attention weights [B, T, S])`.

    With a key, `own` is the probability that the decoder reads what it has said itself
    in place of the true last token. `cut`: as in `loss`, without `own`.
    """
    keys = layers.split_key(key, 5)
    encoded = encode(params, config, batch.source, batch.source_mask, keys[0], cut)
    memory, state = start(params, config, encoded)
    if own is not None and key is not None:
        read = own_inputs(params, config, memory, state, batch.target_in, keys, own)
        batch = batch.replace(target_in=read)  # type: ignore[attr-defined]
    # Before the cast: a frequent token's gradient would saturate a bfloat16 sum.
    embedded = embed(params["target"], config, batch.target_in, cut)
    params = layers.cast_kernels(params, config.dtype)
    embedded = layers.dropout(keys[1], config.dropout, embedded)
    readout, weights = decoder.unroll(
        params["decoder"], config, memory, state, embedded, keys[2]
    )
    return layers.dropout(keys[3], config.output_dropout, readout), weights


def own_inputs(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    gold: Array,
    keys: tuple[Key, ...],
    own: Array,
) -> jax.Array:
    """The decoder's inputs `[B, T]` where it reads its own with probability `own`.

    A pass of its own, before the one that learns: it has the same noise, so what it
    says is what that one would say, and no gradient, as in Bengio et al. 2015. The
    second pass is then teacher forcing as ever, on other inputs.
    """
    params, memory, state = jax.lax.stop_gradient((params, memory, state))
    cast, shape = layers.cast_kernels(params, config.dtype), gold.shape
    noise = decoder.make_noise(keys[2], config, gold, shape[-1:])
    sizes = (*shape, config.embedding_size), (*shape, decoder.readout_width(config))
    ends = (
        layers.dropout_mask(keys[1], config.dropout, sizes[0]),
        layers.dropout_mask(keys[3], config.output_dropout, sizes[1]),
    )

    def step(state: DecoderState, tokens: jax.Array, here: tuple) -> tuple:
        (first, last), inputs, zones, seeds = here
        embedded = layers.apply_mask(embed(params["target"], config, tokens), first)
        noisy = Noise(inputs, noise.recurrent, zones, seeds)
        state, readout, weights = decoder.step(
            cast["decoder"], config, memory, state, embedded, noisy
        )
        readout = layers.apply_mask(readout, last)
        return state, logits(cast, config, readout, weights, memory.items)

    each = to_time_major((ends, noise.inputs, noise.zones, noise.looks))
    coins = layers.coins(keys[4], own, shape)
    return feedback.own_inputs(step, state, gold, coins, each)


def apply(
    params: Params, config: ModelConfig, batch: Batch, key: Key = None
) -> jax.Array:
    """Teacher-forced logits `[B, T, V]`."""
    return logits_and_weights(params, config, batch, key)[0]


def logits_and_weights(
    params: Params, config: ModelConfig, batch: Batch, key: Key = None
) -> tuple[jax.Array, jax.Array]:
    """Teacher-forced logits `[B, T, V]` and attention weights `[B, T, S]`."""
    readout, weights = run(params, config, batch, key)
    params = layers.cast_kernels(params, config.dtype)
    items = batch.source[..., None, :]
    return logits(params, config, readout, weights, items), weights


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
) -> Sums:
    """Sums over the batch's real target tokens; divide by `weight` for means.

    `negatives [k]`: ids from `candidates.draw`, the target's rivals in a sampled
    softmax; None: the whole vocabulary. `own`: as in `run`. `cut`: how vocabularies are
    cut over devices; embeddings and head of `params` are then this device's, and there
    are neither `negatives` nor `own`. `coverage`: lambda of `coverage_loss`.
    """
    readout, weights = run(params, config, batch, key, own, cut)
    with jax.named_scope("loss"):
        sums = head_loss(
            params, config, batch, label_smoothing, readout, weights, negatives, cut
        )
        if not coverage:
            return sums
        again = coverage * coverage_loss(weights, batch.target_mask)
        return sums.replace(loss=sums.loss + again)  # type: ignore[attr-defined]


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


def token_log_probs(
    params: Params, config: ModelConfig, batch: Batch
) -> tuple[jax.Array, jax.Array]:
    """log p(y_t | y_<t, x) `[B, T]`, 0 on padding, and weights `[B, T, S]`."""
    log_probs, weights = all_log_probs(params, config, batch)
    return log_probs_of(batch, log_probs), weights


def all_log_probs(
    params: Params, config: ModelConfig, batch: Batch
) -> tuple[jax.Array, jax.Array]:
    """log p(. | y_<t, x) `[B, T, V]` of every token, and weights `[B, T, S]`."""
    found, weights = logits_and_weights(params, config, batch)
    return jax.nn.log_softmax(found), weights


def log_probs_of(batch: Batch, log_probs: jax.Array) -> jax.Array:
    """Of `[B, T, V]` those of the target's tokens `[B, T]`, 0 on padding."""
    target = batch.target_out[..., None]
    own = jnp.take_along_axis(log_probs, target, axis=-1)[..., 0]
    return jnp.where(batch.target_mask, own, 0.0)
