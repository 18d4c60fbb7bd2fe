"""Your own pairs: parallel text files, or one file of two columns.

    python train.py configs/text.py --workdir runs/mine \\
        --data.train_source train.en --data.train_target train.de \\
        --data.dev_source dev.en --data.dev_target dev.de

    python train.py configs/text.py --workdir runs/mine \\
        --data.train_tsv train.tsv --data.dev_tsv dev.tsv \\
        --data.source_tokenizer char --data.target_tokenizer word

Measured with the flags in the README, beam 5, on two CPU cores (2026-11-26):
SIGMORPHON 2020 French pronunciation, 450 test words: 7.6 ± 1.1 % wrong, over seeds 1 to
3; Multi30k English to German, test 2016, lowercased: 37.1 BLEU, seed 1.
"""

from seq2seq_jax.config import Config


def get_config() -> Config:
    """The defaults: 8,000 SentencePiece subwords a side, a BiLSTM, Luong's decoder."""
    return Config()
