"""What happened since the last line of metrics: sums of steps, and their means.

Sums are Python floats added step by step, so the line is the same whether the run was
interrupted in between (they are saved with the checkpoint) or not.
"""

import math
from typing import Any

SUMS = ("loss", "nll", "correct", "weight", "real", "cells", "grad_norm")

Window = dict[str, float]

EMPTY: Window = dict.fromkeys((*SUMS, "steps", "seconds"), 0.0)


def add(window: Window, metrics: dict[str, Any]) -> Window:
    """The window with one more step's metrics from `train_step`.

    >>> step = dict.fromkeys(SUMS, 2.0)
    >>> add(add({}, step), step)["weight"]
    4.0
    """
    total = {name: window.get(name, 0.0) + float(metrics[name]) for name in SUMS}
    return {
        **total,
        "steps": window.get("steps", 0.0) + 1,
        "seconds": window.get("seconds", 0.0),
    }


def means(window: Window) -> dict[str, float]:
    """Means over the window's target tokens, and rates by its seconds of training.

    Where all updates were left out, the means are not a number.
    """
    seconds = max(window["seconds"], 1e-9)
    weight = max(window["weight"], 1.0) if window["steps"] else math.nan
    return {
        "loss": window["loss"] / weight,
        "nll": window["nll"] / weight,
        "accuracy": window["correct"] / weight,
        "grad_norm": window["grad_norm"] / (window["steps"] or math.nan),
        "padding": 1.0 - window["real"] / max(window["cells"], 1.0),
        "target_tokens": window["weight"],
        "seconds": seconds,
        "tokens_per_second": window["weight"] / seconds,
    }
