"""Pictures of 32 x 32 pixels to their names, as in Show, Attend and Tell (Xu 2015).

    python benchmarks/captions.py prepare --data captions-emoji --output runs/emoji
    python train.py configs/captions_emoji.py --workdir runs/captions \\
        --data.train-tsv runs/emoji/train.tsv --data.dev-tsv runs/emoji/dev.tsv \\
        --data.test-tsv runs/emoji/test.tsv

Sources name rows of `images32.npz`, beside the lists. A small convolutional net,
trained with the rest, makes 8 x 8 annotations; an LSTM with the gate beta and the
paper's deep output looks at them. Of the paper's two kinds of attention `soft` looks at
all of them by weight, `hard` at one that is drawn. docs/captions.md has what was
measured.
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config(variant: str = "soft") -> Config:
    """Soft or hard attention, words."""
    alignment, even = VARIANTS[variant]
    return Config(
        data=DataConfig(
            source_tokenizer="picture",
            target_tokenizer="word",
            vocab_size=4000,
            max_length=40,
            buckets=1,
        ),
        model=ModelConfig(
            frontend="convolutions",
            encoder="positions",
            embedding_size=96,
            hidden_size=192,
            attention="additive",
            attention_size=96,
            alignment=alignment,
            decoder="xu",
            dropout=0.3,
            output_dropout=0.3,
        ),
        training=TrainingConfig(
            epochs=40,
            batch_size=64,
            learning_rate=2e-3,
            schedule="cosine",
            warmup_steps=100,
            label_smoothing=0.1,
            doubly_stochastic=even,
            metric="exact_match",
            eval_every=500,
            eval_beam_size=5,
        ),
    )


# The alignment, and lambda of the loss for places looked at more or less than once.
VARIANTS = {"soft": ("global", 0.1), "hard": ("hard", 0.0)}
