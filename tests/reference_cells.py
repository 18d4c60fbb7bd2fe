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


CELLS = {"rnn": rnn, "lstm": lstm, "gru": gru, "gru_reset_before": gru_reset_before}

PARTS = {"lstm": 2}  # arrays in a carry, where not 1
