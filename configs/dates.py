"""Written dates to ISO 8601, made with Babel: "Tuesday, 3 May 1988" -> "1988-05-03".

    python train.py configs/dates.py --workdir runs/dates

Measured on the test split of English dates: 100 % exact match, greedy, with each of the
seeds 1 to 3, after 2 minutes of training on 2 CPU cores, compiling included
(2026-11-24). A GRU gets there at once; an LSTM of the same size needs four times the
updates and falls just short.
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config() -> Config:
    """English dates by default; `--data.dataset dates/multi` for many locales."""
    return Config(
        data=DataConfig(
            dataset="dates/en",
            source_tokenizer="char",
            target_tokenizer="char",
            max_length=60,
            buckets=3,
        ),
        model=ModelConfig(
            cell="gru",
            hidden_size=128,
            embedding_size=64,
            attention="additive",
            dropout=0.1,
        ),
        training=TrainingConfig(
            steps=400,
            batch_tokens=2048,
            learning_rate=3e-3,
            schedule="cosine",
            warmup_steps=100,
            label_smoothing=0.0,
            metric="exact_match",
            eval_every=200,
        ),
    )
