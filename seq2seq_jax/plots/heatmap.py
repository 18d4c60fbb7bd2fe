"""The picture of an alignment: where the decoder looked for each token it said."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seq2seq_jax.errors import InputError
from seq2seq_jax.plots.files import FORMATS as FORMATS
from seq2seq_jax.plots.files import as_png, kind_of, save
from seq2seq_jax.plots.fonts import drawable

CELL = 0.3  # inches a token
LONGEST = 60.0  # inches of a side: cells of longer sequences are smaller
LETTERS = 10.0  # points


def draw(
    weights: np.ndarray,
    source_pieces: Sequence[str],
    target_pieces: Sequence[str],
    path: str | Path,
    title: str | None = None,
) -> Path:
    """Draw attention weights as a heat map, the source above, the target at the left.

    As Fig. 3 of Bahdanau et al. 2014, but dark for much: row `t` shows where the
    decoder looked when it said target token `t`, white for 0 and black for 1. Labels of
    any script, as far as a font is installed (see `fonts.drawable`). The picture grows
    with the number of tokens.

    Args:
        weights: `[T, S]`, 0 to 1.
        source_pieces: S labels.
        target_pieces: T labels.
        path: the file to write; its ending is the format: .png, .svg or .pdf.
        title: a line above the picture.

    Returns:
        The path that was written; nothing half-written is left there.

    Raises:
        InputError: where numbers of labels and weights differ, or on another format.
    """
    path, sides = Path(path), (source_pieces, target_pieces)
    kind_of(path)
    return save(_figure(_checked(weights, *sides), *sides, title), path)


def png(
    weights: np.ndarray, source_pieces: Sequence[str], target_pieces: Sequence[str]
) -> tuple[bytes, int, int]:
    """As `draw`, a PNG's bytes, its width and its height in pixels."""
    sides = source_pieces, target_pieces
    return as_png(_figure(_checked(weights, *sides), *sides, None))


def _checked(
    weights: np.ndarray, source_pieces: Sequence[str], target_pieces: Sequence[str]
) -> np.ndarray:
    weights = np.asarray(weights)
    expected = (len(target_pieces), len(source_pieces))
    if weights.shape != expected or 0 in expected:
        raise InputError(
            f"weights of shape {weights.shape} for {expected[0]} target and "
            f"{expected[1]} source labels, expected one row and one column a label"
        )
    return weights


def _figure(
    weights: np.ndarray,
    source_pieces: Sequence[str],
    target_pieces: Sequence[str],
    title: str | None,
) -> Figure:
    rows, columns = weights.shape
    cell = min(CELL, LONGEST / max(rows, columns))
    width, height = max(columns * cell, 0.5), max(rows * cell, 0.5)
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    # Thin lines between the cells lead the eye from a label to its row and column.
    cells = axes.pcolormesh(
        weights, cmap="Greys", vmin=0, vmax=1, edgecolors="0.85", linewidth=0.5
    )
    axes.invert_yaxis()
    _label(axes, source_pieces, target_pieces, LETTERS * cell / CELL)
    # Inches, not shares of the figure: the bar stays small beside a large picture.
    bar_height = min(height, 2.0)
    bar = figure.add_axes(
        (1 + 0.15 / width, 1 - bar_height / height, 0.1 / width, bar_height / height)
    )
    figure.colorbar(cells, cax=bar, ticks=[0, 0.5, 1])
    bar.tick_params(labelsize=8, length=2)
    if title:
        family = drawable(title.split()).families
        axes.set_title(title, family=family, size=LETTERS, parse_math=False, pad=12)
    return figure


def _label(
    axes: Axes, source: Sequence[str], target: Sequence[str], size: float
) -> None:
    labels = drawable([*source, *target])
    above, left = labels.texts[: len(source)], labels.texts[len(source) :]
    # A label is taken for mathematics between two dollars unless told otherwise.
    font: dict[str, Any] = {
        "family": labels.families,
        "size": size,
        "parse_math": False,
    }
    axes.set_xticks(np.arange(len(above)) + 0.5, above, **font)
    axes.set_yticks(np.arange(len(left)) + 0.5, left, **font)
    axes.xaxis.tick_top()
    axes.tick_params(axis="both", length=0, pad=4)
    _turn_long_labels(axes)


def _turn_long_labels(axes: Axes) -> None:
    """Turn the labels wider than their column: all where many are, for an even look."""
    labels = axes.get_xticklabels()
    room = 0.8 * axes.bbox.width / len(labels)
    wide = [label for label in labels if label.get_window_extent().width > room]
    for label in labels if 4 * len(wide) > len(labels) else wide:
        label.set_rotation(90)
