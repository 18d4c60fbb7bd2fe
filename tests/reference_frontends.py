"""Frontends of numbers in float64 NumPy, one row without padding, in plain loops."""

import numpy as np


def features(params, xs):
    """x W + b of each item."""
    return np.array([x @ params["kernel"] + params["bias"] for x in xs])


FRONTENDS = {"features": features}
