"""A training that starts from another one's weights (`training.init_from`).

What runs over a vocabulary (embeddings, the output layer) takes the rows of the tokens
that both have; the rows of new tokens are as the seed makes them. Every other parameter
is taken as it is, by its path and shape; for series, which have no vocabulary, all of
them. The optimiser, the count of steps and the scales of series are new.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax import config as configs
from seq2seq_jax.config import Config, ModelConfig, SeriesConfig, TrainingConfig
from seq2seq_jax.data import tokenizers
from seq2seq_jax.data.tokenizers import Tokenizer
from seq2seq_jax.data.vocabulary import SPECIAL
from seq2seq_jax.errors import InputError, choose
from seq2seq_jax.nn import model
from seq2seq_jax.training import fingerprints, notes, origin, workdirs
from seq2seq_jax.training.checkpoints import Checkpoints
from seq2seq_jax.training.stored import Loaded
from seq2seq_jax.types import Params

SIDES = ("source", "target")
SHOWN = 3  # parameters that a message names
# Settings of series that say what a step's numbers are.
READ = """
    targets known past calendar past_steps horizon centre missing scaling
""".split()


class Rows(NamedTuple):
    """Whose rows are whose: of tokens that two vocabularies have.

    Attributes:
        new, old: `[N]` ids here and there.
        sizes: of both vocabularies.
    """

    new: np.ndarray
    old: np.ndarray
    sizes: tuple[int, int]

    @property
    def counts(self) -> tuple[int, int, int]:
        """Rows that are matched, new here, and dropped there."""
        same, (new, old) = len(self.new), self.sizes
        return same, new - same, old - same


class Piece(NamedTuple):
    """What a parameter takes over.

    Attributes:
        values: the whole of it, or rows along `axis`.
        rows: None: the whole.
        axis: that runs over the vocabulary.
    """

    values: np.ndarray
    rows: Rows | None = None
    axis: int = 0


class Warm(NamedTuple):
    """What was read: by path what is taken over, and facts as JSON values."""

    pieces: dict[str, Piece]
    facts: dict[str, Any]

    def put(self, params: Params) -> Params:
        """The parameters with all that is taken over in its place."""

        def leaf(path: tuple, param: Any) -> Any:
            piece = self.pieces.get(fingerprints.dotted(path))
            if piece is None:
                return param
            if piece.rows is None:
                return jnp.asarray(piece.values)
            at = (slice(None),) * piece.axis + (piece.rows.new,)
            return jnp.asarray(param).at[at].set(piece.values)

        return jax.tree_util.tree_map_with_path(leaf, params)


def check(config: TrainingConfig) -> None:
    """Refuse what names no checkpoint.

    Raises:
        InputError: with the choices.
    """
    if not config.init_checkpoint.isdecimal():
        names = ("best", "latest")
        choose(names, config.init_checkpoint, "training.init_checkpoint (or a step)")


def check_workdir(config: Config) -> None:
    """Refuse a folder that no training has left, or one of another kind of data.

    Raises:
        InputError: naming what is missing.
    """
    folder = config.training.init_from
    if folder is None:
        return
    for name in ("config.json", "checkpoints"):
        if not (Path(folder) / name).exists():
            raise InputError(
                f"training.init_from is {folder}, but there is no {name} in it: give "
                f"what that training had as --workdir, and a step of it as "
                f"training.init_checkpoint"
            )
    theirs = configs.load(Path(folder) / "config.json")
    if theirs.series.given != config.series.given:
        kinds = ["series" if one.series.given else "texts" for one in (theirs, config)]
        raise InputError(
            f"training.init_from is {folder}, which holds a model of {kinds[0]}, but "
            f"this training is one of {kinds[1]}: leave it out"
        )


def read(config: Config, data: Any, log: Callable[[str], None]) -> Warm:
    """The weights that `training.init_from` names, matched to a config's model.

    The checkpoint is checked as one that is resumed from. Where it has a moving average
    of the parameters, that is taken.

    Args:
        config: of this training.
        data: what it is trained on, prepared.
        log: takes a line for each table, and what else is to be told.

    Raises:
        InputError: there is no whole checkpoint, or its parameters do not fit.
    """
    workdir = Path(config.training.init_from or "")
    theirs = configs.load(workdir / "config.json")
    here = origin.found_in(workdir, theirs)
    checkpoints = Checkpoints(workdir / "checkpoints", log=log, origin=here)
    found = checkpoints.load(config.training.init_checkpoint)
    there = {
        name: np.asarray(x) for name, x in fingerprints.plain(found.params).items()
    }
    rows, along = {}, {}
    if not config.series.given:
        along = axes(config.model)
        for side in SIDES:
            old = tokenizers.load(workdir / "tokenizers", side)
            rows[side] = matched(old, getattr(data, f"{side}_tokenizer"))
    shapes = shapes_of(config.model, *data.sizes)
    pieces, wrong = fitted(there, shapes, along, rows)
    name = f"training.init_from {workdir}"
    if wrong and not config.training.init_partial:
        raise InputError(
            f"{name}: checkpoint {found.step} does not fit this model: "
            f"{listed(wrong)}; set these sizes as there, or training.init_partial True "
            f"to take what fits"
        )
    for line in told(found, pieces, wrong, unlike(theirs, config)):
        log(f"{name}: {line}")
    tables = {path: p.rows.counts for path, p in pieces.items() if p.rows}
    facts = {
        "workdir": str(workdir.absolute()),
        "step": found.step,
        "averaged": found.averaged,
        "weights": notes.digest(fingerprints.of(found.params))[:16],
        "tables": tables,
        "not_taken": sorted(wrong),
    }
    return Warm(pieces, facts)


def matched(old: Tokenizer, new: Tokenizer) -> Rows:
    """Ids of the tokens that two vocabularies have; the special ones are all alike.

    >>> old, new = (tokenizers.train("char", [text]) for text in ("aab", "bbc"))
    >>> rows = matched(old, new)
    >>> rows.new.tolist(), rows.old.tolist(), rows.counts
    ([0, 1, 2, 3, 4], [0, 1, 2, 3, 5], (5, 1, 1))
    """
    special = len(SPECIAL)
    ids = {token: number for number, token in enumerate(old.tokens, special)}
    pairs = [(number, number) for number in range(special)]
    pairs += [
        (number, ids[token])
        for number, token in enumerate(new.tokens, special)
        if token in ids
    ]
    ours, theirs = np.array(pairs, np.int32).T
    return Rows(ours, theirs, (new.size, old.size))


def shapes_of(config: ModelConfig, *sizes: int) -> dict[str, tuple]:
    """The shape of each parameter by its path; the sizes are `init_params`'s."""
    tree = jax.eval_shape(lambda: model.init_params(jax.random.key(0), config, *sizes))
    return {name: leaf.shape for name, leaf in fingerprints.plain(tree).items()}


def axes(config: ModelConfig) -> dict[str, tuple[str, int]]:
    """By path, of which side's vocabulary a parameter has rows, and along which axis.

    Found by making the vocabularies larger: no part of the model need tell.

    >>> sorted(axes(ModelConfig(tied_embeddings="output")).items())
    [('head.bias', ('target', 0)), ('source.table', ('source', 0)),
     ('target.table', ('target', 0))]
    """
    small, found = shapes_of(config, 8, 8), {}
    for side, sizes in zip(SIDES, ((9, 8), (8, 9)), strict=True):
        for path, shape in shapes_of(config, *sizes).items():
            for axis, size in enumerate(shape):
                if size != small[path][axis]:
                    found[path] = side, axis
    return found


def fitted(
    there: dict[str, np.ndarray],
    shapes: dict[str, tuple],
    axes: dict[str, tuple[str, int]],
    rows: dict[str, Rows],
) -> tuple[dict[str, Piece], dict[str, str]]:
    """By path what is taken over, and of what does not fit, what it is on both sides.

    Args:
        there: the other training's parameters.
        shapes: of this one's.
        axes: as `axes` gives them.
        rows: by side.
    """
    pieces, wrong = {}, {}
    for path in sorted(there.keys() | shapes.keys()):
        old, shape = there.get(path), shapes.get(path)
        side, axis = axes.get(path, ("", -1))
        expected = shape
        if shape is not None and side:  # here's shape with there's vocabulary
            expected = (*shape[:axis], rows[side].sizes[1], *shape[axis + 1 :])
        if old is None or old.shape != expected:
            wrong[path] = (
                f"{path} is {'missing' if old is None else list(old.shape)} there, "
                f"{'missing' if shape is None else list(shape)} here"
            )
        elif side:
            values = np.take(old, rows[side].old, axis)
            pieces[path] = Piece(values, rows[side], axis)
        else:
            pieces[path] = Piece(old)
    return pieces, wrong


def unlike(theirs: Config, ours: Config) -> list[str]:
    """What a step is read as that is other: shapes do not tell of all of it."""

    def part(config: Config) -> Config:
        read = {name: getattr(config.series, name) for name in READ}
        return Config(model=config.model, series=SeriesConfig(**read))

    lines = workdirs.differences(part(theirs), part(ours))
    return [line for line in lines if line.split(":")[0] not in workdirs.RESUMABLE]


def listed(lines: dict[str, str]) -> str:
    """The first of some lines, and how many more there are."""
    more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "; ".join(list(lines.values())[:SHOWN]) + more


def told(
    found: Loaded, pieces: dict[str, Piece], wrong: dict[str, str], other: list[str]
) -> list[str]:
    """What came of it, in lines: one for each table."""
    kind = "moving average" if found.averaged else "parameters"
    whole = sum(piece.rows is None for piece in pieces.values())
    lines = [f"the {kind} of checkpoint {found.step}; {whole} arrays as they are"]
    for path, piece in pieces.items():
        if piece.rows is not None:
            same, new, dropped = piece.rows.counts
            lines.append(
                f"{path}: {same:,} rows matched by token, {new:,} new, "
                f"{dropped:,} dropped"
            )
    if wrong:
        lines.append(
            f"{len(wrong)} arrays do not fit and are not taken: {listed(wrong)}"
        )
    if other:
        lines.append(f"that model was trained with other settings: {'; '.join(other)}")
    return lines
