"""TFDS builders of data that is made here, without network or TensorFlow."""

import tensorflow_datasets as tfds

from seq2seq_jax.data.builders.cmudict import Cmudict
from seq2seq_jax.data.builders.dates import Dates
from seq2seq_jax.data.builders.drawn_out import DrawnOut
from seq2seq_jax.data.builders.reversal import Reversal
from seq2seq_jax.data.builders.spelling import Spelling

BUILDERS: dict[str, type[tfds.core.GeneratorBasedBuilder]] = {
    "cmudict": Cmudict,
    "dates": Dates,
    "drawn_out": DrawnOut,
    "reversal": Reversal,
    "spelling": Spelling,
}
