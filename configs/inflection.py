"""Inflection: a lemma and its features to a form (CoNLL-SIGMORPHON 2017, task 1).

    python train.py configs/inflection.py:high --workdir runs/german \\
        --data.train_tsv train-high.tsv --data.dev_tsv dev.tsv --data.test_tsv test.tsv
    echo -e 'Haus\\tN;DAT;PL' | seq2seq-jax translate --workdir runs/german

Lemma, features (`N;DAT;PL`) and form stand in three columns that tabs part. The source
is the lemma's letters and then its features, each a token of its own; with
`--model.sources 2` each has an encoder. The variants are for as many words as the
shared task's: `high` 10,000, `medium` 1,000, `low` 100, of which one may copy letters
from the lemma, even those that it has never seen (`--model.head vocabulary`: not).
Measured: docs/letters.md.
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config(variant: str = "high") -> Config:
    """A bidirectional LSTM and Luong's decoder over letters."""
    steps, tokens, drop, size, copies = VARIANTS[variant]
    return Config(
        data=DataConfig(
            features_column=1,
            target_column=2,
            source_tokenizer="char_features",
            target_tokenizer="char_features" if copies else "char",
            shared_vocab=copies,
            max_length=64,
            buckets=3,
        ),
        model=ModelConfig(
            hidden_size=size,
            decoder_hidden_size=2 * size if copies else None,
            embedding_size=min(size, 128),
            head="pointer" if copies else "vocabulary",
            dropout=drop,
            output_dropout=drop,
        ),
        training=TrainingConfig(
            steps=steps,
            batch_tokens=tokens,
            learning_rate=2e-3,
            schedule="cosine",
            eval_every=steps // 5,
            metric="exact_match",
            eval_beam_size=5,
        ),
    )


# Updates, tokens of an update, dropout, units, whether letters may be copied.
VARIANTS = {
    "high": (2000, 2048, 0.3, 256, False),
    "medium": (1200, 1024, 0.4, 256, False),
    "low": (500, 1024, 0.4, 64, True),
}
