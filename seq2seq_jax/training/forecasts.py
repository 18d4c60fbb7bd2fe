"""Evaluate a model of series, which reads what it says, beside naive forecasts."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from seq2seq_jax.config import Config
from seq2seq_jax.data.pipeline import eval_batches
from seq2seq_jax.inference.forecaster import Forecaster
from seq2seq_jax.nn import model
from seq2seq_jax.nn.heads import HEADS
from seq2seq_jax.series import metrics
from seq2seq_jax.series.metrics import Forecasts
from seq2seq_jax.series.prepare import Prepared
from seq2seq_jax.series.shown import Shown, deviations_of, show
from seq2seq_jax.series.windows import Windows
from seq2seq_jax.training import parallel
from seq2seq_jax.training.evaluate import Decoded, go_on, spread
from seq2seq_jax.training.hosts import ALONE, Hosts
from seq2seq_jax.training.layout import Cut, Whole
from seq2seq_jax.training.step import eval_step
from seq2seq_jax.types import Batch, Params, Sums

SHOWN = 10  # forecasts kept to be shown
FIRST = 6  # steps of one that a sample tells


class Evaluator:
    """Evaluates parameters on the windows of a run; compiles once a shape.

    Args:
        config: of the run.
        data: its windows.
        workdir: not needed: all that is to be known stands in `data`.
        layout: how the parameters lie on the devices.
        check: called before each batch; what it raises ends the evaluation.
        hosts: the processes that share the work.
    """

    def __init__(
        self,
        config: Config,
        data: Prepared,
        workdir: Path,
        layout: Whole | Cut,
        check: Callable[[], None] = go_on,
        hosts: Hosts = ALONE,
    ):
        score = HEADS[config.model.head].score
        assert score is not None  # as `checks` makes sure

        def loss(params: Params, batch: Batch, key: Any, update: Any) -> Sums:
            outputs, _ = model.forecast(params, config.model, batch)
            return score(outputs, batch.target_out, batch.target_mask)

        self._config, self._data, self._check = config, data, check
        self._layout, self._hosts = layout, hosts
        self._step = layout.eval_step(partial(eval_step, loss, rows=layout.rows))

    def loss(self, params: Params, windows: Windows) -> dict[str, float]:
        """The head's mean loss a value, where the decoder reads what it says itself."""
        total = weight = 0.0
        share = self._hosts.index, self._hosts.count
        for batch in eval_batches(windows, self._config, *share):
            self._check()
            cut, _ = parallel.shard_batch(batch, self._layout.devices.ways)
            sums = jax.device_get(self._step(params, cut))
            total += float(sums.loss)
            weight += float(sums.weight)
        return {"loss": total / max(weight, 1.0)}

    def decode(
        self,
        params: Params,
        windows: Windows,
        limit: int | None = None,
        alignments: bool = False,
    ) -> Decoded:
        """Forecast windows and measure the forecasts; the naive ones beside them.

        Args:
            params: the state's parameters.
            windows: of a part.
            limit: at most so many, spread evenly; None: all.
            alignments: whether what is shown tells where attention looked.
        """
        numbers = np.array(spread(list(range(len(windows))), limit))
        own = numbers[self._hosts.index :: self._hosts.count]
        forecaster = Forecaster(
            jax.device_put(self._layout.whole(params), self._layout.devices.devices[0]),
            self._config.model,
            check=self._check,
        )
        found = self._gathered(forecaster.forecast(windows, own), len(numbers))
        deviations = deviations_of(self._data.facts, windows, numbers)
        measured = metrics.measure(found, windows.truth(numbers), deviations)
        beside = metrics.baselines(windows, numbers, deviations)
        chosen = np.array(spread(list(range(len(numbers))), SHOWN))
        picked = numbers[chosen]
        again = forecaster.forecast(windows, picked, alignments)
        facts, panel = self._data.facts, self._data.panel
        shown = show(panel, facts, windows, picked, again, self._config.series)
        return Decoded(measured, [sample_of(one) for one in shown], shown, dict(beside))

    def _gathered(self, own: Forecasts, count: int) -> Forecasts:
        """The forecasts of all processes, in the windows' order."""
        if self._hosts.count == 1:
            return own
        lists = [None if part is None else part.tolist() for part in own]
        every = self._hosts.gathered(lists)
        made: list[Any] = []
        for number, part in enumerate(own):
            if part is None:
                made.append(None)
                continue
            whole = np.zeros((count, *part.shape[1:]), part.dtype)
            for index, theirs in enumerate(every):
                whole[index :: self._hosts.count] = theirs[number]
            made.append(whole)
        return Forecasts(*made)


def sample_of(shown: Shown) -> dict[str, str]:
    """A forecast's first steps as text.

    >>> one = Shown("OT", *[np.array([1.25, np.nan])] * 3, None, None, None)
    >>> sample_of(one)["reference"]
    '1.25 -'
    """

    def listed(values: np.ndarray) -> str:
        return " ".join("-" if x != x else f"{x:.4g}" for x in values[:FIRST])

    return {
        "source": shown.title,
        "reference": listed(shown.truth),
        "hypothesis": listed(shown.point),
    }


def pictures(shown: list[Shown], count: int) -> dict[str, tuple[bytes, int, int]]:
    """PNGs of the first of some forecasts."""
    from seq2seq_jax.plots import forecast  # matplotlib

    return {str(n): forecast.png([one]) for n, one in enumerate(shown[:count], 1)}


def draw(shown: list[Shown], folder: Path) -> str | None:
    """The file of a picture of three forecasts; None: there are none."""
    from seq2seq_jax.plots import forecast  # matplotlib

    if not shown:
        return None
    return forecast.draw(spread(shown, 3), folder / "forecast.png").name
