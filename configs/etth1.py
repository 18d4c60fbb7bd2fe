"""ETTh1: the oil temperature of a transformer, 24 hours ahead (Zhou et al. 2021).

    python train.py configs/etth1.py --workdir runs/etth1 --series.table ETTh1.csv
    seq2seq-jax forecast --workdir runs/etth1 -i ETTh1.csv --plot next.png

Univariate, the usual split of 12, 4 and 4 months, standardised by the training part,
all windows of the test part: MSE 0.0307 +- 0.0002 and MAE 0.1356 +- 0.0010 (seeds 1 to
3), where the naive forecast has 0.0343 and 0.1394, the seasonal-naive one 0.0458 and
0.1663, and the published LSTM with attention an MSE of 0.114. About five minutes on two
cores of an AMD EPYC with AVX-512, with other work beside it, 26 November 2026. For
other tables: docs/series.md.
"""

from seq2seq_jax.config import Config, ModelConfig, SeriesConfig, TrainingConfig


def get_config() -> Config:
    """An LSTM with Luong's decoder over four days, forecasting the next one."""
    return Config(
        series=SeriesConfig(
            time="date",
            targets=("OT",),
            calendar=("hour",),
            past_steps=96,
            horizon=24,
            dev_from="8640",
            test_from="11520",
            end="14400",
            centre="last",
        ),
        model=ModelConfig(
            frontend="features",
            head="mean",
            embedding_size=16,
            hidden_size=32,
            dropout=0.3,
        ),
        training=TrainingConfig(
            steps=500,
            batch_size=128,
            learning_rate=1e-3,
            schedule="cosine",
            eval_every=100,
            eval_examples=700,
            metric="mse",
            scheduled_sampling=1.0,
            ema=0.98,
        ),
    )
