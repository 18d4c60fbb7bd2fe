"""Cho's decoder: one vector c of the whole source, in every step and every gate.

Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder", appendix.
The paper's equations leave out biases; here V, V' and the readout have one, and the
gates those of the cell.
"""

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import bridges, layers, maxout, sizes
from seq2seq_jax.nn.cells import CELLS, run_cell, zoned_step
from seq2seq_jax.nn.encoder import ENCODERS
from seq2seq_jax.nn.recurrence import scan_of
from seq2seq_jax.nn.stack import Noise, feed_share, look, look_all
from seq2seq_jax.types import (
    Array,
    AttentionMemory,
    Carry,
    DecoderState,
    EncoderOutput,
    Params,
)

NEEDS = {
    "cell": "gru_reset_before",
    "decoder_layers": 1,
    "bridge": "zero",
    "attention": "none",
}


def refuse(config: ModelConfig) -> str:
    """It has one way to start, one cell and one layer, and looks nowhere else.

    >>> config = ModelConfig(cell="gru_reset_before", attention="none")
    >>> refuse(config).partition("but ")[2]
    "model.bridge is 'dense': set model.bridge zero"
    """
    if not ENCODERS[config.encoder].reads:
        return (
            f"reads the encoder's last state at every step, but model.encoder is "
            f"{config.encoder!r}: set model.decoder plain"
        )
    wrong = {
        name: want for name, want in NEEDS.items() if getattr(config, name) != want
    }
    if not wrong:
        return ""
    came = ", ".join(f"model.{name} is {getattr(config, name)!r}" for name in wrong)
    wanted = ", ".join(f"model.{name} {want}" for name, want in wrong.items())
    return (
        "is one GRU layer that starts from the encoder's last state, reads it at every "
        f"step and looks nowhere else, but {came}: set {wanted}"
    )


def init(key: jax.Array, config: ModelConfig, inits: layers.Initializers) -> Params:
    """V and V', and O_h above O_y with O_c beside them: c's share is made apart."""
    size, wide = sizes.decoder_size(config), 2 * maxout.size(config)
    keys = jax.random.split(key, 4)
    end = bridges.end_sizes(config)[-1]
    return {
        "summary": layers.dense_init(keys[0], end, size, inits.kernel),
        "first": layers.dense_init(keys[1], size, size, inits.kernel),
        "readout": layers.dense_init(
            keys[2], size + config.embedding_size, wide, inits.kernel
        ),
        "context": inits.kernel(keys[3], (size, wide)),
    }


def start(
    params: Params, config: ModelConfig, encoded: EncoderOutput, carry: Carry
) -> tuple[Carry, jax.Array]:
    """c = tanh(V h_T);  h'_0 = tanh(V' c), from the top encoder layer's last state.

    >>> eye = {"kernel": jnp.eye(1)}
    >>> params = {"own": {"summary": eye, "first": eye}}
    >>> encoded = EncoderOutput(jnp.ones((1, 1)), (((jnp.ones(1),),),), jnp.ones(1))
    >>> ((h,),), c = start(params, ModelConfig(), encoded, None)
    >>> print(f"{c[0]:.4f} {h[0]:.4f}")
    0.7616 0.6420
    """
    last = bridges.ends(config, encoded)[-1][-1]
    context = jnp.tanh(layers.dense(params["own"]["summary"], last))
    first = jnp.tanh(layers.dense(params["own"]["first"], context))
    return ((first,),), context


def together(projected: jax.Array, share: jax.Array) -> jax.Array:
    """The step's input `[..., 4 H]`: W' e + C c for both gates, then W' e, then C c."""
    size = share.shape[-1] // 3
    gates = projected[..., : 2 * size] + share[..., : 2 * size]
    embedded = projected[..., 2 * size :]
    summary = jnp.broadcast_to(share[..., 2 * size :], embedded.shape)
    return jnp.concatenate([gates, embedded, summary], axis=-1)


def step(
    params: Params, carry: Carry, projected: Array, drop: Array | None = None
) -> tuple[Carry, jax.Array]:
    """Cho 2014, appendix: the reset comes after U' h' and falls on C c too.

    r' = sigma(W'_r e + U'_r h' + C_r c);  z' = sigma(W'_z e + U'_z h' + C_z c);
    h~' = tanh(W' e + r' * (U' h' + C c));  h'_t = z' * h'_{t-1} + (1 - z') * h~',
    e = e(y_{t-1}). (The paper's encoder resets before the product: its cell.)

    >>> params = {"recurrent": jnp.zeros((1, 3))}
    >>> gates = jnp.array([0.0, -50.0, 1.0, 2.0])  # r = 1/2, z = 0, W' e = 1, C c = 2
    >>> print(f"{step(params, (jnp.zeros(1),), gates)[1][0]:.4f}")
    0.9640
    """
    (h,) = carry
    product = layers.matmul(layers.apply_mask(h, drop), params["recurrent"])
    x_r, x_z, x_n, c_n = jnp.split(projected, 4, axis=-1)
    h_r, h_z, h_n = jnp.split(product, 3, axis=-1)
    r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
    h = z * h + (1.0 - z) * jnp.tanh(x_n + r * (h_n + c_n))
    return (h,), h


# The parameters are those of the cell that `refuse` asks for, with its feed.
CELL = CELLS["gru_reset_before"]._replace(step=step, whole=None)


def advance(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
) -> tuple[DecoderState, tuple[jax.Array, jax.Array]]:
    """h'_t = f(h'_{t-1}, y_{t-1}, c) (section 2.2); features: (h'_t, O_c c)."""
    share = feed_share(params, layers.apply_mask(state.context, noise.inputs[0]))
    carry, output = zoned_step(
        CELL,
        params["layers"][0],
        state.carry[0],
        together(projected, share),
        noise.recurrent[0],
        noise.zones[0],
        config.zoneout,
    )
    looked, _ = look(params, config, memory, output, state.attention)
    shared = layers.matmul(state.context, params["own"]["context"])
    return DecoderState((carry,), state.context, looked), (output, shared)


def unroll(
    params: Params,
    config: ModelConfig,
    memory: AttentionMemory,
    state: DecoderState,
    projected: jax.Array,
    noise: Noise,
) -> tuple[tuple[jax.Array, jax.Array], tuple]:
    """c does not change: its shares are one product, outside the scan."""
    context = state.context[..., None, :]
    share = feed_share(params, layers.apply_mask(context, noise.inputs[0]))
    _, output = run_cell(
        CELL,
        params["layers"][0],
        state.carry[0],
        together(projected, share),
        drop=noise.recurrent[0],
        zones=noise.zones[0],
        zoneout=config.zoneout,
        scan=scan_of(config),
    )
    seen, _ = look_all(params, config, memory, output)
    shared = layers.matmul(context, params["own"]["context"])
    shared = jnp.broadcast_to(shared, (*output.shape[:-1], shared.shape[-1]))
    return (output, shared), seen


def readout(
    params: Params,
    config: ModelConfig,
    features: tuple[jax.Array, jax.Array],
    embedded: Array,
) -> jax.Array:
    """s'_t = O_h h'_t + O_y e(y_{t-1}) + O_c c;  s_i = max(s'_{2i-1}, s'_{2i}).

    >>> params = {"readout": {"kernel": jnp.array([[1.0, 0.0], [0.0, 1.0]])}}
    >>> features = jnp.array([3.0]), jnp.array([0.5, 2.0])
    >>> readout(params, ModelConfig(), features, jnp.array([2.0])).tolist()
    [4.0]
    """
    output, shared = features
    own = layers.dense(params["readout"], jnp.concatenate([output, embedded], -1))
    return maxout.maxima(own + shared)
