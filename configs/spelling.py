"""Spelling correction, learnt from words or texts of your own.

    python train.py configs/spelling.py --workdir runs/spelling \\
        --data.dataset spelling/FILE

FILE has a word or a text a line, spelt as they should be. Slips are made for it: keys
beside the right one, letters left out, twice, or in the wrong order; one for each five
words of a line or part of them, at times one more, and none in a fifth of the lines.
Lines go to training, development and test set (90, 5, 5 in 100), each to one of them.
Real pairs go through `--data.train_tsv` and the like. Measured: docs/letters.md.
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config() -> Config:
    """A bidirectional LSTM over letters, attention in a window that moves along."""
    return Config(
        data=DataConfig(
            dataset="spelling",
            source_tokenizer="char",
            target_tokenizer="char",
            shared_vocab=True,
            max_length=160,
            buckets=4,
        ),
        model=ModelConfig(
            hidden_size=128,
            decoder_hidden_size=256,
            embedding_size=64,
            alignment="local_m",
            window=8,
            dropout=0.1,
        ),
        training=TrainingConfig(
            steps=4000,
            batch_tokens=4096,
            learning_rate=3e-3,
            schedule="cosine",
            metric="exact_match",
            eval_every=500,
        ),
    )
