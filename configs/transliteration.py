"""Transliteration: a name in one script to another, letter by letter.

    python train.py configs/transliteration.py --workdir runs/names \\
        --data.train_tsv train.tsv --data.dev_tsv dev.tsv --data.test_tsv test.tsv

Two columns that a tab parts, a name each. A name that is written in several ways stands
in several lines: the closest one counts. Measured: docs/letters.md.
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config() -> Config:
    """A bidirectional LSTM and Luong's decoder over letters."""
    return Config(
        data=DataConfig(
            source_tokenizer="char",
            target_tokenizer="char",
            max_length=64,
            buckets=3,
        ),
        model=ModelConfig(
            embedding_size=128,
            dropout=0.3,
            output_dropout=0.3,
        ),
        training=TrainingConfig(
            steps=1500,
            batch_tokens=2048,
            learning_rate=2e-3,
            schedule="cosine",
            ema=0.995,
            eval_every=500,
            metric="token_error_rate",
            eval_beam_size=5,
        ),
    )
