"""Train: `python train.py configs/NAME.py --workdir DIR [--section.field value ...]`.

`python train.py configs/NAME.py -h` shows every flag with the recipe's value.
"""

from seq2seq_jax import program
from seq2seq_jax.commands import train

if __name__ == "__main__":
    program.run(lambda args: train.main(args, "train.py"))
