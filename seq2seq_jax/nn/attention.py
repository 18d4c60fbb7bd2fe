"""Attention: energies by a score, weights by an alignment, contexts as weighted sums.

`config.attention` names the score and `config.alignment` the way from energies to
weights; any score goes with any alignment and with any number of heads.
"""

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import layers, sizes
from seq2seq_jax.nn.alignments import ALIGNMENTS
from seq2seq_jax.nn.memory import masked_shares, masked_softmax, weighted_sum
from seq2seq_jax.nn.scores import SCORES
from seq2seq_jax.types import (
    Array,
    AttentionMemory,
    AttentionState,
    EncoderOutput,
    Key,
    Params,
)


def context_size(config: ModelConfig) -> int:
    """C of the contexts: 0 where there is nothing to look at."""
    return 0 if SCORES[config.attention].empty else sizes.annotation_size(config)


def init(
    key: jax.Array,
    config: ModelConfig,
    query_size: int,
    value_size: int,
    inits: layers.Initializers,
) -> Params:
    """Parameters of score and alignment; for N heads N of them, and projections.

    Head n sees W_q^n q `[H / N]` and W_v^n h_s `[C / N]`, which are its keys (through
    the score's own matrix, where it has one) and its values. So are the heads of RNMT+
    (Chen et al. 2018, section 4.1) in the authors' code, lingvo, by the additive score;
    there all heads share that score's parameters, and both projections have biases. In
    Vaswani et al. 2017, section 3.2.2, keys have a projection W_k of their own, and W_o
    multiplies all contexts; what reads a context here has a matrix of its own for it.
    """
    heads = config.attention_heads
    if heads == 1:
        return one_head_init(key, config, query_size, value_size, inits)
    head_key, query_key, value_key = jax.random.split(key, 3)
    made = [
        one_head_init(k, config, query_size // heads, value_size // heads, inits)
        for k in jax.random.split(head_key, heads)
    ]
    return {
        "heads": jax.tree.map(together, *made),
        "query": inits.attention(query_key, (query_size, query_size)),
        "values": inits.kernel(value_key, (value_size, value_size)),
    }


def one_head_init(
    key: jax.Array,
    config: ModelConfig,
    query_size: int,
    value_size: int,
    inits: layers.Initializers,
) -> Params:
    """Parameters of the score and of the alignment."""
    score_key, alignment_key = jax.random.split(key)
    score, alignment = SCORES[config.attention], ALIGNMENTS[config.alignment]
    made = {
        "score": score.init(score_key, config, query_size, value_size, inits),
        "alignment": alignment.init(alignment_key, config, query_size, inits),
    }
    if config.combination != "hierarchical":
        return made
    keys = jax.random.split(jax.random.fold_in(key, 1), 3)
    own = [
        inits.attention(k, (value_size, query_size))
        for k in jax.random.split(keys[1], config.sources)
    ]
    return made | {
        "combination": {
            "query": inits.attention(keys[0], (query_size, query_size)),
            "contexts": own,
            "score": inits.attention(keys[2], (query_size, 1))[:, 0],
        }
    }


def together(*heads: jax.Array) -> jax.Array:
    """Matrices of all heads as `[N, D, A]`, vectors one after the other as `[N * A]`.

    A vector stays one: what tells matrices (to cast them, to decay them) goes by the
    number of their dimensions.

    >>> together(jnp.zeros(3), jnp.ones(3)).shape, together(*[jnp.eye(3)] * 2).shape
    ((6,), (2, 3, 3))
    """
    stacked = jnp.stack(heads)
    return stacked if stacked.ndim > 2 else stacked.reshape(-1)


def by_head(params: Params, config: ModelConfig) -> Params:
    """The heads' parameters, each with an axis of heads first."""
    heads, inits = config.attention_heads, layers.initializers()
    query, value = (params[x].shape[-1] // heads for x in ("query", "values"))
    own = jax.eval_shape(
        lambda: one_head_init(jax.random.key(0), config, query, value, inits)
    )
    return jax.tree.map(
        lambda leaf, one: leaf.reshape(heads, *one.shape), params["heads"], own
    )


def memory(
    params: Params, config: ModelConfig, encoded: EncoderOutput
) -> AttentionMemory:
    """What attention reads at every step: keys and values, projected once.

    With N heads values are `[..., N, S, C / N]`, keys likewise.
    """
    score = SCORES[config.attention]
    if config.attention_heads == 1:
        found = score.memory(params["score"], encoded)
        return found.replace(parts=encoded.parts)  # type: ignore[attr-defined]
    projected = layers.matmul(encoded.annotations, params["values"])
    parted = split_heads(projected, config.attention_heads, -3)

    def one(p: Params, values: jax.Array) -> tuple[Array, Array]:
        made = score.memory(p["score"], encoded.replace(annotations=values))  # type: ignore[attr-defined]
        return made.values, made.keys

    values, keys = jax.vmap(one, (0, -3), -3)(by_head(params, config), parted)
    return AttentionMemory(values, keys, encoded.mask, parts=encoded.parts)


def split_heads(x: jax.Array, heads: int, axis: int) -> jax.Array:
    """`[..., D] -> [..., N, ..., D / N]`, the heads' axis put at `axis` of the result.

    >>> split_heads(jnp.zeros((2, 5, 6)), 3, -3).shape
    (2, 3, 5, 2)
    """
    parted = x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads)
    return jnp.moveaxis(parted, -2, axis)


def initial_state(
    config: ModelConfig, memory: AttentionMemory, query: Array
) -> AttentionState:
    """Nothing looked at yet, for queries shaped as `query [..., H]`."""
    rows, source = query.shape[:-1], memory.mask.shape[-1]
    nothing = jnp.zeros_like(query, shape=(*rows, source))
    state = AttentionState(nothing, nothing, jnp.zeros_like(query, shape=rows))
    if ALIGNMENTS[config.alignment].draw is not None:
        none = jnp.zeros_like(query, shape=(*rows, 2))
        state = state.replace(drawn=none)  # type: ignore[attr-defined]
    if config.attention_heads == 1:
        return state
    heads = config.attention_heads
    nothing = jnp.zeros_like(query, shape=(*rows, heads, source))
    return state.replace(heads=(nothing, nothing))  # type: ignore[attr-defined]


def shared(config: ModelConfig, memory: AttentionMemory) -> AttentionMemory:
    """The memory of a row as many queries `[..., Q, H]` read it: with an axis of 1."""
    axis = -3 if config.attention_heads == 1 else -4
    return AttentionMemory(
        jnp.expand_dims(memory.values, axis),
        jnp.expand_dims(memory.keys, axis),
        memory.mask[..., None, :],
        parts=None if memory.parts is None else memory.parts[..., None, :],
    )


def is_recurrent(config: ModelConfig) -> bool:
    """Whether a step's weights depend on those of the steps before it."""
    score, alignment = SCORES[config.attention], ALIGNMENTS[config.alignment]
    return score.recurrent or alignment.recurrent


def make_noise(
    key: Key, config: ModelConfig, shape: tuple[int, ...]
) -> jax.Array | None:
    """Seeds `[*shape, 2 N]` of what each of N heads draws at a step, or None.

    A step's masks come of its own seeds, place by place, so they depend on padding
    behind a source as little as on that behind a target. Where places are drawn, one
    more number is the row's own, the same at all steps.
    """
    alignment = ALIGNMENTS[config.alignment]
    noisy = config.attention_dropout or alignment.noisy or alignment.draw
    if key is None or not noisy or not context_size(config):
        return None
    bits = layers.random_bits(key, (*shape, 2 * config.attention_heads))
    if alignment.draw is None:
        return bits
    row = layers.mix(layers.seeds(key))  # a key of its own, for other numbers
    rows = row.shape[:-1]
    own = layers.random_bits(row, (*rows, 1))
    own = own.reshape(*rows, *[1] * (len(shape) - len(rows)), 1)
    return jnp.concatenate([bits, jnp.broadcast_to(own, (*shape, 1))], axis=-1)


def seeds_by_head(seeds: Key, heads: int) -> jax.Array | None:
    """`[..., 2 N]`, and what is the row's, as `[..., N, 2]` and the same again."""
    if seeds is None:
        return None
    pairs = split_heads(seeds[..., : 2 * heads], heads, -2)
    rest = seeds[..., None, 2 * heads :]
    rest = jnp.broadcast_to(rest, (*pairs.shape[:-1], rest.shape[-1]))
    return jnp.concatenate([pairs, rest], axis=-1)


def attend(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    query: Array,
    state: AttentionState,
    seeds: Key = None,
) -> tuple[AttentionState, jax.Array]:
    """Weights a and context c = sum_s a_s values_s (Bahdanau 2014, eq. 5).

    Args:
        params: of `init`.
        config: names score and alignment.
        memory: values `[..., S, C]`, keys `[..., S, A]`, mask `[..., S]`.
        query: `[..., H]`.
        state: the attention state of the step before.
        seeds: a step's of `make_noise`, `[..., 2 N]`; None: no noise.

    Returns:
        The new state, whose weights are 0 on padding (all of them in a row without any
        real position), and the context `[..., C]`.
    """
    if config.attention_heads == 1:
        return one_head(params, config, memory, query, state, seeds)
    heads = config.attention_heads
    projected = layers.matmul(query, params["query"])
    queries = split_heads(projected, heads, -2)

    def look(p, values, keys, query, before, seeds):
        mine = AttentionMemory(values, keys, memory.mask, parts=memory.parts)
        before = AttentionState(before[0], before[1], state.time, drawn=state.drawn)
        after, context = one_head(p, config, mine, query, before, seeds)
        return after.weights, after.coverage, after.drawn, context

    # The heads' axis stands third from last in a memory, second in query and state.
    weights, coverage, drawn, contexts = jax.vmap(look, (0, -3, -3, -2, -2, -2), -2)(
        by_head(params, config),
        memory.values,
        memory.keys,
        queries,
        state.heads,
        seeds_by_head(seeds, heads),
    )
    return AttentionState(
        weights=weights.mean(-2),
        coverage=coverage.mean(-2),
        time=state.time + 1.0,
        heads=(weights, coverage),
        drawn=None if drawn is None else drawn.sum(-2),
    ), contexts.reshape(*contexts.shape[:-2], -1)


def one_head(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    query: Array,
    state: AttentionState,
    seeds: Key = None,
) -> tuple[AttentionState, jax.Array]:
    """`attend` for a single head.

    Dropout (Chen et al. 2018, section 4.1, as in Vaswani et al. 2017) falls on what the
    context is made of; what a state remembers are the weights without it.
    """
    drop, draw = layers.split_key(None if seeds is None else seeds[..., :2], 2)
    row = None if seeds is None else seeds[..., 2:]
    weights, drawn = aligned(params, config, memory, query, state, draw, row)
    kept = layers.dropout_mask(drop, config.attention_dropout, weights.shape)
    return (
        AttentionState(
            weights, state.coverage + weights, state.time + 1.0, drawn=drawn
        ),
        weighted_sum(layers.apply_mask(weights, kept), memory.values),
    )


def aligned(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    query: Array,
    state: AttentionState,
    draw: Key,
    row: Array | None,
) -> tuple[jax.Array, Array | None]:
    """One head's weights `[..., S]`, and a state's `drawn`.

    What is drawn in training comes of `draw`, and of what is the row's `[..., 1]`.
    """
    score, alignment = SCORES[config.attention], ALIGNMENTS[config.alignment]
    energies = score.energies(params["score"], query, memory, state)
    if score.shares:
        return masked_shares(energies, memory.mask), state.drawn
    given = params["alignment"], config, energies, query, memory.mask, state
    if row is not None and alignment.draw is not None:
        return alignment.draw(draw, row[..., 0], *given)
    if draw is not None and alignment.noisy is not None:
        found = jnp.asarray(alignment.noisy(draw, *given))
    elif config.combination == "hierarchical":
        found = hierarchical(params["combination"], energies, query, memory)
    else:
        found = alignment.weights(*given)
    return found, state.drawn


def hierarchical(
    params: Params, energies: jax.Array, query: Array, memory: AttentionMemory
) -> jax.Array:
    """Weights `[..., S]` over each source, times those over the sources' contexts.

    Libovický & Helcl 2017, eq. 8 to 10: of source k, c^k = sum_s a_s^k h_s with a
    softmax over its own positions, e^k = v^T tanh(W q + U^k c^k), b = softmax(e) over
    the sources that have any token, and the context is sum_k b_k c^k. Theirs projects
    each c^k once more; here what reads the context does.
    """
    shares, contexts, there = [], [], []
    for number in range(len(params["contexts"])):
        own = memory.mask & (memory.parts == number)
        weights = masked_softmax(energies, own)
        shares.append(weights)
        contexts.append(weighted_sum(weights, memory.values))
        there.append(jnp.any(own, axis=-1))
    asked = layers.matmul(query, params["query"])
    scored = [
        jnp.tanh(asked + layers.matmul(context, kernel)) @ params["score"]
        for context, kernel in zip(contexts, params["contexts"], strict=True)
    ]
    energy = jnp.stack(scored, axis=-1)
    real = jnp.broadcast_to(jnp.stack(there, axis=-1), energy.shape)
    over = masked_softmax(energy, real)
    parted = jnp.stack(shares, axis=-2)
    return jnp.sum(over[..., None] * parted, axis=-2)
