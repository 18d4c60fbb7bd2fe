"""Summaries: the description of a Debian package to its synopsis, a line (See 2017).

    python train.py configs/debian_synopsis.py:pointer --workdir runs/pointer \\
        --data.train_tsv train.tsv --data.dev_tsv dev.tsv --data.test_tsv test.tsv
    python train.py configs/debian_synopsis.py:coverage --workdir runs/coverage \\
        --training.init_from runs/pointer --training.init_partial True \\
        --data.train_tsv train.tsv --data.dev_tsv dev.tsv --data.test_tsv test.tsv

Of See et al. 2017: one vocabulary, a bidirectional LSTM, their decoder, additive
attention, and in a last phase, from the checkpoint before it, attention that knows
where it has been and a loss for looking there again. The variants are `plain`, which
only says words of its vocabulary, `pointer`, which copies too, and `coverage`. Not
theirs: Adam, dropout and label smoothing, for so few pairs; marks of punctuation are
words of their own; the first 63 words and marks of a description are read. Measured:
docs/summaries.md.
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config(variant: str = "pointer") -> Config:
    """See et al.'s model, of half its size."""
    attention, head, steps, last = VARIANTS[variant]
    return Config(
        data=DataConfig(
            source_tokenizer="word_marks",
            target_tokenizer="word_marks",
            shared_vocab=True,
            vocab_size=16000,
            lowercase=True,
            max_length=64,
            long_lines="truncate",
            buckets=4,
        ),
        model=ModelConfig(
            hidden_size=128,
            decoder_hidden_size=256,
            embedding_size=128,
            attention=attention,
            decoder="see",
            head=head,
            dropout=0.2,
        ),
        training=TrainingConfig(
            steps=steps,
            batch_tokens=4096,
            learning_rate=1e-3 if last else 2e-3,
            schedule="cosine",
            coverage_loss=1.0 if last else 0.0,
            eval_every=200 if last else 400,
            metric="rouge2",
            eval_beam_size=4,
            eval_examples=200,
        ),
    )


# Attention, head, updates, whether it goes on from the one before.
VARIANTS = {
    "plain": ("additive", "vocabulary", 2400, False),
    "pointer": ("additive", "pointer", 2400, False),
    "coverage": ("coverage", "pointer", 600, True),
}
