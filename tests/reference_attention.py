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
    """Luong 2015, eq. 8, dot."""
    return np.array([query @ a for a in annotations])


def general(params, config, query, annotations, state):
    """Luong 2015, eq. 8, general."""
    return np.array([query @ (a @ params["kernel"]) for a in annotations])


def additive(params, config, query, annotations, state):
    """Bahdanau 2014, A.1.2."""
    return np.array(
        [
            params["v"] @ np.tanh(query @ params["query"] + a @ params["kernel"])
            for a in annotations
        ]
    )


SCORES = {"none": none, "dot": dot, "general": general, "additive": additive}


def global_weights(params, config, energies, query, state):
    """Luong 2015, eq. 7."""
    return softmax(energies)


ALIGNMENTS = {"global": global_weights}
