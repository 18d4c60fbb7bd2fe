"""Frontends of numbers in float64 NumPy, one row without padding, in plain loops."""

import numpy as np


def features(params, xs):
    """x W + b of each item."""
    return np.array([x @ params["kernel"] + params["bias"] for x in xs])


def convolutions(params, xs):
    """Four layers of 3 x 3 filters; the middle ones leave out every other place."""
    picture = xs.reshape(len(xs), -1, 3)
    for stride, own in zip((1, 2, 2, 1), params["layers"], strict=True):
        picture = layer(own, picture, stride)
    return picture.reshape(-1, picture.shape[-1])


def layer(own, picture, stride):
    """relu(g n(k * x) + b), place by place."""
    high, wide, depth = picture.shape
    rows = []
    for i in range(0, high, stride):
        row = []
        for j in range(0, wide, stride):
            total, place = 0.0, 0
            for di in (-1, 0, 1):
                for dj in (-1, 0, 1):
                    kernel = own["kernel"][place * depth : (place + 1) * depth]
                    place += 1
                    if 0 <= i + di < high and 0 <= j + dj < wide:
                        total = total + picture[i + di, j + dj] @ kernel
            total = total + np.zeros(own["kernel"].shape[1])
            centred = total - total.mean()
            normal = centred / np.sqrt((centred**2).mean() + 1e-5)
            row.append(np.maximum(own["scale"] * normal + own["bias"], 0.0))
        rows.append(row)
    return np.array(rows)


FRONTENDS = {"features": features, "convolutions": convolutions}
