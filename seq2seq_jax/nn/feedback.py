"""A decoder that reads what it says itself: in training, and over a horizon."""

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import decoder, hearing, layers
from seq2seq_jax.nn.ends import embed, logits
from seq2seq_jax.nn.heads import HEADS
from seq2seq_jax.nn.hearing import Voice
from seq2seq_jax.nn.recurrence import to_time_major
from seq2seq_jax.nn.stack import Noise
from seq2seq_jax.types import Array, AttentionMemory, DecoderState, Key, Params


def voice_of(params: Params, config: ModelConfig) -> Voice:
    """How the outputs of a model's head become its decoder's inputs."""
    head = HEADS[config.head]
    if head.width is None:
        return hearing.TOKENS
    return hearing.numbers(head.point, params["head"]["parts"][0]["bias"].shape[-1])


def own_inputs(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    gold: Array,
    keys: tuple[Key, ...],
    own: Array,
) -> jax.Array:
    """The decoder's inputs, as `gold`, where it reads its own with probability `own`.

    A pass of its own, before the one that learns: it has the same noise, so what it
    says is what that one would say, and no gradient, as in Bengio et al. 2015. The
    second pass is then teacher forcing as ever, on other inputs.
    """
    params, memory, state = jax.lax.stop_gradient((params, memory, state))
    cast = layers.cast_kernels(params, config.dtype)
    steps = gold if HEADS[config.head].width is None else gold[..., 0]
    shape = steps.shape
    noise = decoder.make_noise(keys[2], config, steps, shape[-1:])
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
        return state, logits(cast, config, readout, weights, memory.items), None

    each = to_time_major((ends, noise.inputs, noise.zones, noise.looks))
    # The first input is the true one, whose values may be missing.
    coins = layers.coins(keys[4], own, shape) & (jnp.arange(shape[-1]) > 0)
    voice = voice_of(params, config)
    return hearing.own_inputs(step, state, gold, coins, each, voice)[0]


def rollout(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    heard: Array,
) -> tuple[jax.Array, jax.Array]:
    """Outputs `[..., T, M, W]` and weights `[..., T, S]` over a horizon, without noise.

    The decoder reads its own numbers from the second step on; `heard [..., T, G]` has
    what it reads first, and what is known of each step.
    """
    cast = layers.cast_kernels(params, config.dtype)

    def step(state: DecoderState, read: jax.Array, here: None) -> tuple:
        embedded = embed(params["target"], config, read)
        state, readout, weights = decoder.step(
            cast["decoder"], config, memory, state, embedded
        )
        outputs = logits(cast, config, readout, weights, memory.items)
        return state, outputs, (outputs, weights)

    steps = jnp.arange(heard.shape[-2])
    own = jnp.broadcast_to(steps > 0, heard.shape[:-1])
    voice = voice_of(params, config)
    _, kept = hearing.own_inputs(step, state, heard, own, voice=voice)
    axis = own.ndim - 1
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, axis), kept)
