"""Where a decoder looked at a picture, word by word: Fig. 2 of Xu et al. 2015."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seq2seq_jax.errors import InputError
from seq2seq_jax.plots.files import kind_of, save
from seq2seq_jax.plots.fonts import drawable

SIDE = 1.5  # inches of a picture
COLUMNS = 6
DARKEST = 0.75  # of what was not looked at


def draw(
    picture: np.ndarray,
    weights: np.ndarray,
    grid: tuple[int, int],
    pieces: Sequence[str],
    path: str | Path,
) -> Path:
    """Draw the picture, then for each token the picture lit where the decoder looked.

    A step's weights are shown against its largest one, and smoothly between the centres
    of their places.

    Args:
        picture: `[H, W, 3]`, 0 to 255.
        weights: `[T, h * w]`, row by row of the grid.
        grid: `(h, w)`.
        pieces: T labels.
        path: the file to write; its ending is the format.

    Raises:
        InputError: where the numbers do not fit together, or on another format.
    """
    path, weights = Path(path), np.asarray(weights)
    kind_of(path)
    if weights.shape != (len(pieces), grid[0] * grid[1]) or not len(pieces):
        raise InputError(
            f"weights of shape {weights.shape} for {len(pieces)} labels and a grid of "
            f"{grid[0]} by {grid[1]}, expected a row a label and a column a place"
        )
    columns = min(COLUMNS, len(pieces) + 1)
    rows = -(-(len(pieces) + 1) // columns)
    figure = Figure(figsize=(SIDE * columns, (SIDE + 0.3) * rows))
    FigureCanvasAgg(figure)
    labels = drawable(pieces)
    shown = [None, *weights.reshape(len(pieces), *grid)]
    texts = ["", *labels.texts]
    for number, (label, here) in enumerate(zip(texts, shown, strict=True), 1):
        axes = figure.add_subplot(rows, columns, number)
        axes.set_axis_off()
        axes.set_title(label, family=labels.families, size=10, parse_math=False)
        _show(axes, np.asarray(picture, np.uint8), here)
    return save(figure, path)


def _show(axes: Any, picture: np.ndarray, weights: np.ndarray | None) -> None:
    high, wide = picture.shape[:2]
    place = (0, wide, high, 0)
    axes.imshow(picture, extent=place, interpolation="nearest")
    if weights is None:
        return
    light = weights / max(float(weights.max()), 1e-9)
    shade = np.zeros((*weights.shape, 4))
    shade[..., 3] = DARKEST * (1 - light)
    axes.imshow(shade, extent=place, interpolation="bilinear")
