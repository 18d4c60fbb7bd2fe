"""`backtest`: forecasts of what is known, measured beside naive ones."""

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from seq2seq_jax import flags
from seq2seq_jax.commands import forecast
from seq2seq_jax.config import SeriesConfig
from seq2seq_jax.errors import InputError

DESCRIPTION = """Forecast each window of a table's last part, and measure the forecasts.

The naive forecast (the last value known) and the seasonal-naive one (what was

a season ago) stand beside the model's. MSE and MAE are on the training's scale."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Forecast what is known, and measure."""

    workdir: Path
    """folder of the training run; it may have been moved"""
    checkpoint: str = "best"
    """best, latest, or the number of a step"""
    raw: flags.Switch = False
    """of a training with training.ema: the parameters, not their moving average"""
    input: Annotated[Path, tyro.conf.arg(aliases=["-i"])]
    """table of the series: CSV or Parquet"""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """table of all forecasts to write, CSV or Parquet by its ending"""
    begin: str | None = None
    """where the part to forecast begins in each series: a share of its rows, a number
    of rows, or a time; None: where the training's test part does"""
    end: str | None = None
    """where it ends; None: where the training's test part does"""
    stride: int = 1
    """steps from one window to the next"""
    plot: Path | None = None
    """picture of some forecasts to draw (.png, .svg, .pdf)"""
    json: flags.Switch = False
    """print one JSON object"""


def main(args: Sequence[str], prog: str) -> None:
    """Measure as the arguments say.

    Raises:
        InputError: where the arguments, the workdir or the table cannot be used.
    """
    options = flags.parse(Options, args, prog=prog, description=DESCRIPTION)
    config = forecast.series_of(options.workdir)
    if options.stride < 1:
        raise InputError(f"--stride is {options.stride}, expected at least 1")
    from seq2seq_jax.series import facts, panels, tables

    forecast.check_outputs(options.input, options.output, options.plot)
    table = tables.read(options.input)
    known = facts.load(options.workdir)
    panel = panels.panel(table, config, None if known is None else known.step)
    places = places_of(panel, config, options)

    # Only now: errors need not wait for JAX.
    from seq2seq_jax.inference import forecaster
    from seq2seq_jax.series import metrics, shown
    from seq2seq_jax.series.windows import Windows, laid

    model, _, found = forecaster.load(
        options.workdir,
        forecast.checkpoint(options.checkpoint),
        raw=options.raw,
        warn=forecast.warn,
    )
    steps = laid(panel, found.of(panel, options.input), config)
    windows = Windows(steps, places, config, found.season)
    numbers = forecast.numbers_of(windows)
    said = model.forecast(windows, numbers)
    deviations = shown.deviations_of(found, windows, numbers)
    measured = metrics.measure(said, windows.truth(numbers), deviations)
    rows = {"model": measured, **metrics.baselines(windows, numbers, deviations)}
    if options.output is not None:
        names = shown.columns_of(config, said.low is not None, origin=True)
        every = shown.rows_of(panel, found, windows, said, config, origin=True)
        forecast.put(options.output, names, every)
    if options.plot is not None:
        some = numbers[:: max(len(numbers) // 3, 1)][:3]
        again = model.forecast(windows, some, alignments=True)
        drawn = shown.show(panel, found, windows, some, again, config)
        forecast.draw(options.plot, drawn)
    tell(rows, len(numbers), metrics.TITLES, options)


def places_of(panel: Any, config: SeriesConfig, options: Options) -> Any:
    """The windows to forecast.

    Raises:
        InputError: there are none.
    """
    from seq2seq_jax.series import prepare
    from seq2seq_jax.series.windows import places_between

    ends = {
        "--begin": options.begin or config.test_from,
        "--end": options.end or config.end,
    }
    bounds = []
    for series in panel.series:
        begin, end = (
            prepare.cut_at(text, name, panel, series) for name, text in ends.items()
        )
        bounds.append((begin, end))
    places = places_between(panel.series, bounds, config)[:: options.stride]
    if not len(places):
        raise InputError(
            prepare.too_few("--begin to --end", bounds, config, options.input)
        )
    return places


def tell(
    rows: Mapping[str, Mapping[str, float]],
    count: int,
    titles: Mapping[str, str],
    options: Options,
) -> None:
    """A table on a terminal; else a line a metric, with tabs; or JSON."""
    if options.json:
        asked = {k: v for k, v in dataclasses.asdict(options).items() if k != "json"}
        print(json.dumps({**rows, "windows": count} | asked, default=str))
        return
    names = [name for name in titles if any(name in row for row in rows.values())]
    cells = {
        name: [f"{row[name]:.4f}" if name in row else "" for row in rows.values()]
        for name in names
    }
    if not sys.stdout.isatty():
        print("metric", *rows, sep="\t")
        for name in names:
            print(name, *cells[name], sep="\t")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("", *rows, title=f"{count:,} windows")
    for name in names:
        table.add_row(titles[name], *cells[name])
    Console().print(table)
