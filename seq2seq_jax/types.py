"""The records that flow between rooms, and the letters their shapes are told in.

B batch, S source length, T target length, K beams, V vocabulary, E embedding, H hidden,
C annotation, A attention size, F features; `[..., S, C]` means any leading dimensions.
Masks are true where the sequence is real.
"""

from typing import Any

import jax
import numpy as np
from flax import struct

PAD, BOS, EOS, UNK = 0, 1, 2, 3  # the special tokens' ids, in every vocabulary

Array = jax.Array | np.ndarray
Params = Any  # a pytree of arrays
Carry = Any  # what a recurrent cell hands to its next step: a pytree of [..., H]
Key = (
    jax.Array | None
)  # a typed PRNG key, one per row ([B]) or one for all; None: no noise


@struct.dataclass
class Batch:
    """One padded batch of pairs, padded on the right.

    Attributes:
        source: `[B, S]` token ids, or `[B, S, F]` features.
        source_mask: `[B, S]` bool.
        target_in: `[B, T]` ids that the decoder reads: BOS, then the target.
        target_out: `[B, T]` ids that it must say: the target, then EOS.
        target_mask: `[B, T]` bool; false everywhere in a row that fills up the batch.
    """

    source: Array
    source_mask: Array
    target_in: Array
    target_out: Array
    target_mask: Array


@struct.dataclass
class EncoderOutput:
    """What the encoder hands to `decoder.start`.

    Attributes:
        annotations: `[..., S, C]`, zero on padding; S may be another than the source's.
        carry: a tuple over layers of a tuple over directions of the cell's last carry.
        mask: `[..., S]` bool.
        items: `[..., S]` the ids that were read, for a head that copies them; None:
            nothing asks for them.
        parts: `[..., S]` which of several sources each is of; None: there is one.
    """

    annotations: Array
    carry: Any
    mask: Array
    items: Array | None = None
    parts: Array | None = None


@struct.dataclass
class AttentionMemory:
    """What attention reads at every step; constant over time, projected once.

    Attributes:
        values: `[..., S, C]` annotations, of which contexts are weighted sums.
        keys: `[..., S, A]` what the score compares a query with.
        mask: `[..., S]` bool.
        items, parts: as the encoder's output has them.
        ready: whether values are not annotations but what the decoder's matrices make
            of them, see `Decoder.readied`.
    """

    values: Array
    keys: Array
    mask: Array
    items: Array | None = None
    parts: Array | None = None
    ready: bool = struct.field(pytree_node=False, default=False)


@struct.dataclass
class AttentionState:
    """What attention remembers from step to step.

    Attributes:
        weights: `[..., S]` the last step's weights: where the decoder looked; the mean
            over heads where there are several.
        coverage: `[..., S]` the sum of all weights so far.
        time: `[...]` float, steps made.
        heads: `(weights, coverage)` of each head, `[..., N, S]`; None for one head.
        drawn: `[..., 2]` of the last step: the log-probability of what was drawn (0
            where nothing was) and the entropy of what it was drawn from, summed over
            heads; None: an alignment that never draws.
    """

    weights: Array
    coverage: Array
    time: Array
    heads: Any = None
    drawn: Array | None = None


@struct.dataclass
class Looked:
    """Where a decoder looked, for a head that copies what is there.

    Attributes:
        weights: `[..., S]` attention weights of each step.
        items: `[..., S]` the source's ids there; any dimension may be 1.
    """

    weights: Array
    items: Array


@struct.dataclass
class DecoderState:
    """The decoder's carry.

    Attributes:
        carry: a tuple over layers of the cells' carries.
        context: `[..., C]` the last context, or `[..., H]` the last attentional vector
            (luong) or the summary of the source (cho).
        attention: an `AttentionState`.
    """

    carry: Any
    context: Array
    attention: AttentionState


@struct.dataclass
class Sums:
    """Sums over target tokens, never means: they add over devices and batches.

    Attributes:
        loss: what is minimised (label smoothing included), in nats.
        nll: negative log-likelihood of the targets, in nats.
        correct: tokens whose most probable prediction was right.
        weight: number of real target tokens.
    """

    loss: Array
    nll: Array
    correct: Array
    weight: Array


@struct.dataclass
class TrainState:
    """All that a training step changes; data only, no functions.

    Attributes:
        step: number of updates made, int32.
        params: the model's parameters.
        opt_state: the optimiser's state.
        key: the typed PRNG key from which step `n` draws `fold_in(key, n)`.
        average: a moving average of the parameters (`training.ema`); None: there is
            none, and nothing in its place.
        baseline: a moving average of a token's log-probability, where attention is
            drawn; None: it is not.
    """

    step: Array
    params: Params
    opt_state: Any
    key: Array
    average: Any = None
    baseline: Array | None = None

    @property
    def weights(self) -> Params:
        """What is evaluated and used: the average where there is one."""
        return self.params if self.average is None else self.average


@struct.dataclass
class Hypotheses:
    """What a search found, best first; samples in the order drawn.

    Attributes:
        tokens: `[B, K, T]` ids without BOS; EOS and what follows it is padding (0).
        scores: `[B, K]` the scores by which they are ordered.
        log_probs: `[B, K]` sums of the tokens' log-probabilities, EOS included.
        lengths: `[B, K]` number of tokens, EOS included.
        alignments: `[B, K, T, S]` attention weights of each step; None: not kept.
        token_log_probs: `[B, K, T]` what `log_probs` are sums of; None: not kept.
    """

    tokens: Array
    scores: Array
    log_probs: Array
    lengths: Array
    alignments: Array | None
    token_log_probs: Array | None = None
