"""tensorflow/nmt's standard hyperparameters (Luong, Brevdo & Zhao 2017).

    python train.py configs/tensorflow_nmt.py:iwslt15 --workdir runs/iwslt15 \\
        --data.train_source train.en --data.train_target train.vi \\
        --data.dev_source tst2012.en --data.dev_target tst2012.vi
    python train.py configs/tensorflow_nmt.py:small --workdir runs/nmt_small \\
        --data.train_source train.en --data.train_target train.de \\
        --data.dev_source val.en --data.dev_target val.de

Variants: iwslt15 (the default), wmt16, wmt16_gnmt_4_layer, wmt16_gnmt_8_layer, small.
docs/from-tensorflow-nmt.md maps every flag. Its 23.2 BLEU (IWSLT15 English to
Vietnamese, tst2012, greedy) was not tried: the files are the user's. `small` is
compared in docs/papers.md.

Deviations: the source ends with an end marker; the output layer has a bias; buckets are
chosen from the data; vocabulary sizes count the special tokens; the wmt16 variants cut
words by SentencePiece in place of BPE. Of `small`: lower-cased SentencePiece, one layer
of 128 a direction, wider first weights; a loss per token, smoothed by 0.1; Adam,
clipped at 1, with warm-up and a cosine, in place of SGD.
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config(variant: str = "iwslt15") -> Config:
    """One of nmt/standard_hparams, or `small` for two processor cores."""
    return VARIANTS[variant]()


def iwslt15() -> Config:
    """2 + 2 layers of 512: one bidirectional layer serves two decoder layers."""
    return Config(
        data=DataConfig(
            source_tokenizer="word",
            target_tokenizer="word",
            vocab_size=17_200,
            target_vocab_size=7_700,
            max_length=51,
            long_lines="truncate",
            buckets=5,
        ),
        model=model(512, 1, 2, "scaled_general", "luong_linear"),
        training=training(12_000, "luong234"),
    )


def wmt16() -> Config:
    """4 + 4 layers of 1024 over 32,000 subwords."""
    return Config(
        data=wmt_data(),
        model=model(1024, 2, 4, "normed_additive", "luong_linear"),
        training=training(340_000, "luong10"),
    )


def wmt16_gnmt(layers: int) -> Config:
    """GNMT attention, current context (`gnmt_v2`), residual connections."""
    return Config(
        data=wmt_data(),
        model=ModelConfig(
            cell="lstm",
            hidden_size=1024,
            embedding_size=1024,
            encoder_layers=layers,
            decoder_layers=layers,
            bidirectional_layers=1,
            residual="add",
            residual_from=3,
            bridge="each_direction",
            attention="normed_additive",
            decoder="gnmt_v2",
            dropout=0.2,
            init="uniform",
            init_scale=0.1,
        ),
        training=training(340_000, "luong10"),
    )


def wmt_data() -> DataConfig:
    """WMT16 German to English, through TFDS."""
    return DataConfig(
        dataset="wmt16_translate/de-en",
        source_key="de",
        target_key="en",
        shared_vocab=True,
        vocab_size=32_000,
        max_length=51,
        long_lines="truncate",
        buckets=5,
    )


def model(
    size: int,
    encoder_layers: int,
    decoder_layers: int,
    attention: str,
    decoder: str,
    init_scale: float = 0.1,
) -> ModelConfig:
    """The standard architecture: attention on the top layer, input feeding."""
    return ModelConfig(
        cell="lstm",
        hidden_size=size,
        embedding_size=size,
        encoder="stacks",
        encoder_layers=encoder_layers,
        decoder_layers=decoder_layers,
        bridge="each_direction",
        attention=attention,
        decoder=decoder,
        dropout=0.2,
        init="uniform",
        init_scale=init_scale,
    )


def training(steps: int, schedule: str) -> TrainingConfig:
    """SGD at 1.0, loss divided by sentences, clip at 5."""
    return TrainingConfig(
        steps=steps,
        batch_size=128,
        normalize="sentences",
        optimizer="sgd",
        learning_rate=1.0,
        schedule=schedule,
        warmup_steps=0,
        clip_norm=5.0,
        label_smoothing=0.0,
        log_every=100,
        eval_every=1000,
        metric="bleu",
        keep_last=5,
    )


def small() -> Config:
    """iwslt15's architecture with 128 units.

    First weights are wider: 128 units then make products as large as 1000 at 0.1 do.
    """
    return Config(
        data=DataConfig(vocab_size=4000, lowercase=True, max_length=60, buckets=3),
        model=model(128, 1, 2, "scaled_general", "luong_linear", init_scale=0.28),
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


VARIANTS = {
    "iwslt15": iwslt15,
    "wmt16": wmt16,
    "wmt16_gnmt_4_layer": lambda: wmt16_gnmt(4),
    "wmt16_gnmt_8_layer": lambda: wmt16_gnmt(8),
    "small": small,
}
