"""Wu et al. 2016, "Google's neural machine translation system" (GNMT).

    python train.py configs/gnmt2016.py --workdir runs/gnmt --data.data_dir DIR
    python train.py configs/gnmt2016.py:small --workdir runs/gnmt_small \\
        --data.train_source train.en --data.train_target train.de \\
        --data.dev_source val.en --data.dev_target val.de
    seq2seq-jax translate --workdir runs/gnmt --beam-size 12 --length-penalty 0.2 \\
        --coverage-penalty 0.2

Eight encoder layers, the bottom one bidirectional, eight decoder layers, residual from
the third layer up; attention queried with the bottom decoder layer's output of the step
before, its context handed to all layers. tensorflow/nmt's two wirings differ:
`--model.decoder gnmt`, whose first context is 0, and `gnmt_v2`, queried with this
step's output. The paper's 38.95 BLEU (newstest2014) was not tried: DIR must hold WMT14
as prepared by TFDS. `small` is compared in docs/papers.md.

Deviations of the full size: SentencePiece BPE in place of the wordpiece model; one
synchronous batch of 128 pairs in place of ten to twelve asynchronous replicas; the
first states come from the encoder as in tensorflow/nmt (`--model.bridge zero`: they are
0); biases start at 0, the forget gate's at 1; pairs of over 100 subwords are left out;
evaluations prune nothing within their beam (the paper's search leaves out what is 3
worse than the best: `translate --prune 3`); no refinement by reinforcement and no
quantisation. How the loss is averaged is not told: over pairs. Dropout of 0.2 is
English to French's, 0.3 was English to German's. Of `small`: lower-cased SentencePiece,
three layers, residual connections from the second on (from the third on, so few hardly
learn), wider first weights, no dropout (it learns sooner without); a loss per token,
smoothed by 0.1; Adam, clipped at 1, with a cosine, throughout; greedy evaluations.
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config(variant: str = "full") -> Config:
    """The paper's model, or `small` for two processor cores."""
    return VARIANTS[variant]()


def full() -> Config:
    """Sections 3 and 5: Adam for 60,000 updates, then SGD, halved from 1.2M on."""
    return Config(
        data=DataConfig(
            dataset="wmt14_translate/fr-en",
            source_key="en",
            target_key="fr",
            shared_vocab=True,
            vocab_size=32_000,
            max_length=100,
        ),
        model=ModelConfig(
            cell="lstm",
            hidden_size=1024,
            embedding_size=1024,
            encoder_layers=8,
            decoder_layers=8,
            bidirectional=True,
            bidirectional_layers=1,
            residual="add",
            residual_from=3,
            bridge="each_direction",
            attention="additive",
            attention_size=1024,
            decoder="gnmt_paper",
            dropout=0.2,
            init="uniform",
            init_scale=0.04,
        ),
        training=TrainingConfig(
            steps=2_000_000,
            batch_size=128,
            normalize="sentences",
            optimizer="adam",
            learning_rate=2e-4,
            schedule="halving",
            warmup_steps=0,
            sgd_from=60_000,
            sgd_learning_rate=0.5,
            decay_start=1_200_001,
            decay_every=200_000,
            clip_norm=5.0,
            label_smoothing=0.0,
            eval_every=10_000,
            metric="bleu",
            eval_beam_size=8,
            eval_length_penalty=0.2,
            eval_coverage_penalty=0.2,
        ),
    )


def small() -> Config:
    """Three layers of 128 for some ten thousands of short pairs.

    First weights are wider: layers of 128 units begin to learn sooner with them.
    """
    return Config(
        data=DataConfig(vocab_size=4000, lowercase=True, max_length=60, buckets=3),
        model=ModelConfig(
            cell="lstm",
            hidden_size=128,
            embedding_size=128,
            encoder_layers=3,
            decoder_layers=3,
            bidirectional=True,
            bidirectional_layers=1,
            residual="add",
            bridge="each_direction",
            attention="additive",
            decoder="gnmt_paper",
            dropout=0.0,
            init="uniform",
            init_scale=0.28,
        ),
        training=TrainingConfig(
            steps=1500,
            batch_tokens=2048,
            learning_rate=1e-2,
            schedule="cosine",
            warmup_steps=100,
            clip_norm=1.0,
            eval_every=500,
            metric="bleu",
        ),
    )


VARIANTS = {"full": full, "small": small}
