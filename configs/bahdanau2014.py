"""Bahdanau, Cho & Bengio 2014, "Neural machine translation by jointly learning to align
and translate".

    python train.py configs/bahdanau2014.py --workdir runs/rnnsearch --data.data_dir DIR
    python train.py configs/bahdanau2014.py:rnnencdec --workdir runs/rnnencdec ...
    python train.py configs/bahdanau2014.py:small --workdir runs/rnnsearch_small \\
        --data.train_source train.en --data.train_target train.de \\
        --data.dev_source val.en --data.dev_target val.de

RNNsearch-50: a bidirectional GRU, additive attention with the decoder's last state as
query before each update, a maxout readout. `rnnencdec` is its twin without attention,
whose context is always the encoder's last state; `rnnencdec_small` is that in small.
The paper's 26.75 BLEU (newstest2014, all sentences) was not tried: DIR must hold WMT14
as prepared by TFDS. `small` is compared in docs/papers.md.

Deviations of the full size: the cells, the bridge and the output layer have biases
(GroundHog has almost none outside the readout); buckets take the place of sorting 20
batches at a time; WMT14 is read whole, not cut to 348M words; there are as many updates
as RNNsearch-50* had; the paper does not tell its beam (12 is what others cite); the
30,000 words count the special tokens. The readout takes s_{i-1} as in appendix A.2.2;
`--model.decoder bahdanau` takes s_i as section 3.1 writes it, `bahdanau_groundhog` is
the authors' code's, whose states have read a word more. In that code the output layer
is a product of two matrices (`--model.output_rank 620`), which the paper's W_o is not.
Evaluations search without a length penalty: `translate --length-penalty 0`. GroundHog's
own search (lengths from half to three times the source's, a beam that loses a place to
each hypothesis that ends, cost over length, no UNK) is had by flags of `translate`:
docs/searching.md; where nothing ends it searches again with twice the beam (here the
last step can only end). Of `small`: lower-cased SentencePiece, dropout, the initial
values `unit_rows`; a loss per token, smoothed by 0.1; Adam, clipped at 5, with warm-up
and a cosine, in place of Adadelta; greedy evaluations.
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config(variant: str = "full") -> Config:
    """The paper's model, its twin, or either for two processor cores."""
    return VARIANTS[variant]()


def full(attention: bool = True) -> Config:
    """Section 4.2 and appendices A and B."""
    return Config(
        data=DataConfig(
            dataset="wmt14_translate/fr-en",
            source_key="en",
            target_key="fr",
            source_tokenizer="word",
            target_tokenizer="word",
            vocab_size=30_000,
            max_length=51,
        ),
        model=ModelConfig(
            cell="gru_bahdanau",
            hidden_size=1000,
            embedding_size=620,
            bidirectional=attention,
            bridge="backward",
            attention="additive" if attention else "last",
            attention_size=1000 if attention else None,
            decoder="bahdanau_appendix",
            readout_size=500,
            dropout=0.0,
            init="gaussian",
        ),
        training=TrainingConfig(
            steps=667_000,
            batch_size=80,
            normalize="sentences",
            optimizer="adadelta",
            learning_rate=1.0,
            schedule="constant",
            warmup_steps=0,
            clip_norm=1.0,
            label_smoothing=0.0,
            eval_every=5000,
            metric="bleu",
            eval_beam_size=12,
            eval_length_penalty=0.0,
        ),
    )


def small(attention: bool = True) -> Config:
    """128 units for some ten thousands of short pairs."""
    return Config(
        data=DataConfig(vocab_size=4000, lowercase=True, max_length=60, buckets=3),
        model=ModelConfig(
            cell="gru_bahdanau",
            hidden_size=128,
            embedding_size=128,
            bidirectional=attention,
            bridge="backward",
            attention="additive" if attention else "last",
            decoder="bahdanau_appendix",
            readout_size=128,
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


VARIANTS = {
    "full": full,
    "rnnencdec": lambda: full(attention=False),
    "small": small,
    "rnnencdec_small": lambda: small(attention=False),
}
