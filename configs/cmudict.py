"""English spelling to phonemes on CMUdict (the recipe of `make train`).

    python train.py configs/cmudict.py --workdir runs/cmudict

Measured on the test split, 6,202 words that were not trained on (a split of our own,
so no published number compares): 8.8 ± 0.2 % phoneme errors, 35.7 ± 0.6 % of words
wrong, greedy, over seeds 1 to 3, after 2 minutes of training on two CPU cores
(2026-11-26).
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config() -> Config:
    """A bidirectional LSTM and Luong's decoder over letters and phonemes."""
    return Config(
        data=DataConfig(
            dataset="cmudict",
            source_tokenizer="char",
            target_tokenizer="word",
            max_length=40,
            buckets=4,
        ),
        model=ModelConfig(
            hidden_size=128,
            embedding_size=64,
            attention="general",
            dropout=0.1,
        ),
        training=TrainingConfig(
            steps=1600,
            batch_tokens=2048,
            learning_rate=4e-3,
            schedule="cosine",
            warmup_steps=100,
            label_smoothing=0.1,
            metric="token_error_rate",
            eval_every=400,
        ),
    )
