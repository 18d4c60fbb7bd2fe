"""`forecast`: what comes after a table of series."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from seq2seq_jax import flags
from seq2seq_jax.commands import streams
from seq2seq_jax.commands.decoding import run_config
from seq2seq_jax.config import SeriesConfig
from seq2seq_jax.errors import InputError

DESCRIPTION = """Forecast what comes after the end of a table of series, in its units.

The table has the columns that the model was trained on. The output has a row

for each step of the horizon: the forecast, and its band where there is one."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Forecast what comes after a table."""

    workdir: Path
    """folder of the training run; it may have been moved"""
    checkpoint: str = "best"
    """best, latest, or the number of a step"""
    raw: flags.Switch = False
    """of a training with training.ema: the parameters, not their moving average"""
    input: Annotated[Path, tyro.conf.arg(aliases=["-i"])]
    """table of the series up to now: CSV or Parquet"""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """table to write, CSV or Parquet by its ending; None: standard output, as CSV"""
    after: str | None = None
    """the last time that the model may know; None: the last with a value"""
    plot: Path | None = None
    """picture to draw (.png, .svg, .pdf): past, forecast, band, where it looked"""


def main(args: Sequence[str], prog: str) -> None:
    """Forecast as the arguments say.

    Raises:
        InputError: where the arguments, the workdir or the table cannot be used.
    """
    options = flags.parse(Options, args, prog=prog, description=DESCRIPTION)
    config = series_of(options.workdir)
    from seq2seq_jax.series import facts, future, panels, tables

    check_outputs(options.input, options.output, options.plot)
    table = tables.read(options.input)
    known = facts.load(options.workdir)
    panel = panels.panel(table, config, None if known is None else known.step)

    # Only now: errors need not wait for JAX.
    from seq2seq_jax.inference import forecaster
    from seq2seq_jax.series import shown

    model, _, found = forecaster.load(
        options.workdir, checkpoint(options.checkpoint), raw=options.raw, warn=warn
    )
    panel, windows = future.ahead(panel, found, config, options.input, options.after)
    numbers = numbers_of(windows)
    said = model.forecast(windows, numbers, alignments=options.plot is not None)
    rows = shown.rows_of(panel, found, windows, said, config)
    names = shown.columns_of(config, said.low is not None, origin=False)
    put(options.output, names, rows)
    if options.plot is not None:
        draw(options.plot, shown.show(panel, found, windows, numbers, said, config))


def series_of(workdir: Path) -> SeriesConfig:
    """What a workdir's model reads of a table.

    Raises:
        InputError: it is no workdir, or its model is one of texts.
    """
    config = run_config(workdir)
    if not config.series.given:
        raise InputError(
            f"{workdir} holds a model of texts, expected one of series: use "
            f"`seq2seq-jax translate`"
        )
    return config.series


def checkpoint(text: str) -> str | int:
    """A checkpoint's name or step."""
    return int(text) if text.isdigit() else text


def check_outputs(table: Path, output: Path | None, plot: Path | None) -> None:
    """Refuse, before any work is done, endings that nothing writes, and the input."""
    from seq2seq_jax.plots import files
    from seq2seq_jax.series import tables

    if output is not None:
        tables.kind_of(output)
    if plot is not None:
        files.kind_of(plot)
    for path in (output, plot):
        if path is not None:
            streams.check_target(str(path), [str(table)])


def numbers_of(windows: Any) -> Any:
    """The numbers of all windows."""
    import numpy as np

    return np.arange(len(windows))


def put(output: Path | None, names: Sequence[str], rows: Any) -> None:
    """Write a table to a file or to standard output."""
    from seq2seq_jax.series import tables

    if output is None:
        tables.write_csv(sys.stdout, names, rows)
    else:
        tables.write(output, names, rows)


def draw(path: Path, forecasts: Sequence[Any], most: int = 6) -> None:
    """Draw some forecasts.

    Raises:
        InputError: the file cannot be written.
    """
    from seq2seq_jax.plots import forecast

    try:
        forecast.draw(forecasts[:most], path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None


def warn(text: str) -> None:
    """Tell of what was found wrong and did not matter."""
    print(text, file=sys.stderr)
