"""ETTh1: the oil temperature of a transformer, 24 hours ahead (Zhou et al. 2021)."""

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
