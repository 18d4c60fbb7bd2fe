"""The cells' equations in float64 NumPy: `(params, carry, x) -> carry`, h last."""

import numpy as np


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def gate(params, x, h, number, count):
    """W x + U h + b of gate `number` out of `count`."""
    size = params["recurrent"].shape[1] // count
    cut = slice(number * size, (number + 1) * size)
    w, u = params["input"][:, cut], params["recurrent"][:, cut]
    return x @ w + h @ u + params["bias"][cut]


def rnn(params, carry, x):
    """Elman 1990: h' = tanh(W x + U h + b)."""
    return (np.tanh(gate(params, x, carry[0], 0, 1)),)


def lstm(params, carry, x):
    """i, f, o = sigma(.), g = tanh(.); c' = f c + i g; h' = o tanh(c')."""
    c, h = carry
    i = sigmoid(gate(params, x, h, 0, 4))
    f = sigmoid(gate(params, x, h, 1, 4))
    g = np.tanh(gate(params, x, h, 2, 4))
    o = sigmoid(gate(params, x, h, 3, 4))
    c = f * c + i * g
    return c, o * np.tanh(c)


def clipped_lstm(params, carry, x):
    """As the LSTM; c' and h' are cut at 50 on both sides."""
    c, h = lstm(params, carry, x)
    return np.maximum(np.minimum(c, 50), -50), np.maximum(np.minimum(h, 50), -50)


def gru(params, carry, x):
    """cuDNN's GRU: n = tanh(W x + b + r (U h + b')); h' = z h + (1 - z) n."""
    (h,) = carry
    size = len(h)
    r = sigmoid(gate(params, x, h, 0, 3))
    z = sigmoid(gate(params, x, h, 1, 3))
    from_x = x @ params["input"][:, 2 * size :] + params["bias"][2 * size :]
    from_h = h @ params["recurrent"][:, 2 * size :] + params["recurrent_bias"]
    return (z * h + (1 - z) * np.tanh(from_x + r * from_h),)


def gru_reset_before(params, carry, x):
    """Cho 2014: n = tanh(W x + U (r h)); h' = z h + (1 - z) n."""
    (h,) = carry
    r = sigmoid(gate(params, x, h, 0, 3))
    z = sigmoid(gate(params, x, h, 1, 3))
    return (z * h + (1 - z) * np.tanh(gate(params, x, r * h, 2, 3)),)


def gru_bahdanau(params, carry, x):
    """Bahdanau 2014: n = tanh(W x + U (r h)); h' = (1 - z) h + z n."""
    (h,) = carry
    r = sigmoid(gate(params, x, h, 0, 3))
    z = sigmoid(gate(params, x, h, 1, 3))
    return ((1 - z) * h + z * np.tanh(gate(params, x, r * h, 2, 3)),)


def layer_norm(x, gain, shift):
    """gain * (x - mean) / sqrt(variance + 1e-8) + shift, a unit at a time."""
    mean = sum(x) / len(x)
    deviation = np.sqrt(sum((v - mean) ** 2 for v in x) / len(x) + 1e-8)
    return np.array(
        [g * (v - mean) / deviation + s for v, g, s in zip(x, gain, shift, strict=True)]
    )


def normed_gate(params, x, h, number):
    """a LN(W x + U h) + b of one gate of four."""
    bare = {name: params[name] for name in ("input", "recurrent")}
    total = gate(bare | {"bias": np.zeros(4 * len(h))}, x, h, number, 4)
    cut = slice(number * len(h), (number + 1) * len(h))
    return layer_norm(total, params["gain"][cut], params["shift"][cut])


def layer_norm_lstm(params, carry, x):
    """c' = LN(sigma(f + 1) c + sigma(i) tanh(g)); h' = sigma(o) tanh(c'), gates LN."""
    c, h = carry
    i, f, g, o = (normed_gate(params, x, h, number) for number in range(4))
    c = c * sigmoid(f + 1) + sigmoid(i) * np.tanh(g)
    c = layer_norm(c, params["cell_gain"], params["cell_shift"])
    return c, np.tanh(c) * sigmoid(o)


def rnmt_lstm(params, carry, x):
    """c' = sigma(f) c + sigma(i) tanh(g); h' = sigma(o) c', gates LN."""
    c, h = carry
    i, f, g, o = (normed_gate(params, x, h, number) for number in range(4))
    c = c * sigmoid(f) + sigmoid(i) * np.tanh(g)
    return c, c * sigmoid(o)


def rnmt_lstm_capped(params, carry, x):
    """As `rnmt_lstm`; c' is cut at 10 on both sides before the output gate."""
    c, h = carry
    i, f, g, o = (normed_gate(params, x, h, number) for number in range(4))
    c = np.maximum(np.minimum(c * sigmoid(f) + sigmoid(i) * np.tanh(g), 10), -10)
    return c, c * sigmoid(o)


def nas(params, carry, x):
    """Zoph & Le 2017 as TensorFlow wires it, layer by layer."""
    c, h = carry
    i = np.split(x @ params["input"], 8)
    s = np.split(h @ params["recurrent"], 8)
    first = [
        sigmoid(i[0] + s[0]),
        np.maximum(i[1] + s[1], 0.0),
        sigmoid(i[2] + s[2]),
        np.maximum(i[3] * s[3], 0.0),
        np.tanh(i[4] + s[4]),
        sigmoid(i[5] + s[5]),
        np.tanh(i[6] + s[6]),
        sigmoid(i[7] + s[7]),
    ]
    second = [
        np.tanh(first[0] * first[1]),
        np.tanh(first[2] + first[3]),
        np.tanh(first[4] * first[5]),
        sigmoid(first[6] + first[7]),
    ]
    c = np.tanh(second[0] + c) * second[1]
    return c, np.tanh(c * np.tanh(second[2] + second[3]))


def min_gru(params, carry, x):
    """z = sigma(W_z x); h' = (1 - z) h + z (W x)."""
    (h,) = carry
    z, n = np.split(x @ params["input"] + params["bias"], 2)
    return ((1 - sigmoid(z)) * h + sigmoid(z) * n,)


def min_lstm(params, carry, x):
    """h' = f / (f + i) h + i / (f + i) (W x)."""
    (h,) = carry
    i, f, n = np.split(x @ params["input"] + params["bias"], 3)
    i, f = sigmoid(i), sigmoid(f)
    return (f / (f + i) * h + i / (f + i) * n,)


CELLS = {
    "rnn": rnn,
    "lstm": lstm,
    "clipped_lstm": clipped_lstm,
    "gru": gru,
    "gru_reset_before": gru_reset_before,
    "gru_bahdanau": gru_bahdanau,
    "layer_norm_lstm": layer_norm_lstm,
    "rnmt_lstm": rnmt_lstm,
    "rnmt_lstm_capped": rnmt_lstm_capped,
    "nas": nas,
    "min_gru": min_gru,
    "min_lstm": min_lstm,
}

# Arrays in a carry, where not 1.
PARTS = {name: 2 for name in CELLS if "lstm" in name or name == "nas"}
PARTS |= {"min_lstm": 1}
