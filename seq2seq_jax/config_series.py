"""The configuration of data that is series of numbers; see `config`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SeriesConfig:
    """A table of series, and what is forecast from what.

    Where `table` is given, the training's data are windows of its series: so many past
    steps are the source, the steps of the horizon the target.
    """

    table: str | None = None
    """CSV or Parquet file with series of numbers to forecast"""
    time: str | None = "date"
    """column of the times, ascending; None: a row is a step"""
    targets: tuple[str, ...] = ()
    """columns to forecast, together: one series of vectors"""
    wide: bool = False
    """each column of targets is a series by itself"""
    id: str | None = None
    """column that names the series which a row belongs to; None: there is one"""
    known: tuple[str, ...] = ()
    """columns whose future values are known, such as holidays"""
    past: tuple[str, ...] = ()
    """columns that are known of the past alone"""
    calendar: tuple[str, ...] = ()
    """what the model is told of each step's time: hour, weekday, day, month, yearday,
    each as a sine and a cosine"""
    past_steps: int = 96
    """steps of the past that the model reads"""
    horizon: int = 24
    """steps that it forecasts"""
    season: int | None = None
    """steps of a season, for the seasonal-naive forecast; None: by the step (hours 24,
    days 7, months 12)"""
    dev_from: str = "0.6"
    """where the development part begins in each series: a share of its rows (0.6), a
    number of rows (8640) or a time (2017-06-26)"""
    test_from: str = "0.8"
    """where the test part begins"""
    end: str | None = None
    """where the test part ends; None: with the series"""
    scaling: str = "standard"
    """standard (mean 0 and deviation 1 in the training part) or none"""
    centre: str = "none"
    """what is taken from all values of a window and given back to its forecast: none,
    last (the last value known) or mean (of its past)"""
    missing: str = "refuse"
    """empty values and steps without a row: refuse, or mask (none is made up)"""

    @property
    def given(self) -> bool:
        """Whether the data is series."""
        return self.table is not None or bool(self.targets)
