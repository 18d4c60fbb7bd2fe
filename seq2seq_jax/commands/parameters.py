"""`parameters`: how many numbers a recipe's model learns, and where they stand."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seq2seq_jax import flags
from seq2seq_jax.commands import recipes
from seq2seq_jax.config import Config
from seq2seq_jax.limits import validate

DESCRIPTION = """Count the parameters of a recipe's model, by part; nothing is trained.

The vocabularies are taken to be as large as data.vocab_size allows."""


@dataclass(frozen=True, kw_only=True)
class Options(Config):
    """Count the parameters of a recipe's model."""

    paths: flags.Switch = False
    """list each array: its path, as training.freeze takes it, and its shape"""


def main(args: Sequence[str], prog: str) -> None:
    """Count as the arguments say: `CONFIG [--section.field value ...]`.

    Raises:
        InputError: where the recipe or the flags cannot be used.
    """
    options, _ = recipes.parse(
        Options, args, prog, DESCRIPTION, "configs/NAME.py[:VARIANT]"
    )
    config = Config(**recipes.sections(options))
    counts = count(config)
    if options.paths:
        print("\n".join(listed(config)))
        return
    for part, number in counts.items():
        print(f"{part:<16}{number:>15,}")
    print(f"{'all':<16}{sum(counts.values()):>15,}")


def count(config: Config) -> dict[str, int]:
    """Numbers by part: embeddings, layers, attention, readout, output.

    `layers` holds the recurrent layers' matrices and biases, on their inputs too;
    `readout` whatever stands between them and the output layer, and the bridge.

    Raises:
        InputError: a model that cannot be.
    """
    import jax

    from seq2seq_jax.nn import checks, model
    from seq2seq_jax.training import freezing

    validate(config)
    checks.check(config.model, config.data.shared_vocab)
    sizes = freezing.largest(config)
    tree = jax.eval_shape(
        lambda: model.init_params(jax.random.key(0), config.model, *sizes)
    )
    encoder, decoder = tree["encoder"], tree["decoder"]
    parts = {
        "embeddings": [tree[side] for side in ("source", "target") if side in tree],
        "layers": [encoder["layers"], decoder["layers"]],
        "attention": decoder["attention"],
        "readout": [
            {name: part for name, part in side.items() if name not in TAKEN}
            for side in (encoder, decoder)
        ],
        "output": tree["head"],
    }
    return {
        name: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(part))
        for name, part in parts.items()
    }


def listed(config: Config) -> Iterator[str]:
    """A line for each array: its path, its shape, and whether it is frozen.

    Raises:
        InputError: a pattern of `training.freeze` names none of them.
    """
    from seq2seq_jax.training import freezing

    freezing.check(config)
    for path, kind in sorted(freezing.paths_of(config).items()):
        frozen = freezing.is_frozen(config.training.freeze, path)
        yield f"{path:<40} {kind}{'  frozen' if frozen else ''}"


TAKEN = ("layers", "attention")
