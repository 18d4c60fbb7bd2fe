"""Luong, Pham & Manning 2015, "Effective approaches to attention-based NMT".

    python train.py configs/luong2015.py --workdir runs/luong --data.data_dir DIR
    python train.py configs/luong2015.py:small --workdir runs/luong_small \\
        --data.train_source train.en --data.train_target train.de \\
        --data.dev_source val.en --data.dev_target val.de
    seq2seq-jax translate --workdir runs/luong --replace-unk --dictionary words.tsv ...

The paper's best single model (table 1): four LSTM layers, reversed source, dropout,
local-p attention with the general score, input feeding; unknown words are replaced at
translation. Its other models by flags: `--model.alignment global|local_m`,
`--model.attention dot|concat|location`, `--model.input_feeding False`. Where paper and
code differ, `local_m` and `local_p` are the code's, `local_m_paper` and `local_p_paper`
the paper's; `concat` and `location` are the paper's, `concat_code` (the annotations
without a matrix) and `location_code` (a softmax over all positions, cut to the source;
with `--model.alignment global`) the code's. The paper's 19.0 BLEU (newstest2014, before
the replacement) was not tried: DIR must hold WMT14 as prepared by TFDS. `small` is
compared in docs/papers.md.

Deviations of the full size: the cells and the output layer have biases, which start at
0, the forget gate's at 1; attention sees the source's end marker, which in the authors'
code it does not; states and their gradients are cut as in that code by `--model.cell
clipped_lstm` alone; embeddings count in the gradient's norm; vocabulary sizes count the
special tokens. The paper's search has no length penalty, nor have evaluations here:
`translate --length-penalty 0`. The code's search (nmt.matlab: beam 12) takes lengths
from half to one and a half times the source's, which docs/searching.md has, and keeps
up to 100 ended translations; ours is over when as many have ended as the beam has
places. Of `small`: lower-cased SentencePiece, two layers, global attention, wider first
weights; a loss per token, smoothed by 0.1; Adam, clipped at 1, with warm-up and a
cosine, in place of SGD; greedy evaluations.
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config(variant: str = "full") -> Config:
    """The paper's model, or `small` for two processor cores."""
    return VARIANTS[variant]()


def full() -> Config:
    """Section 4.1, with dropout: 12 epochs, halving after the eighth."""
    return Config(
        data=DataConfig(
            dataset="wmt14_translate/de-en",
            source_key="en",
            target_key="de",
            source_tokenizer="word",
            target_tokenizer="word",
            vocab_size=50_000,
            max_length=51,
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
            attention="general",
            alignment="local_p",
            window=10,
            decoder="luong",
            input_feeding=True,
            dropout=0.2,
            init="uniform",
            init_scale=0.1,
        ),
        training=TrainingConfig(
            epochs=12,
            batch_size=128,
            normalize="sentences",
            optimizer="sgd",
            learning_rate=1.0,
            schedule="halving",
            warmup_steps=0,
            decay_unit="epochs",
            decay_start=8,
            decay_every=1,
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

    First weights are wider: 128 units then make products as large as 1000 at 0.1 do.
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
            attention="general",
            decoder="luong",
            input_feeding=True,
            dropout=0.2,
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
