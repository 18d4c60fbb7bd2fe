"""Long noisy copies: frames in which letters are drawn out, to be written down.

    python train.py configs/drawn_out.py --workdir runs/drawn

What listening asks of a model, with data made here: about eight frames a letter, no
frame enough to tell it. The encoder is Listen, Attend and Spell's (Chan 2016), whose
layers halve the length; attention is Chorowski 2015's, which sees where it looked
last. Measured, with a score that does not: docs/listening.md.
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config() -> Config:
    """A pyramid of three layers, which leaves a quarter of the frames."""
    return Config(
        data=DataConfig(
            dataset="drawn_out",
            source_tokenizer="features",
            target_tokenizer="char",
            max_length=400,
            buckets=4,
        ),
        model=ModelConfig(
            frontend="features",
            encoder="pyramid",
            encoder_layers=3,
            embedding_size=64,
            hidden_size=64,
            decoder_hidden_size=128,
            attention="location_sensitive",
            attention_size=64,
            decoder="bahdanau",
            window=5,
            dropout=0.1,
        ),
        training=TrainingConfig(
            steps=1500,
            batch_tokens=4096,
            learning_rate=2e-3,
            schedule="cosine",
            label_smoothing=0.0,
            metric="token_error_rate",
            eval_every=500,
        ),
    )
