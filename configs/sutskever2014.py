"""Sutskever, Vinyals & Le 2014, "Sequence to sequence learning with neural
networks".

    python train.py configs/sutskever2014.py --workdir runs/deep --data.data_dir DIR
    python train.py configs/sutskever2014.py:small --workdir runs/sutskever_small \\
        --data.train_source train.en --data.train_target train.de \\
        --data.dev_source val.en --data.dev_target val.de

Four LSTM layers read the reversed source, four others write the target from the last
state alone: no attention. Full size (section 3.4): 384M parameters, of which 64M are
recurrent. The paper's 34.8 BLEU (newstest2014, five models, beam 12) was not tried: DIR
must hold WMT14 as prepared by TFDS. `small` is compared in docs/papers.md.

Deviations of the full size: the LSTM has biases in its gates, which start at 0, the
forget gate's at 1, and no peepholes; the output layer has a bias; the paper's 12M
"selected" sentences are not published, so all of WMT14 is read; pairs of over 100 words
are left out; vocabulary sizes count the special tokens. The paper's search has no
length penalty, nor have evaluations here: `translate --length-penalty 0`. There a
hypothesis that ends leaves the beam (`--places shared`); by default its place goes to
the next best here. The search is over when as many have ended as the beam has places.
Of `small`: lower-cased SentencePiece, two layers, wider first weights; a loss per
token, smoothed by 0.1; Adam, clipped at 1, with warm-up and a cosine, in place of SGD;
greedy evaluations.
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config(variant: str = "full") -> Config:
    """The paper's model, or `small` for two processor cores."""
    return VARIANTS[variant]()


def full() -> Config:
    """Sections 3.1 to 3.4."""
    return Config(
        data=DataConfig(
            dataset="wmt14_translate/fr-en",
            source_key="en",
            target_key="fr",
            source_tokenizer="word",
            target_tokenizer="word",
            vocab_size=160_000,
            target_vocab_size=80_000,
            max_length=101,
        ),
        model=ModelConfig(
            cell="lstm",
            hidden_size=1000,
            embedding_size=1000,
            encoder_layers=4,
            decoder_layers=4,
            bidirectional=False,
            reverse_source=True,
            bridge="pass",
            attention="none",
            decoder="plain",
            dropout=0.0,
            init="uniform",
            init_scale=0.08,
        ),
        training=TrainingConfig(
            epochs=7.5,
            batch_size=128,
            normalize="sentences",
            optimizer="sgd",
            learning_rate=0.7,
            schedule="halving",
            warmup_steps=0,
            decay_unit="epochs",
            decay_start=5,
            decay_every=0.5,
            clip_norm=5.0,
            label_smoothing=0.0,
            eval_every=5000,
            metric="bleu",
            eval_beam_size=12,
            eval_length_penalty=0.0,
        ),
    )


def small() -> Config:
    """Two layers of 128 for some ten thousands of short pairs.

    First weights are wider: 128 units then make products as large as 1000 at 0.08 do.
    """
    return Config(
        data=DataConfig(vocab_size=4000, lowercase=True, max_length=60, buckets=3),
        model=ModelConfig(
            cell="lstm",
            hidden_size=128,
            embedding_size=128,
            encoder_layers=2,
            decoder_layers=2,
            bidirectional=False,
            reverse_source=True,
            bridge="pass",
            attention="none",
            decoder="plain",
            dropout=0.0,
            init="uniform",
            init_scale=0.22,
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
