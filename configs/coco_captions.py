"""Captions of photographs on COCO, through TFDS (Show, Attend and Tell, Xu 2015).

    python train.py configs/coco_captions.py --workdir runs/coco --data.data_dir DIR

DIR is a folder where TFDS has prepared `coco_captions` as array_record: 2014's pictures
in Karpathy and Li's splits, with five captions each. In training each caption is a pair
of its own; of a development or test picture all captions are accepted. Not measured:
its authors had no machine to run it on. The paper has 24.3 BLEU-4 with soft attention.

Pictures are read one by one and scaled to 64 x 64 pixels, whatever their shape. The
workdir's `data/` keeps each picture once, as float32: 5.6 GB for the 113,287 of
training, on the disk; memory holds batches. Not Xu et al.'s:

- A convolutional net of four layers, trained with the rest, makes 16 x 16 annotations
  of 256 numbers; theirs are 14 x 14 of 512, by a VGG net trained on ImageNet.
- Sizes are about half of theirs, and Adam's rate, dropout and lambda (1) are ours.
- Words have marks apart; theirs leave marks out.
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config() -> Config:
    """Soft attention, words, for one GPU."""
    return Config(
        data=DataConfig(
            dataset="coco_captions",
            source_key="image",
            target_key="captions/text",
            train_split="train+restval",
            dev_split="val",
            source_tokenizer="picture",
            picture_size=64,
            target_tokenizer="word_marks",
            vocab_size=10_000,
            lowercase=True,
            max_length=64,
            long_lines="truncate",
            buckets=1,
        ),
        model=ModelConfig(
            frontend="convolutions",
            encoder="positions",
            embedding_size=256,
            hidden_size=512,
            attention="additive",
            attention_size=256,
            decoder="xu",
            dropout=0.3,
            output_dropout=0.3,
        ),
        training=TrainingConfig(
            epochs=20,
            batch_size=64,
            learning_rate=1e-3,
            schedule="cosine",
            warmup_steps=1000,
            doubly_stochastic=1.0,
            metric="bleu",
            eval_every=5000,
            eval_beam_size=5,
            eval_examples=1000,
        ),
    )
