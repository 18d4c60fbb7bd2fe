"""Headlines of first sentences on Gigaword, through TFDS (Rush 2015, Nallapati 2016).

    python train.py configs/gigaword.py:plain --workdir runs/plain --data.data_dir DIR
    python train.py configs/gigaword.py:pointer --workdir runs/pointer \\
        --data.data_dir DIR
    python train.py configs/gigaword.py:coverage --workdir runs/coverage \\
        --training.init_from runs/pointer --training.init_partial True \\
        --data.data_dir DIR

DIR is a folder where TFDS has prepared `gigaword` as array_record: 3.8 million pairs of
Rush et al., in small letters, with `#` for digits and `UNK` for rare words. Not
measured: its authors had no machine to run it on. Rush et al.'s ABS has 29.6 ROUGE-1,
Nallapati et al.'s `words-lvt5k-1sent` 32.7.

The sizes are Nallapati et al.'s: bidirectional GRUs of 200, Bahdanau's decoder of 200,
words of 100 numbers, Adadelta, 50 pairs an update. Not theirs:

- The vocabulary is one for both sides, of 60,000 words, and all of it is said at every
  step; theirs is a batch's own words and the 5,000 most frequent ones.
- `pointer` mixes copying in (See et al. 2017); their switch is trained to say which.
  `coverage` goes on from it, as on CNN / Daily Mail.
- Word vectors start from the seed, not from word2vec, and of parts of speech, names and
  counts the encoder knows nothing. `--data.source_vectors` would read some.
- Adadelta has Zeiler's own rate of 1; theirs says 0.001.
- The gradient's norm is at most 1, and it ends after 10 epochs, or after 5 evaluations
  without a better loss; they do not tell either.
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config(variant: str = "pointer") -> Config:
    """Small enough for any GPU."""
    attention, head, epochs, coverage = VARIANTS[variant]
    return Config(
        data=DataConfig(
            dataset="gigaword",
            source_key="document",
            target_key="summary",
            source_tokenizer="word",
            target_tokenizer="word",
            shared_vocab=True,
            vocab_size=60_000,
            max_length=101,
            long_lines="truncate",
        ),
        model=ModelConfig(
            cell="gru_bahdanau",
            hidden_size=200,
            embedding_size=100,
            attention=attention,
            decoder="bahdanau",
            head=head,
            dropout=0.0,
        ),
        training=TrainingConfig(
            epochs=epochs,
            batch_size=50,
            optimizer="adadelta",
            learning_rate=1.0,
            schedule="constant",
            warmup_steps=0,
            clip_norm=1.0,
            label_smoothing=0.0,
            coverage_loss=coverage,
            eval_every=1000 if coverage else 10_000,
            patience=5,
            eval_beam_size=5,
            eval_examples=500,
        ),
    )


# Attention, head, epochs, weight of the coverage loss.
VARIANTS = {
    "plain": ("additive", "vocabulary", 10, 0.0),
    "pointer": ("additive", "pointer", 10, 0.0),
    "coverage": ("coverage", "pointer", 0.1, 1.0),
}
