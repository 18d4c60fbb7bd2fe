"""Historical spelling to today's, word by word (Bollmann 2019).

    python train.py configs/histnorm.py --workdir runs/ridges \\
        --data.train_tsv train.tsv --data.dev_tsv dev.tsv --data.test_tsv test.tsv

Two columns that a tab parts: a word as it was written, and as it is today. One
vocabulary, and letters may be copied, as most stay what they are. A word that stands
in several lines is one item, and of its spellings today the closest one counts: so
rates are of different words, not of running text. Measured: docs/letters.md.
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config() -> Config:
    """A bidirectional LSTM, Luong's decoder over letters and a pointer."""
    return Config(
        data=DataConfig(
            source_tokenizer="char",
            target_tokenizer="char",
            shared_vocab=True,
            max_length=64,
            buckets=3,
        ),
        model=ModelConfig(
            hidden_size=128,
            decoder_hidden_size=256,
            embedding_size=128,
            head="pointer",
            dropout=0.3,
        ),
        training=TrainingConfig(
            steps=1500,
            batch_tokens=2048,
            learning_rate=2e-3,
            schedule="cosine",
            ema=0.995,
            eval_every=500,
            metric="exact_match",
            eval_beam_size=5,
        ),
    )
