"""German to English on WMT16, through TFDS.

    python train.py configs/wmt16_de_en.py --workdir runs/wmt16 --data.data_dir DIR

DIR is a folder where TFDS has prepared `wmt16_translate/de-en` as array_record. Not
measured: its authors had no machine to run it on.
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config() -> Config:
    """Sizes of tensorflow/nmt's `wmt16` recipe: 4 layers of 1024, for one large GPU."""
    return Config(
        data=DataConfig(
            dataset="wmt16_translate/de-en",
            source_key="de",
            target_key="en",
            shared_vocab=True,
            vocab_size=32_000,
            max_length=100,
        ),
        model=ModelConfig(
            hidden_size=512,
            decoder_hidden_size=1024,
            embedding_size=1024,
            encoder_layers=4,
            decoder_layers=4,
            residual="add",
            attention="additive",
            tied_embeddings="all",
            dtype="bfloat16",
        ),
        training=TrainingConfig(
            steps=300_000,
            batch_tokens=16_384,
            learning_rate=1e-3,
            warmup_steps=4000,
            eval_every=5000,
            metric="bleu",
        ),
    )
