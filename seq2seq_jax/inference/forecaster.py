"""Forecasts of a trained model: its decoder reads what it says itself."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import NormalDist

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax.config import Config, ModelConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.inference.workdir import check as check_workdir
from seq2seq_jax.nn import checks, model
from seq2seq_jax.nn.heads import HEADS
from seq2seq_jax.nn.scores import SCORES
from seq2seq_jax.series import facts
from seq2seq_jax.series.facts import Facts
from seq2seq_jax.series.metrics import Forecasts
from seq2seq_jax.series.windows import Windows, sizes_of
from seq2seq_jax.types import Batch, Params

BAND = 0.8  # of a Gaussian's; of quantiles the outermost ones are the band
ROWS = 256  # windows of a batch


def gaussian_band(outputs: jax.Array) -> jax.Array:
    """Of outputs `[..., M, 2]` low, point and high `[..., M, 3]`."""
    mean, deviation = jnp.moveaxis(outputs, -1, 0)
    wide = NormalDist().inv_cdf((1 + BAND) / 2) * deviation
    return jnp.stack([mean - wide, mean, mean + wide], -1)


def quantiles_band(outputs: jax.Array) -> jax.Array:
    """Of outputs `[..., M, W]` the first, the middle and the last, in rising order.

    Layers that cross are sorted (Chernozhukov et al. 2010), which never adds to the
    loss.
    """
    rising = jnp.sort(outputs, -1)
    width = outputs.shape[-1]
    return rising[..., jnp.array([0, width // 2, width - 1])]


BANDS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gaussian": gaussian_band,
    "quantiles": quantiles_band,
}


@partial(jax.jit, static_argnames="config")
def program(params: Params, batch: Batch, *, config: ModelConfig) -> tuple:
    """`(low, point and high [B, N, M, 3], or the point alone; weights [B, N, L])`."""
    outputs, weights = model.forecast(params, config, batch)
    if config.head in BANDS:
        return BANDS[config.head](outputs), weights
    return HEADS[config.head].point(outputs)[..., None], weights


class Forecaster:
    """Forecasts windows in batches of one shape.

    Args:
        params: of the model.
        config: its shape.
        rows: windows of a batch.
        check: called before each batch; what it raises ends the work.
    """

    def __init__(
        self,
        params: Params,
        config: ModelConfig,
        rows: int = ROWS,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.params, self.config, self.rows, self.check = params, config, rows, check

    def forecast(
        self, windows: Windows, numbers: np.ndarray, alignments: bool = False
    ) -> Forecasts:
        """Forecasts of the windows of some numbers, on the scale."""
        size = min(self.rows, len(numbers))
        bands, looked = [], []
        for begin in range(0, len(numbers), size):
            self.check()
            here = numbers[begin : begin + size]
            rows = np.full(size, -1)
            rows[: len(here)] = here
            batch = windows.collate(rows, *windows.lengths[0])
            band, weights = program(self.params, batch, config=self.config)
            centre = windows.centre(here)[:, None, :, None]
            bands.append(np.asarray(band)[: len(here)] + centre)
            if alignments and SCORES[self.config.attention].looks:
                looked.append(np.asarray(weights)[: len(here)])
        whole = np.concatenate(bands)
        weights = np.concatenate(looked) if looked else None
        if whole.shape[-1] == 1:
            return Forecasts(whole[..., 0], weights=weights)
        low, point, high = np.moveaxis(whole, -1, 0)
        return Forecasts(point, low, high, weights)


def load(
    workdir: Path,
    checkpoint: str | int,
    *,
    raw: bool,
    warn: Callable[[str], None],
) -> tuple[Forecaster, Config, Facts]:
    """A workdir's model of series; arguments as in `Predictor.load`.

    Raises:
        InputError: it is no workdir, or one of texts, or has no such checkpoint.
    """
    # Orbax is slow to load.
    from seq2seq_jax.training import origin
    from seq2seq_jax.training.checkpoints import Checkpoints

    check_workdir(workdir)
    config = checks.load(workdir / "config.json")
    if not config.series.given:
        raise InputError(
            f"{workdir} holds a model of texts, expected one of series: use "
            f"`seq2seq-jax translate`"
        )
    known = facts.load(workdir)
    if known is None:
        raise InputError(f"{workdir} has no {facts.NAME}: train first")
    like = jax.eval_shape(
        lambda: model.init_params(
            jax.random.key(0), config.model, *sizes_of(config.series)
        )
    )
    here = origin.found_in(workdir, config)
    checkpoints = Checkpoints(workdir / "checkpoints", log=warn, origin=here)
    params = checkpoints.load(checkpoint, like, raw=raw).params
    return Forecaster(params, config.model), config, known
