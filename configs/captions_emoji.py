"""Pictures of 32 x 32 pixels to their names, as in Show, Attend and Tell (Xu 2015).

    python benchmarks/captions.py prepare --data captions-emoji --output runs/emoji
    python train.py configs/captions_emoji.py --workdir runs/captions \\
        --data.train-tsv runs/emoji/train.tsv --data.dev-tsv runs/emoji/dev.tsv \\
        --data.test-tsv runs/emoji/test.tsv
    python train.py configs/captions_emoji.py:hard --workdir runs/hard \\
        --training.init-from runs/captions --data.train-tsv ... as above

Sources name rows of `images32.npz`, beside the lists. A small convolutional net,
trained with the rest, makes 8 x 8 annotations; an LSTM with the gate beta and the
paper's deep output looks at them. Of the paper's two kinds of attention `soft` looks at
all of them by weight, `hard` at one that is drawn; it goes on from the first's weights,
as alone it did not learn where to look. docs/captions.md has what was measured.
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config(variant: str = "soft") -> Config:
    """Soft or hard attention, words."""
    alignment, even, epochs, rate, spread = VARIANTS[variant]
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
            epochs=epochs,
            batch_size=64,
            learning_rate=rate,
            schedule="cosine",
            warmup_steps=100,
            label_smoothing=0.1,
            doubly_stochastic=even,
            attention_entropy=spread,
            metric="exact_match",
            eval_every=500,
            eval_beam_size=5,
        ),
    )


# The alignment, lambda of the loss for places looked at more or less than once, epochs,
# the highest rate, the weight of the entropy of what is drawn (`soft` draws nothing).
VARIANTS = {
    "soft": ("global", 0.1, 40, 2e-3, 0.01),
    "hard": ("hard", 0.0, 20, 1e-3, 0.0),
}
