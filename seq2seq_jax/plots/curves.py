"""The picture of trainings: a value over the updates, a panel a value."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seq2seq_jax.plots.files import save
from seq2seq_jax.plots.fonts import drawable

WIDTH, HEIGHT = 6.4, 3.2  # inches of a panel
COLOURS = 10  # of matplotlib's own cycle, C0 to C9


class Curve(NamedTuple):
    """A value of a training.

    Attributes:
        label: the training's.
        split: what was measured: train, dev ...
        steps: updates made.
        values: one for each.
    """

    label: str
    split: str
    steps: Sequence[int]
    values: Sequence[float]


def draw(
    panels: Mapping[str, Sequence[Curve]], path: str | Path, logarithmic: bool = False
) -> Path:
    """Draw curves, a panel for each value: a training a colour, `train` a thin line.

    Args:
        panels: curves by the value's name.
        path: the file to write; its ending is the format: .png, .svg or .pdf.
        logarithmic: whether values are shown by their logarithms.

    Returns:
        The path that was written.

    Raises:
        InputError: on another format.
        OSError: it cannot be written.
    """
    figure = Figure(figsize=(WIDTH, HEIGHT * len(panels)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    labels = list(dict.fromkeys(c.label for each in panels.values() for c in each))
    for panel, (name, curves) in zip(axes, panels.items(), strict=True):
        _panel(panel, name, curves, labels)
        if logarithmic:
            panel.set_yscale("log")
    axes[-1].set_xlabel("updates")
    return save(figure, Path(path))


def _panel(
    axes: Axes, name: str, curves: Sequence[Curve], labels: Sequence[str]
) -> None:
    for curve in curves:
        learning = curve.split == "train"
        axes.plot(
            curve.steps,
            curve.values,
            color=f"C{labels.index(curve.label) % COLOURS}",
            linewidth=0.8 if learning else 1.6,
            alpha=0.7 if learning else 1.0,
            marker=None if learning else ".",
            label=f"{curve.label}, {curve.split}",
        )
    axes.set_ylabel(name)
    axes.grid(alpha=0.3)
    families = drawable(list(labels)).families
    legend = axes.legend(fontsize=8, prop={"family": families, "size": 8})
    for text in legend.get_texts():
        text.set_parse_math(False)
