"""Scales of series: fitted on the training part alone, undone in what is told."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np


class Scale(NamedTuple):
    """x -> (x - mean) / deviation, a column each.

    Attributes:
        mean: `[columns]`.
        deviation: `[columns]`, above 0.
    """

    mean: np.ndarray
    deviation: np.ndarray

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Values `[..., columns]` on the scale; NaN stays NaN."""
        return (values - self.mean) / self.deviation

    def undo(self, values: np.ndarray) -> np.ndarray:
        """Values `[..., columns]` in units; of the first columns, if there are fewer.

        >>> scale = standard(np.array([[1.0], [3.0]]))
        >>> scale.undo(scale.apply(np.array([7.0]))).tolist()
        [7.0]
        """
        count = values.shape[-1]
        return values * self.deviation[:count] + self.mean[:count]

    def to_json(self) -> dict[str, list[float]]:
        """As JSON values."""
        return {name: value.tolist() for name, value in self._asdict().items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Scale":
        """What `to_json` gave."""
        return cls(*(np.array(values[name], np.float64) for name in cls._fields))


def standard(values: np.ndarray) -> Scale:
    """Mean 0 and (population) deviation 1 of the values `[T, columns]` that are there.

    A column that never changes, or has no value, is shifted and no more.
    """
    there = np.isfinite(values)
    count = np.maximum(there.sum(0), 1)
    mean = np.where(there, values, 0.0).sum(0) / count
    square = np.where(there, values - mean, 0.0) ** 2
    deviation = np.sqrt(square.sum(0) / count)
    return Scale(mean, np.where(deviation > 1e-12 * (1 + abs(mean)), deviation, 1.0))


def none(values: np.ndarray) -> Scale:
    """Values as they are."""
    return Scale(np.zeros(values.shape[1]), np.ones(values.shape[1]))


SCALINGS: dict[str, Callable[[np.ndarray], Scale]] = {
    "standard": standard,
    "none": none,
}
