"""Spelling to phonemes in any language, from some thousands of words (SIGMORPHON 2020).

    python train.py configs/g2p.py --workdir runs/french \\
        --data.train_tsv fre_train.tsv --data.dev_tsv fre_dev.tsv \\
        --data.test_tsv fre_test.tsv
    python benchmarks/letters.py --task g2p --data sigmorphon2020-g2p

A word and its phonemes, which spaces part, stand in two columns that a tab parts. A
word that has several pronunciations stands in several lines: the closest one counts.
Measured in 15 languages: docs/letters.md.
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config() -> Config:
    """A bidirectional LSTM and Luong's decoder, with much dropout for few words."""
    return Config(
        data=DataConfig(
            source_tokenizer="char",
            target_tokenizer="word",
            max_length=64,
            buckets=3,
        ),
        model=ModelConfig(
            embedding_size=128,
            init="unit_rows",
            dropout=0.3,
            output_dropout=0.3,
        ),
        training=TrainingConfig(
            steps=1500,
            batch_tokens=2048,
            learning_rate=2e-3,
            schedule="cosine",
            ema=0.995,
            eval_every=250,
            metric="exact_match",
            eval_beam_size=5,
        ),
    )
