"""An exported folder: its files, and the manifest that vouches for them."""

import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jax
import numpy as np

from seq2seq_jax import __version__
from seq2seq_jax.data.kinds import OURS
from seq2seq_jax.durable import sync_tree
from seq2seq_jax.errors import InputError
from seq2seq_jax.exporting import programs, reader, readme, runner, weights
from seq2seq_jax.inference.options import Search
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.nn.heads import HEADS
from seq2seq_jax.training.averaging import check_output

MANIFEST = "manifest.json"
CODE = {"runner.py": "translate.py"}
CODE |= {name: name for name in ("reader.py", "cutter.py")}
# Options of a search that are not baked into a folder: of samples, and of what is made
# of the outputs; whether there are alignments is told beside them.
ELSEWHERE = (
    *("temperature", "top_k", "top_p", "seed", "mbr", "utility"),
    *("replace_unk", "dictionary", "token_log_probs", "alignments"),
)


def write(
    folder: Path,
    predictor: Predictor,
    search: Search | None,
    form: str = "float32",
    platforms: Sequence[str] = programs.PLATFORMS,
    rows: int = programs.ROWS,
) -> dict[str, int]:
    """Export a model, whole or not at all.

    Args:
        folder: a new one.
        predictor: the model and its tokenisers.
        search: what is baked in; None: the model is a language model, and only scores.
        form: of the weights, by its name in `weights.FORMS`.
        platforms: of `programs.PLATFORMS`.
        rows: that the programs work off at a time.

    Returns:
        The bytes of each file.

    Raises:
        InputError: the folder is there already, or cannot be.
    """
    check_output(folder)
    check_model(predictor)
    made = Path(
        tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.absolute().parent)
    )
    try:
        fill(made, predictor, search, form, platforms, rows)
        sync_tree(made)
        made.chmod(0o755)  # a temporary folder is its owner's alone
        check_output(folder)  # it may have been made meanwhile
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.stat().st_size for path in files}


def check_model(predictor: Predictor) -> None:
    """Refuse a model whose ids the folder's own tokenisers could not make or read."""
    if predictor.config.sources > 1:
        raise InputError(
            f"model.sources is {predictor.config.sources}, and an exported folder cuts "
            f"no source into several: serve the workdir instead"
        )
    for kind in {each.kind for each in predictor.tokenizers} - OURS:
        raise InputError(
            f"tokeniser {kind!r} is none of this package's, and an exported folder has "
            f"no code of yours that could cut texts: serve the workdir instead"
        )
    if HEADS[predictor.config.head].copies:
        raise InputError(
            f"model.head {predictor.config.head!r} copies tokens that the vocabulary "
            f"lacks, which an exported folder cannot say: serve the workdir instead"
        )


def fill(
    made: Path,
    predictor: Predictor,
    search: Search | None,
    form: str,
    platforms: Sequence[str],
    rows: int,
) -> None:
    """Write all files, the manifest last."""
    stored = weights.pack(jax.device_get(programs.plain(predictor.params)), form)
    np.savez(made / "weights.npz", allow_pickle=False, **stored)
    wholes: dict[str, tuple[Callable[..., Any], int]] = {
        "score": (programs.scoring(predictor, form, rows), 2)
    }
    if search is not None:
        wholes["translate"] = (programs.translation(predictor, search, form, rows), 1)
    for name, (whole, sides) in wholes.items():
        data = programs.exported(whole, stored, sides, platforms, predictor.max_length)
        reader.program_of(name, data)  # it must be one that will be run
        (made / f"{name}.bin").write_bytes(data)
    predictor.source_tokenizer.save(made / "tokenizers", "source")
    predictor.target_tokenizer.save(made / "tokenizers", "target")
    for name, there in CODE.items():
        code = resources.files("seq2seq_jax.exporting").joinpath(name)
        (made / there).write_bytes(code.read_bytes())
    facts = {
        "format": runner.FORMAT,
        "seq2seq_jax": __version__,
        "jax": jax.__version__,
        "platforms": list(platforms),
        "programs": sorted(wholes),
        "weights": form,
        "rows": rows,
        "max_length": predictor.max_length,
        "alignments": search is not None and search.alignments,
        "search": baked(search) if search else None,
    }
    kinds = {t.kind for t in predictor.tokenizers}
    (made / "README.md").write_text(readme.text(facts, kinds), encoding="utf-8")
    files = sorted(path for path in made.rglob("*") if path.is_file())
    sums = {path.relative_to(made).as_posix(): checksum(path) for path in files}
    write_manifest(made / MANIFEST, facts | {"files": sums})


def baked(search: Search) -> dict[str, Any]:
    """The options of a search that its program has in it, by their names."""
    names = [field.name for field in dataclasses.fields(search)]
    return {name: getattr(search, name) for name in names if name not in ELSEWHERE}


def write_manifest(path: Path, facts: Mapping[str, Any]) -> None:
    """The facts with a checksum of their own, as the runner reads them."""
    digest = hashlib.sha256(runner.canonical(facts)).hexdigest()
    text = json.dumps(dict(facts) | {"digest": digest}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
