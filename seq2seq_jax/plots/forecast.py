"""The picture of forecasts: past, truth, forecast, band, and where attention looked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seq2seq_jax.plots.files import as_png, save
from seq2seq_jax.plots.fonts import drawable

WIDTH, HEIGHT, STRIP = 8.0, 2.6, 1.2  # inches of a panel, and of its attention


class Drawable(Protocol):
    """A forecast: `[L]` past, `[N]` the truth and what was said, `[N, L]` weights."""

    @property
    def title(self) -> str: ...
    @property
    def past(self) -> np.ndarray: ...
    @property
    def truth(self) -> np.ndarray: ...
    @property
    def point(self) -> np.ndarray: ...
    @property
    def low(self) -> np.ndarray | None: ...
    @property
    def high(self) -> np.ndarray | None: ...
    @property
    def weights(self) -> np.ndarray | None: ...


def draw(forecasts: Sequence[Drawable], path: str | Path) -> Path:
    """Draw forecasts, a panel each; below, where attention looked over the past.

    The past is grey, the truth black, the forecast blue with its band. In the strip
    below, row `n` (from the top) is dark where the decoder looked when it said step
    `n`, each row by its own largest weight, over the past step that stands above.

    Args:
        forecasts: at least one.
        path: the file to write; its ending is the format: .png, .svg or .pdf.

    Returns:
        The path that was written.

    Raises:
        InputError: on another format.
        OSError: it cannot be written.
    """
    return save(_figure(forecasts), Path(path))


def png(forecasts: Sequence[Drawable]) -> tuple[bytes, int, int]:
    """As `draw`, a PNG's bytes, its width and its height in pixels."""
    return as_png(_figure(forecasts))


def _figure(forecasts: Sequence[Drawable]) -> Figure:
    looked = [one.weights is not None for one in forecasts]
    ratios = [
        size for look in looked for size in ((HEIGHT, STRIP) if look else (HEIGHT,))
    ]
    figure = Figure(figsize=(WIDTH, sum(ratios)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = iter(
        figure.subplots(len(ratios), 1, squeeze=False, height_ratios=ratios)[:, 0]
    )
    for number, (one, look) in enumerate(zip(forecasts, looked, strict=True)):
        panel = next(axes)
        _lines(panel, one, legend=number == 0)
        if look:
            _strip(next(axes), panel, one)
    return figure


def _lines(axes: Axes, one: Drawable, legend: bool) -> None:
    length, horizon = len(one.past), len(one.point)
    ahead = np.arange(1, horizon + 1)
    # Lines that go on from the last value of the past are easier to follow.
    last = np.concatenate([[0], ahead])
    axes.plot(np.arange(1 - length, 1), one.past, color="0.5", lw=1, label="past")
    if np.isfinite(one.truth).any():
        truth = np.concatenate([one.past[-1:], one.truth])
        axes.plot(last, truth, color="black", lw=1.2, label="truth")
    point = np.concatenate([one.past[-1:], one.point])
    axes.plot(last, point, color="C0", lw=1.6, label="forecast")
    if one.low is not None and one.high is not None:
        axes.fill_between(
            ahead, one.low, one.high, color="C0", alpha=0.25, lw=0, label="band"
        )
    axes.axvline(0.5, color="0.7", lw=0.8, ls=":")
    axes.set_xlim(1 - length - 0.5, horizon + 0.5)
    axes.grid(alpha=0.3)
    family = drawable(one.title.split()).families
    axes.set_title(one.title, fontsize=9, loc="left", family=family, parse_math=False)
    if legend:
        axes.legend(fontsize=8, loc="best", ncols=4)


def _strip(axes: Axes, panel: Axes, one: Drawable) -> None:
    weights = np.asarray(one.weights, np.float64)
    rows, length = weights.shape
    share = weights / np.maximum(weights.max(1, keepdims=True), 1e-12)
    axes.imshow(
        share,
        aspect="auto",
        cmap="Greys",
        vmin=0,
        vmax=1,
        interpolation="nearest",
        extent=(1 - length - 0.5, 0.5, rows + 0.5, 0.5),
    )
    axes.set_xlim(panel.get_xlim())
    axes.set_ylabel("step said", fontsize=8)
    axes.set_xlabel("step", fontsize=8)
    axes.tick_params(labelsize=7)
