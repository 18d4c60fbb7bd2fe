"""Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder".

    python train.py configs/cho2014.py --workdir runs/cho \\
        --data.train_tsv phrases.tsv --data.dev_tsv dev.tsv
    seq2seq-jax score --workdir runs/cho --source phrases.src --target phrases.tgt
    python train.py configs/cho2014.py:small --workdir runs/cho_small \\
        --data.train_source train.en --data.train_target train.de \\
        --data.dev_source val.en --data.dev_target val.de

A GRU reads a phrase into one vector c, another writes the target phrase with c in every
step and every gate. Its headline use is to score the pairs of a phrase table, which the
user brings as a TSV. `small` is compared in docs/papers.md.

Deviations of the full size: batches hold phrases of about one length, phrases of over
nine words are left out, the cells, V, V' and the output layer have biases, the 15,000
words count the special tokens, and the number of updates (about three days of the
authors' machine) is ours. The authors' code, GroundHog, cuts gradients at a norm of 1
(`--training.clip_norm 1`), of which the paper has no word. Of `small`: lower-cased
SentencePiece, dropout, the initial values `unit_rows`; a loss per token, smoothed by
0.1; Adam, clipped at 5, with warm-up and a cosine, in place of Adadelta.
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config(variant: str = "full") -> Config:
    """The paper's model, or `small` for two processor cores."""
    return VARIANTS[variant]()


def full() -> Config:
    """Section 4.1.1 and the appendix."""
    return Config(
        data=DataConfig(
            source_tokenizer="word",
            target_tokenizer="word",
            vocab_size=15_000,
            max_length=10,
            buckets=3,
        ),
        model=ModelConfig(
            cell="gru_reset_before",
            hidden_size=1000,
            embedding_size=100,
            bidirectional=False,
            bridge="zero",
            attention="none",
            decoder="cho",
            readout_size=500,
            output_rank=100,
            dropout=0.0,
            init="gaussian",
        ),
        training=TrainingConfig(
            steps=500_000,
            batch_size=64,
            normalize="sentences",
            optimizer="adadelta",
            learning_rate=1.0,
            schedule="constant",
            warmup_steps=0,
            clip_norm=None,
            label_smoothing=0.0,
            eval_every=5000,
        ),
    )


def small() -> Config:
    """128 units for some ten thousands of short pairs."""
    return Config(
        data=DataConfig(vocab_size=4000, lowercase=True, max_length=60, buckets=3),
        model=ModelConfig(
            cell="gru_reset_before",
            hidden_size=128,
            embedding_size=128,
            bidirectional=False,
            bridge="zero",
            attention="none",
            decoder="cho",
            readout_size=128,
            output_rank=64,
            dropout=0.2,
            init="unit_rows",
        ),
        training=TrainingConfig(
            steps=1500,
            batch_tokens=2048,
            learning_rate=1e-2,
            schedule="cosine",
            warmup_steps=100,
            eval_every=500,
            metric="bleu",
        ),
    )


VARIANTS = {"full": full, "small": small}
