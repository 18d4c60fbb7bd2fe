"""Parameters that stay as they are, by patterns of their paths (`training.freeze`).

A path is a parameter's name in a checkpoint: `encoder.layers.0.0.kernel`. A pattern is
a path or the beginning of some (`encoder`), with `*`, `?` and `[...]` as in file names,
where `*` goes past dots too (`*.bias`). What is frozen is no argument of what is
differentiated: it has no gradient, no place in its norm (which is clipped), no weight
decay, no moments in the optimiser's state, and is no part of what devices send each
other.
"""

import dataclasses
import difflib
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import jax
from jax import lax

from seq2seq_jax.config import Config
from seq2seq_jax.errors import InputError
from seq2seq_jax.nn import model
from seq2seq_jax.series import windows
from seq2seq_jax.training import fingerprints
from seq2seq_jax.training.step import AXIS, LossFn
from seq2seq_jax.types import Array, Batch, Params, TrainState


def matches(pattern: str, path: str) -> bool:
    """Whether a pattern names a path, or what it lies in.

    >>> matches("encoder.layers", "encoder.layers.0.bias"), matches("enc", "encoder.x")
    (True, False)
    """
    return fnmatchcase(path, pattern) or fnmatchcase(path, f"{pattern}.*")


def is_frozen(patterns: Sequence[str], path: str) -> bool:
    """Whether any of some patterns names a path."""
    return any(matches(pattern, path) for pattern in patterns)


def split(params: Params, patterns: Sequence[str]) -> tuple[Params, Params]:
    """What is learnt, and what is frozen: two trees, None where the other has a leaf.

    Without patterns the first is the tree itself.

    >>> split({"a": 1, "b": [2, 3]}, ["b.0"])
    ({'a': 1, 'b': [None, 3]}, {'a': None, 'b': [2, None]})
    """

    def part(wanted: bool) -> Params:
        def keep(path: tuple, leaf: Any) -> Any:
            frozen = is_frozen(patterns, fingerprints.dotted(path))
            return leaf if frozen == wanted else None

        return jax.tree_util.tree_map_with_path(keep, params)

    return part(False), part(True)


def join(learnt: Params, frozen: Params) -> Params:
    """The tree that `split` has parted.

    >>> join(*split({"a": 1, "b": [2, 3]}, ["b.0"]))
    {'a': 1, 'b': [2, 3]}
    """
    return jax.tree.map(
        lambda one, other: other if one is None else one,
        learnt,
        frozen,
        is_leaf=lambda leaf: leaf is None,
    )


def step_of(
    step: Callable,
    loss: LossFn,
    tx: Any,
    patterns: Sequence[str],
    rows: str | tuple[str, ...] = AXIS,
) -> Callable:
    """A training step `(state, batch, rows)` that leaves some parameters as they are.

    Args:
        step: `train_step`, with its options.
        loss: of all parameters.
        tx: the optimiser; its state is that of what is learnt.
        patterns: of what is frozen.
        rows: the mesh axes over which a batch's rows are spread.
    """

    def freezing(
        state: TrainState, batch: Batch, numbers: Array
    ) -> tuple[TrainState, dict[str, Array]]:
        learnt, frozen = split(state.params, patterns)
        # As `train_step` does with the others, so that a loss finds all alike.
        fixed = lax.pcast(frozen, rows, to="varying")

        def own(params: Params, *rest: Any) -> Any:
            return loss(join(params, fixed), *rest)

        part = dataclasses.replace(state, params=learnt)
        new, metrics = step(own, tx, part, batch, numbers)
        return dataclasses.replace(new, params=join(new.params, frozen)), metrics

    return freezing


def count(params: Params, patterns: Sequence[str]) -> int:
    """How many numbers are frozen."""
    return sum(leaf.size for leaf in jax.tree.leaves(split(params, patterns)[1]))


def check(config: Config) -> None:
    """Refuse a pattern that names no parameter, and patterns that name all.

    Raises:
        InputError: with the nearest names.
    """
    patterns = config.training.freeze
    if not patterns:
        return
    paths = paths_of(config)
    for pattern in patterns:
        if not any(matches(pattern, path) for path in paths):
            meant = nearest(pattern, paths)
            raise InputError(f"training.freeze {pattern!r} names no parameter{meant}")
    if all(is_frozen(patterns, path) for path in paths):
        raise InputError(
            f"training.freeze {' '.join(patterns)} leaves nothing to learn: all "
            f"{len(paths)} parameters are frozen"
        )


def paths_of(config: Config) -> dict[str, str]:
    """Type and shape of each parameter by its path, vocabularies as large as allowed.

    >>> paths_of(Config())["head.bias"]
    'float32[8000]'
    """
    make, sizes = model.init_params, largest(config)
    return fingerprints.kinds(
        jax.eval_shape(lambda: make(jax.random.key(0), config.model, *sizes))
    )


def largest(config: Config) -> tuple[int, ...]:
    """The sizes of both sides, vocabularies as large as the config allows."""
    if config.series.given:
        return windows.sizes_of(config.series)
    source = config.data.vocab_size
    return source, config.data.target_vocab_size or source


def nearest(pattern: str, paths: Sequence[str] | dict[str, str]) -> str:
    """What may have been meant: names that are alike, and the parts of the model."""
    names = {path.rsplit(".", depth)[0] for path in paths for depth in range(9)}
    close = difflib.get_close_matches(pattern.replace("/", "."), sorted(names), n=3)
    meant = f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""
    parts = sorted({path.split(".")[0] for path in paths})
    return (
        f"{meant}: the parts of this model are {', '.join(parts)}, and `seq2seq-jax "
        f"parameters CONFIG --paths` lists all paths"
    )
