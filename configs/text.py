"""Your own pairs: parallel text files, or one file of two columns.

    python train.py configs/text.py --workdir runs/mine \\
        --data.train_source train.en --data.train_target train.de \\
        --data.dev_source dev.en --data.dev_target dev.de

    python train.py configs/text.py --workdir runs/mine \\
        --data.train_tsv train.tsv --data.dev_tsv dev.tsv \\
        --data.source_tokenizer char --data.target_tokenizer word
"""

from seq2seq_jax.config import Config


def get_config() -> Config:
    """The defaults: 8,000 SentencePiece subwords a side, a BiLSTM, Luong's decoder."""
    return Config()
