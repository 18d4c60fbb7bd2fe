"""Scores and alignments in float64 NumPy, for one query and one row's annotations.

A score is `(params, config, query, annotations [S, C], state) -> energies [S]`, an
alignment `(params, config, energies, query, state) -> weights [S]`. The state holds
what came before: `weights`, `coverage` `[S]` and `time`, the number of steps made.
"""

import numpy as np


def softmax(x):
    powers = np.exp(x - np.max(x))
    return powers / np.sum(powers)


def none(params, config, query, annotations, state):
    """No preference."""
    return np.zeros(len(annotations))


def dot(params, config, query, annotations, state):
    """Luong 2015, section 3.1, dot."""
    return np.array([query @ a for a in annotations])


def general(params, config, query, annotations, state):
    """Luong 2015, section 3.1, general."""
    return np.array([query @ (a @ params["kernel"]) for a in annotations])


def additive(params, config, query, annotations, state):
    """Bahdanau 2014, A.1.2."""
    return np.array(
        [
            params["v"] @ np.tanh(query @ params["query"] + a @ params["kernel"])
            for a in annotations
        ]
    )


def scaled_dot(params, config, query, annotations, state):
    """Vaswani et al. 2017, eq. 1."""
    return np.array([query @ a / np.sqrt(len(query)) for a in annotations])


def scaled_general(params, config, query, annotations, state):
    """tensorflow/nmt, scaled_luong."""
    return params["scale"] * general(params, config, query, annotations, state)


def concat_code(params, config, query, annotations, state):
    """nmt.matlab: the source part of W_a is the identity."""
    return np.array(
        [params["v"] @ np.tanh(a + query @ params["query"]) for a in annotations]
    )


def normed_additive(params, config, query, annotations, state):
    """tensorflow/nmt, normed_bahdanau."""
    v = params["v"] / np.sqrt(sum(x * x for x in params["v"]))
    energies = []
    for a in annotations:
        inner = query @ params["query"] + a @ params["kernel"] + params["bias"]
        energies.append(params["scale"] * (v @ np.tanh(inner)))
    return np.array(energies)


def location(params, config, query, annotations, state):
    """Luong 2015, eq. 8, location: nothing for what stands behind the last row."""
    energies = np.full(len(annotations), -1e30)
    for s in range(min(len(annotations), config.positions)):
        energies[s] = query @ params["kernel"][:, s]
    return energies


def location_code(params, config, query, annotations, state):
    """nmt.matlab: the logarithm of a softmax over all positions, then cut."""
    every = np.array([query @ row for row in params["kernel"].T])
    energies = np.full(len(annotations), -1e30)
    for s in range(min(len(annotations), len(every))):
        energies[s] = np.log(np.exp(every[s]) / np.sum(np.exp(every)))
    return energies


def last(params, config, query, annotations, state):
    """Bahdanau 2014, section 4.2, RNNencdec: c_i = h_T."""
    energies = np.full(len(annotations), -1e30)
    energies[-1] = 0
    return energies


def coverage(params, config, query, annotations, state):
    """See et al. 2017, eq. 11."""
    energies = []
    for a, seen in zip(annotations, state["coverage"], strict=True):
        inner = a @ params["kernel"] + query @ params["query"]
        inner = inner + params["coverage"] * seen + params["bias"]
        energies.append(params["v"] @ np.tanh(inner))
    return np.array(energies)


def location_sensitive(params, config, query, annotations, state):
    """Chorowski et al. 2015, eqs. 8 and 9."""
    energies = []
    for j, a in enumerate(annotations):
        f = np.zeros(params["filters"].shape[1])
        for offset in range(-config.window, config.window + 1):
            if 0 <= j + offset < len(annotations):
                row = params["filters"][offset + config.window]
                f = f + row * state["weights"][j + offset]
        inner = query @ params["query"] + a @ params["kernel"]
        inner = inner + f @ params["location"] + params["bias"]
        energies.append(params["v"] @ np.tanh(inner))
    return np.array(energies)


SCORES = {
    "none": none,
    "last": last,
    "location": location,
    "location_code": location_code,
    "dot": dot,
    "scaled_dot": scaled_dot,
    "general": general,
    "scaled_general": scaled_general,
    "additive": additive,
    "concat": additive,
    "concat_code": concat_code,
    "normed_additive": normed_additive,
    "coverage": coverage,
    "location_sensitive": location_sensitive,
}


def global_weights(params, config, energies, query, state):
    """Luong 2015, eq. 7."""
    return softmax(energies)


def window(config, energies, centre):
    """A softmax over what lies at most D from the centre, 0 elsewhere."""
    first, last = max(centre - config.window, 0), centre + config.window
    weights = np.zeros(len(energies))
    weights[first : last + 1] = softmax(energies[first : last + 1])
    return weights


def local_m(params, config, energies, query, state):
    """Luong 2015, section 3.2: p_t = t, no further than the last position."""
    return window(config, energies, min(int(state["time"]), len(energies) - 1))


def local_m_paper(params, config, energies, query, state):
    """Luong 2015, section 3.2: p_t = t; a window behind the end has nothing in it."""
    t, weights = int(state["time"]), np.zeros(len(energies))
    near = [s for s in range(len(energies)) if abs(s - t) <= config.window]
    if near:
        weights[near] = softmax(energies[near])
    return weights


def local_p(params, config, energies, query, state):
    """Luong 2015, eqs. 9 and 10, with what the authors' code does."""
    inner = params["v"] @ np.tanh(query @ params["kernel"])
    at = (len(energies) - 1) / (1 + np.exp(-inner))
    weights = window(config, energies, int(np.floor(at)))
    sigma = config.window / 2
    for s in range(len(weights)):
        weights[s] *= np.exp(-((s - at) ** 2) / (2 * sigma**2))
    return weights


def local_p_paper(params, config, energies, query, state):
    """Luong 2015, eqs. 9 and 10: p_t = S sigma(...), positions s = 1 ... S."""
    total = len(energies)
    at = total / (1 + np.exp(-(params["v"] @ np.tanh(query @ params["kernel"]))))
    near = [s for s in range(1, total + 1) if abs(s - at) <= config.window]
    weights, sigma = np.zeros(total), config.window / 2
    inside = softmax(np.array([energies[s - 1] for s in near]))
    for s, weight in zip(near, inside, strict=True):
        weights[s - 1] = weight * np.exp(-((s - at) ** 2) / (2 * sigma**2))
    return weights


def monotonic(params, config, energies, query, state):
    """Raffel et al. 2017, eq. 9, by its double sum over all paths."""
    p = 1 / (1 + np.exp(-np.maximum(energies + params["offset"], -700)))
    before = state["weights"]
    if state["time"] == 0:
        before = np.eye(len(p))[0]
    weights = np.zeros(len(p))
    for j in range(len(p)):
        for k in range(j + 1):
            weights[j] += p[j] * before[k] * np.prod(1 - p[k:j])
    return weights


def monotonic_hard(params, config, energies, query, state):
    """Raffel et al. 2017, section 2.2: go right until p > 1/2, from where it was."""
    weights, before = np.zeros(len(energies)), state["weights"]
    if state["time"] == 0:
        before = np.eye(len(energies))[0]
    for k in range(len(energies)):  # from any place that it may have stood on
        for j in range(k, len(energies)):
            if 1 / (1 + np.exp(-energies[j] - params["offset"])) > 0.5:
                weights[j] += before[k]
                break
    return weights


def hard(params, config, energies, query, state):
    """Xu et al. 2015, section 4.1, without a draw: all on the likeliest place."""
    return np.eye(len(energies))[np.argmax(energies)]


ALIGNMENTS = {
    "global": global_weights,
    "local_m": local_m,
    "local_m_paper": local_m_paper,
    "local_p": local_p,
    "local_p_paper": local_p_paper,
    "monotonic": monotonic,
    "monotonic_hard": monotonic_hard,
    "hard": hard,
}
