"""Decoders by name: when they attend, what their layers read, what predicts.

An entry of `DECODERS` cuts a step in two, so that only what depends on the step before
runs inside the scan: `advance` (the recurrence), `readout` (from all steps' features at
once). `nn.decoder` puts the parts together; the entries' functions stand in
`nn.decoder_plain`, `decoder_luong`, `decoder_bahdanau`, `decoder_see` and so on.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import (
    attention,
    decoder_bahdanau,
    decoder_cho,
    decoder_gnmt,
    decoder_luong,
    decoder_plain,
    decoder_see,
    decoder_xu,
    layers,
    maxout,
    sizes,
)
from seq2seq_jax.nn.stack import Looked, looked_before, looks_now, scan_steps
from seq2seq_jax.types import (
    AttentionMemory,
    Carry,
    DecoderState,
    EncoderOutput,
    Params,
)


class Decoder(NamedTuple):
    """One kind of decoder.

    Attributes:
        init: `(key, config, initializers) -> params` of what stands beside the layers.
        feeds: `(config) -> sizes`, over layers, of what comes beside the embedding (the
            bottom layer's feed) or beside the output of the layer below; 0: nothing.
        readout_size: `(config) -> R`.
        start: `(params, config, encoded, carry) -> (carry, context)`, the first ones,
            from the bridge's carry.
        advance: `(params, config, memory, state, projected, noise) -> (state,
            features)`.
        readout: `(params, config, features, embedded) -> [..., R]`.
        unroll: `(params, config, memory, state, projected, noise) -> (features, seen)`
            of all steps; `partial(scan_steps, advance)` serves any entry.
        memory: `(own params, config, memory) -> memory` that it attends to.
        readied: `(params, config, memory, state) -> (memory, state)` by whose contexts
            `advance` finds the same with fewer products, where many hypotheses read one
            memory, and without noise; None: there is no such way.
        looked: `(state before, state after) -> stack.seen` of the look whose context a
            step's output read.
        refuse: `(config) -> reason` why it cannot serve a config and a way out, or "".
        reads: whether its start reads the encoder's last state, whatever the bridge.
        settings: fields of the config that it reads and some other entries do not.
        beside: `(config) -> numbers` behind the R of its readout, for a head's gate.

    `params` is the whole decoder's, with the bottom layer's input matrix parted by
    `stack.part_feed`; `readout` and `memory` get what `init` made.
    """

    init: Callable[..., Params]
    feeds: Callable[[ModelConfig], tuple[int, ...]]
    readout_size: Callable[[ModelConfig], int]
    start: Callable[..., tuple[Carry, jax.Array]]
    advance: Callable[..., tuple[DecoderState, Any]]
    readout: Callable[..., jax.Array]
    unroll: Callable[..., tuple[Any, tuple]]
    memory: Callable[..., AttentionMemory] = lambda params, config, memory: memory
    readied: Callable[..., tuple[AttentionMemory, DecoderState]] | None = None
    looked: Looked = looks_now
    refuse: Callable[[ModelConfig], str] = lambda config: ""
    reads: bool = False
    settings: tuple[str, ...] = ()
    beside: Callable[[ModelConfig], int] = lambda config: 0


def only_bottom(size: Callable[[ModelConfig], int]) -> Callable[..., tuple[int, ...]]:
    """`feeds` of a decoder that brings something to its bottom layer alone."""
    return lambda config: (size(config), *[0] * (config.decoder_layers - 1))


def zero_context(size: Callable[[ModelConfig], int]) -> Callable[..., tuple]:
    """`start` with the bridge's carry and a context of zeros."""

    def start(
        params: Params, config: ModelConfig, encoded: EncoderOutput, carry: Carry
    ) -> tuple[Carry, jax.Array]:
        top = carry[-1][-1]
        return carry, jnp.zeros_like(top, shape=(*top.shape[:-1], size(config)))

    return start


def no_init(key: jax.Array, config: ModelConfig, inits: layers.Initializers) -> Params:
    """No parameters beside the layers."""
    return {}


def luong(vector: decoder_luong.Vector) -> Decoder:
    """An entry that differs in its attentional vector."""
    return Decoder(
        init=decoder_luong.init,
        feeds=only_bottom(decoder_luong.feed_size),
        readout_size=sizes.decoder_size,
        start=zero_context(sizes.decoder_size),
        advance=partial(decoder_luong.advance, vector),
        readout=decoder_luong.readout,
        unroll=partial(decoder_luong.unroll, vector),
        memory=decoder_luong.memory,
        settings=("input_feeding",),
    )


def bahdanau(advance: Callable[..., tuple[DecoderState, Any]]) -> Decoder:
    """An entry that differs in what its `advance` hands to the maxout readout."""
    return Decoder(
        init=maxout.init,
        feeds=only_bottom(attention.context_size),
        readout_size=maxout.size,
        start=zero_context(attention.context_size),
        advance=advance,
        readout=maxout.readout,
        unroll=partial(scan_steps, advance),
        readied=decoder_bahdanau.readied,
        settings=("readout_size",),
    )


def gnmt(ground: decoder_gnmt.Ground, looked: Looked = looks_now) -> Decoder:
    """An entry that differs in when the bottom layer looks and who reads it when."""
    return Decoder(
        init=no_init,
        feeds=decoder_gnmt.feeds,
        readout_size=sizes.decoder_size,
        start=zero_context(attention.context_size),
        advance=partial(decoder_gnmt.advance, ground),
        readout=decoder_gnmt.readout,
        unroll=partial(decoder_gnmt.unroll, ground, looked=looked),
        looked=looked,
        refuse=decoder_gnmt.refuse,
    )


DECODERS = {
    "plain": Decoder(
        init=no_init,
        feeds=only_bottom(lambda config: 0),
        readout_size=sizes.decoder_size,
        start=zero_context(attention.context_size),
        advance=decoder_plain.advance,
        readout=decoder_plain.readout,
        unroll=decoder_plain.unroll,
        refuse=decoder_plain.refuse,
    ),
    "luong": luong(decoder_luong.attentional),
    "luong_linear": luong(decoder_luong.linear),
    "luong_fed": luong(decoder_luong.linear)._replace(
        advance=decoder_luong.fed_advance,
        unroll=partial(scan_steps, decoder_luong.fed_advance, looked=looked_before),
        looked=looked_before,
        refuse=decoder_luong.fed_refuse,
    ),
    "bahdanau": bahdanau(decoder_bahdanau.advance),
    "bahdanau_appendix": bahdanau(decoder_bahdanau.appendix_advance),
    "bahdanau_groundhog": bahdanau(decoder_bahdanau.groundhog_advance)._replace(
        readout=decoder_bahdanau.groundhog_readout
    ),
    "see": Decoder(
        init=decoder_see.init,
        feeds=only_bottom(attention.context_size),
        readout_size=sizes.decoder_size,
        start=zero_context(attention.context_size),
        advance=decoder_see.advance,
        readout=decoder_see.readout,
        unroll=partial(scan_steps, decoder_see.advance),
        refuse=decoder_see.refuse,
        beside=decoder_see.beside,
    ),
    "xu": Decoder(
        init=decoder_xu.init,
        feeds=only_bottom(attention.context_size),
        readout_size=decoder_xu.readout_size,
        start=zero_context(attention.context_size),
        advance=decoder_xu.advance,
        readout=decoder_xu.readout,
        unroll=partial(scan_steps, decoder_xu.advance),
    ),
    "cho": Decoder(
        init=decoder_cho.init,
        feeds=only_bottom(sizes.decoder_size),
        readout_size=maxout.size,
        start=decoder_cho.start,
        advance=decoder_cho.advance,
        readout=decoder_cho.readout,
        unroll=decoder_cho.unroll,
        refuse=decoder_cho.refuse,
        reads=True,
        settings=("readout_size",),
    ),
    "gnmt": gnmt(decoder_gnmt.previous, looked_before),
    "gnmt_v2": gnmt(decoder_gnmt.current),
    "gnmt_paper": gnmt(decoder_gnmt.before),
    "rnmt": gnmt(decoder_gnmt.current)._replace(
        readout_size=decoder_gnmt.rnmt_readout_size,
        readout=decoder_gnmt.rnmt_readout,
    ),
}
