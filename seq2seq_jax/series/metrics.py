"""How far forecasts are off, and the simple ones that a model must beat."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from seq2seq_jax.series.windows import Windows

# What is measured, as the table of results calls it; less is better but for `coverage`.
TITLES = {
    "mse": "MSE, scaled",
    "mae": "MAE, scaled",
    "rmse_units": "RMSE, in units",
    "mae_units": "MAE, in units",
    "coverage": "in the band (%)",
}
HIGHER = {"mse": False, "mae": False, "rmse_units": False, "mae_units": False}

# What needs no learning, by the name of its column.
BASELINES: dict[str, Callable[[Windows, np.ndarray], np.ndarray]] = {
    "naive": Windows.naive,
    "seasonal naive": Windows.seasonal_naive,
}


class Forecasts(NamedTuple):
    """Forecasts of windows, on the scale of the training.

    Attributes:
        point: `[W, N, M]` the mean, or the median of quantiles.
        low, high: `[W, N, M]` the band's edges; None: the head has none.
        weights: `[W, N, L]` where attention looked over the past; None: nowhere.
    """

    point: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    weights: np.ndarray | None = None


def measure(
    forecasts: Forecasts, truth: np.ndarray, deviations: np.ndarray
) -> dict[str, float]:
    """The entries of `TITLES` over all values that are there.

    Args:
        forecasts: on the scale.
        truth: `[W, N, M]`, NaN where missing.
        deviations: `[W, M]` of each window's series, in units.

    >>> zeros, truth = Forecasts(np.zeros((1, 2, 1))), np.array([[[1.0], [np.nan]]])
    >>> found = measure(zeros, truth, np.full((1, 1), 3))
    >>> found["mse"], found["mae_units"]
    (1.0, 3.0)
    """
    there = np.isfinite(truth)
    error = np.where(there, forecasts.point - truth, 0.0).astype(np.float64)
    count = max(int(there.sum()), 1)
    units = error * deviations[:, None]
    found = {
        "mse": float((error**2).sum() / count),
        "mae": float(abs(error).sum() / count),
        "rmse_units": float(np.sqrt((units**2).sum() / count)),
        "mae_units": float(abs(units).sum() / count),
    }
    if forecasts.low is None or forecasts.high is None:
        return found
    inside = there & (forecasts.low <= truth) & (truth <= forecasts.high)
    return found | {"coverage": 100 * float(inside.sum() / count)}


def baselines(
    windows: Windows, rows: np.ndarray, deviations: np.ndarray
) -> Mapping[str, dict[str, float]]:
    """The same of forecasts that need no learning, by their names.

    There is no seasonal one where a season is one step: it would be the naive one.
    """
    truth = windows.truth(rows)
    return {
        name: measure(Forecasts(make(windows, rows)), truth, deviations)
        for name, make in BASELINES.items()
        if windows.season > 1 or name == "naive"
    }
