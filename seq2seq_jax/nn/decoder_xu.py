"""Show, Attend and Tell's decoder: attends with the old state, through a gate."""

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import attention, layers, sizes
from seq2seq_jax.nn.stack import Noise, feed_share, look, run_layers
from seq2seq_jax.types import Array, AttentionMemory, DecoderState, Params


def readout_size(config: ModelConfig) -> int:
    """That of an embedding, which is a term of it."""
    return config.embedding_size


def init(key: jax.Array, config: ModelConfig, inits: layers.Initializers) -> Params:
    """The gate `[H, 1]`, and L_h `[H, E]` and L_z `[C, E]` of the readout."""
    gate_key, output_key, context_key = jax.random.split(key, 3)
    size, width = sizes.decoder_size(config), config.embedding_size
    return {
        "gate": layers.dense_init(gate_key, size, 1, inits.kernel),
        "output": layers.dense_init(output_key, size, width, inits.kernel),
        "context": inits.kernel(context_key, (attention.context_size(config), width)),
    }


def advance(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
) -> tuple[DecoderState, tuple[jax.Array, jax.Array]]:
    """Xu et al. 2015, section 3.1.2: h_{t-1} -> a_t -> z_t -> h_t.

    e_ti = f_att(a_i, h_{t-1}) (eq. 4), alpha_t = softmax(e_t) (eq. 5), z_t = beta_t
    sum_i alpha_ti a_i with the gate beta_t = sigmoid(f_beta(h_{t-1})) of section 4.2.1,
    h_t = LSTM([E y_{t-1} ; z_t], h_{t-1}) (eq. 1 and 3). Features: (h_t, z_t).
    """
    query, seeds = state.carry[-1][-1], noise.looks
    looked, seen = look(params, config, memory, query, state.attention, seeds)
    context = jax.nn.sigmoid(layers.dense(params["own"]["gate"], query)) * seen
    feed = layers.apply_mask(context, noise.inputs[0])
    projected = projected + feed_share(params, feed)
    carry, output = run_layers(params, config, state.carry, projected, noise)
    return DecoderState(carry, context, looked), (output, context)


def readout(
    params: Params, config: ModelConfig, features: tuple, embedded: Array
) -> jax.Array:
    """tanh(E y_{t-1} + L_h h_t + L_z z_t + b), which L_o multiplies: eq. 7.

    The tanh is that of the authors' code, `capgen.py`; the equation has none.

    >>> own = {"output": {"kernel": jnp.ones((1, 1)), "bias": jnp.zeros(1)}}
    >>> own["context"] = jnp.ones((1, 1))
    >>> features = jnp.array([1.0]), jnp.array([-2.0])
    >>> readout(own, ModelConfig(), features, jnp.array([1.0])).tolist()
    [0.0]
    """
    output, context = features
    said = layers.dense(params["output"], output)
    return jnp.tanh(embedded + said + layers.matmul(context, params["context"]))
