"""Chen et al. 2018, "The best of both worlds" (RNMT+).

    python train.py configs/rnmt_plus2018.py --workdir runs/rnmt --data.data_dir DIR
    python train.py configs/rnmt_plus2018.py:small --workdir runs/rnmt_small \\
        --data.train_source train.en --data.train_target train.de \\
        --data.dev_source val.en --data.dev_target val.de

Six bidirectional encoder layers with a projection on top, eight decoder layers, layer
normalisation in every gate, four heads of additive attention queried from the bottom
decoder layer, whose context goes to every layer and to the softmax. Full size: 379.3M
parameters, of which the paper tells 378.9M. The paper's 28.49 BLEU (newstest2014) was
not tried: DIR must hold WMT14 as prepared by TFDS. `small` is compared in
docs/papers.md.

Gradients are not cut: a step whose gradient is an anomaly, four standard deviations
over the moving average of its logarithm, is not made (the paper's adaptive clipping).

Deviations of the full size: SentencePiece BPE in place of the wordpiece model; each
head has an additive score of its own and its projections have no biases (in the
authors' code, lingvo, heads share one score, and have biases; as there, a head's keys
and values are one projection of the annotations); the L2 penalty is on matrices alone
and has no part in the norm that is watched. The paper does not tell its dropout rates,
0.3 is that code's, as are the moving averages' decay and start. Dropout falls on what
layers read and on the readout, context included; pairs of over 100 subwords are left
out; the first states come from the encoder. Ours are the loss per token, the beam of 4
and its length penalty of 1. The 4,096 pairs of a batch are taken for 32 replicas of 128
each, which the schedule counts. The code differs from the paper: cell states are cut at
10 (`--model.cell rnmt_lstm_capped`), beta2 is 0.98, the rate decays from 400,000 on,
gradients over 100,000 are left out as well, the beam is 16. Of `small`: lower-cased
SentencePiece, two and three layers, residual connections from the second on, dropout on
their inputs alone, the initial values `unit_rows`; gradients clipped at 1, a cosine in
place of the schedule.
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config(variant: str = "full") -> Config:
    """The paper's model, or `small` for two processor cores."""
    return VARIANTS[variant]()


def full() -> Config:
    """Sections 4.1 and 4.2."""
    return Config(
        data=DataConfig(
            dataset="wmt14_translate/de-en",
            source_key="en",
            target_key="de",
            shared_vocab=True,
            vocab_size=32_000,
            max_length=100,
        ),
        model=ModelConfig(
            cell="rnmt_lstm",
            hidden_size=1024,
            embedding_size=1024,
            encoder_layers=6,
            decoder_layers=8,
            bidirectional=True,
            encoder_projection=1024,
            residual="add",
            residual_from=3,
            bridge="each_direction",
            attention="additive",
            attention_heads=4,
            attention_size=256,
            decoder="rnmt",
            dropout=0.3,
            attention_dropout=0.3,
            output_dropout=0.3,
            init="uniform",
            init_scale=0.04,
        ),
        training=full_training(),
    )


def full_training() -> TrainingConfig:
    """Section 4.2, and the authors' schedule."""
    return TrainingConfig(
        steps=40_000,
        batch_size=4096,
        optimizer="adam_l2",
        weight_decay=1e-5,
        epsilon=1e-6,
        learning_rate=1e-4,
        schedule="rnmt",
        warmup_steps=500,
        replicas=32,
        decay_start=600_000,
        decay_every=600_000,
        clip_norm=None,
        clip_deviations=4.0,
        label_smoothing=0.1,
        eval_every=5000,
        metric="bleu",
        eval_beam_size=4,
    )


def small() -> Config:
    """Two and three layers of 128 for some ten thousands of short pairs."""
    return Config(
        data=DataConfig(vocab_size=4000, lowercase=True, max_length=60, buckets=3),
        model=ModelConfig(
            cell="rnmt_lstm",
            hidden_size=128,
            embedding_size=128,
            encoder_layers=2,
            decoder_layers=3,
            bidirectional=True,
            encoder_projection=128,
            residual="add",
            bridge="each_direction",
            attention="additive",
            attention_heads=4,
            decoder="rnmt",
            dropout=0.2,
            init="unit_rows",
        ),
        training=TrainingConfig(
            steps=1500,
            batch_tokens=2048,
            learning_rate=2e-2,
            schedule="cosine",
            warmup_steps=100,
            clip_norm=1.0,
            eval_every=500,
            metric="bleu",
        ),
    )


VARIANTS = {"full": full, "small": small}
