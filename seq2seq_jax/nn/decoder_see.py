"""See et al.'s decoder: attends with the new state, and hands its gate all it knows."""

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import attention, layers, sizes
from seq2seq_jax.nn.stack import Noise, feed_share, look, run_layers
from seq2seq_jax.types import Array, AttentionMemory, DecoderState, Params


def refuse(config: ModelConfig) -> str:
    """Its readout is no plain matrix that could be cut in two.

    >>> refuse(ModelConfig())
    ''
    """
    if config.output_rank is None:
        return ""
    return (
        f"has a readout of several parts, but model.output_rank is "
        f"{config.output_rank}: leave it out, or set model.decoder luong"
    )


def init(key: jax.Array, config: ModelConfig, inits: layers.Initializers) -> Params:
    """V `[H + C, H]` and b of eq. 4."""
    size = sizes.decoder_size(config)
    width = size + attention.context_size(config)
    return layers.dense_init(key, width, size, inits.kernel)


def beside(config: ModelConfig) -> int:
    """h*_t, s_t, e(y_{t-1}) and h*_{t-1}, of which x_t is made."""
    both = sizes.decoder_size(config) + config.embedding_size
    return both + 2 * attention.context_size(config)


def advance(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
) -> tuple[DecoderState, tuple]:
    """See et al. 2017, section 2.1, as in the authors' `attention_decoder.py`.

    s_t = LSTM([e(y_{t-1}) ; h*_{t-1}], s_{t-1}), a^t from s_t, h*_t = sum_i a_i^t h_i.
    Theirs has x_t = W_x [e(y_{t-1}) ; h*_{t-1}] + b_x, of the embedding's size, between
    them, a product of two matrices in the place of one here.
    """
    feed = layers.apply_mask(state.context, noise.inputs[0])
    projected = projected + feed_share(params, feed)
    carry, output = run_layers(params, config, state.carry, projected, noise)
    looked, context = look(params, config, memory, output, state.attention, noise.looks)
    return DecoderState(carry, context, looked), (output, context, state.context)


def readout(
    params: Params, config: ModelConfig, features: tuple, embedded: Array
) -> jax.Array:
    """V [s_t ; h*_t] + b of eq. 4, and behind it what the gate of eq. 8 reads.

    P_vocab = softmax(V' (V [s_t ; h*_t] + b) + b'); p_gen = sigmoid(w_h*^T h*_t +
    w_s^T s_t + w_x^T x_t + b_ptr). The authors' gate reads the LSTM's cell too.

    >>> config = ModelConfig(attention="none", embedding_size=1)
    >>> params = {"kernel": jnp.ones((1, 1)), "bias": jnp.ones(1)}
    >>> nothing = jnp.zeros(0)
    >>> features = jnp.array([2.0]), nothing, nothing
    >>> readout(params, config, features, jnp.array([5.0])).tolist()
    [3.0, 2.0, 5.0]
    """
    output, context, before = features
    said = layers.dense(params, jnp.concatenate([output, context], axis=-1))
    known = output, context, before, embedded
    return jnp.concatenate([said, *known], axis=-1)
