"""TFDS data sets as pairs: prepared as array_record and read without TensorFlow."""

import contextlib
import importlib
import importlib.util
import io
import logging
import re
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.read_only_builder import builder_from_files

from seq2seq_jax.config import DataConfig
from seq2seq_jax.data import records
from seq2seq_jax.data.arrays import ARRAYS
from seq2seq_jax.data.builders import BUILDERS
from seq2seq_jax.data.sources import Pairs
from seq2seq_jax.errors import InputError, nearest

READ_AT_ONCE = 256  # records; pictures are not small
FORMAT = "array_record"  # the one that needs no TensorFlow
FAMILIES = (
    "translate",
    "summarization",
)  # TFDS modules that are not imported by itself


def dataset_pairs(
    data: DataConfig, split: str, log: Callable[[str], None]
) -> Pairs | None:
    """Pairs from two features of `data.dataset`, prepared first if need be.

    A text of several lines becomes one line. A target that is a sequence of texts makes
    as many pairs. Records with an empty side are left out, and their number is logged.

    Raises:
        InputError: if the data set, a split or a feature does not exist, or the data
            cannot be prepared here.
    """
    instruction = getattr(data, f"{split}_split")
    if split == "test" and not instruction:
        return None
    builder = open_builder(str(data.dataset), data.data_dir, log)
    _check_source(builder, data)
    if not _is_text(target := _check_key(builder, data, data.target_key)):
        raise _not(data, data.target_key, target, "Text")
    found = _open_split(builder, f"data.{split}_split", instruction)
    folder = Path(builder.data_path).absolute()
    name = f"{data.dataset} {instruction}"
    ends = array("q")  # of each record, the pairs up to it
    left_out: list[int] = []

    def source_of(number: int, record: Any) -> str:
        if data.source_tokenizer in ARRAYS:
            return records.name(folder, instruction, number, data.source_key)
        return _texts(record, data.source_key)[0]

    def read() -> Iterator[tuple[str, str]]:
        del ends[:]
        count = empty = 0
        for source, targets in _read(found, data, name, source_of):
            full = [text for text in targets if source.strip() and text.strip()]
            empty += len(targets) - len(full)
            yield from ((source, text) for text in full)
            count += len(full)
            ends.append(count)
        if empty and not left_out:
            log(f"{name}: {empty:,} left out, as a side is empty")
            left_out.append(empty)

    return Pairs(
        name,
        f"{builder.info.full_name} {instruction} {data.source_key} {data.target_key} "
        f"{len(found)} {_changed(builder)}",
        read,
        lambda index: f"{name}, record {bisect_right(ends, index)}",
    )


def open_builder(
    name: str, data_dir: str | None, log: Callable[[str], None]
) -> tfds.core.DatasetBuilder:
    """The builder of a data set by name, one of ours or of TFDS; its data is prepared.

    Raises:
        InputError: if there is none of that name, or its data cannot be prepared.
    """
    with _quiet():
        builder = _find_builder(name, data_dir)
    if not (builder.data_path / "dataset_info.json").exists():
        log(f"preparing the TFDS data set {name} in {builder.data_dir}")
        _prepare(builder, name)
    return builder


def _find_builder(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    root = re.split(r"[/:]", name)[0]
    try:
        if root in BUILDERS:
            config = name.partition("/")[2] or None
            return BUILDERS[root](config=config, data_dir=data_dir)
        _import_family(root)
        return _by_name(name, data_dir)
    except tfds.core.registered.DatasetNotFoundError:
        known = [*BUILDERS, *tfds.list_builders(with_community_datasets=False)]
        raise InputError(
            f"data.dataset is {name!r}, expected {', '.join(BUILDERS)} or a name of "
            f"TFDS{nearest(root, known)}"
        ) from None
    except (ValueError, TypeError, AttributeError, ImportError, RuntimeError) as error:
        raise InputError(
            f"the TFDS data set {name!r} cannot be opened: {_first_line(error)}"
        ) from None


def _by_name(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    """One of TFDS; its files alone where its code needs a TensorFlow that lacks."""
    try:
        return tfds.builder(name, data_dir=data_dir, try_gcs=False)
    except (RuntimeError, ImportError) as error:
        try:
            return builder_from_files(name, data_dir=data_dir)
        except tfds.core.registered.DatasetNotFoundError:
            raise error from None


def _import_family(root: str) -> None:
    """Make TFDS know data sets such as wmt16_translate, which it does not import."""
    stem = root.removesuffix("_translate")
    for family in FAMILIES:
        for name in {root, stem}:
            module = f"tensorflow_datasets.{family}.{name}"
            with contextlib.suppress(ImportError):
                importlib.import_module(module)


def _prepare(builder: tfds.core.DatasetBuilder, name: str) -> None:
    """Download and prepare; TFDS writes to a temporary folder and renames it."""
    tfds.disable_progress_bar()
    try:
        with _quiet(), _extractor_without_tensorflow():
            builder.download_and_prepare(file_format=FORMAT)
    except InputError:
        raise
    except (
        Exception
    ) as error:  # TFDS lets any error of a builder or the network through
        remedy = (
            "it needs TensorFlow to be prepared: prepare it where that is installed, "
            f"with file_format={FORMAT!r}, and copy the folder to data.data_dir"
            if "tensorflow" in str(error).lower()
            else "check the network, or prepare it elsewhere and set data.data_dir"
        )
        raise InputError(
            f"the TFDS data set {name!r} cannot be prepared in {builder.data_dir} "
            f"({_first_line(error)}): {remedy}"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what TFDS prints off stdout, which belongs to results, and its warnings."""
    absl = logging.getLogger("absl")
    level = absl.level
    absl.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        absl.setLevel(level)


@contextlib.contextmanager
def _extractor_without_tensorflow() -> Iterator[None]:
    """Let TFDS unpack archives where TensorFlow is missing.

    Its extractor uses TensorFlow to open local files and to turn bytes into text, no
    more; what stands in for these is taken away again.
    """
    from tensorflow_datasets.core.download import extractor

    if importlib.util.find_spec("tensorflow") or not hasattr(extractor, "tf"):
        yield
        return
    real, module = extractor.tf, vars(extractor)
    module["tf"] = SimpleNamespace(
        compat=SimpleNamespace(
            as_text=lambda p: p if isinstance(p, str) else p.decode()
        ),
        io=SimpleNamespace(gfile=SimpleNamespace(GFile=open)),
    )
    try:
        yield
    finally:
        module["tf"] = real


def _check_source(builder: tfds.core.DatasetBuilder, data: DataConfig) -> None:
    """Refuse a source that is not what the tokenizer reads."""
    key, features = data.source_key, builder.info.features
    feature = features[key] if key in features else _check_key(builder, data, key)
    fits, expected = NUMBERS.get(data.source_tokenizer, (_is_text, "Text"))
    if not fits(feature):
        raise _not(data, key, feature, expected)


def _check_key(
    builder: tfds.core.DatasetBuilder, data: DataConfig, key: str
) -> tfds.features.FeatureConnector:
    """The feature of that name; `a/b` is b of the sequence a."""
    features = builder.info.features
    first, _, rest = (key, "", "") if key in features else key.partition("/")
    found: Any = dict(features).get(first)
    if isinstance(found, tfds.features.Sequence):
        found = found.feature
    if rest:
        inner = isinstance(found, tfds.features.FeaturesDict)
        found = dict(found).get(rest) if inner else None
    if found is None:
        raise InputError(
            f"{data.dataset} has no feature {key!r}, it has {', '.join(features)}"
            f"{nearest(key, features)}: set data.source_key and data.target_key"
        )
    return found


def _is_text(feature: tfds.features.FeatureConnector) -> bool:
    """A `Text`, or a string that a data set does not call one."""
    return isinstance(feature, tfds.features.Text) or (
        isinstance(feature, tfds.features.Tensor)
        and not feature.shape
        and feature.np_dtype == np.object_
    )


def _is_numbers(feature: tfds.features.FeatureConnector) -> bool:
    """`[S, F]` or `[H, W, C]`."""
    return (
        isinstance(feature, tfds.features.Tensor)
        and len(feature.shape) in (2, 3)
        and np.dtype(feature.np_dtype).kind in "uif"
    )


# What sources that are numbers are read from, and its name.
NUMBERS: dict[str, tuple[Callable[..., bool], str]] = {
    "features": (_is_numbers, "a Tensor [S, F] of numbers"),
    "picture": (lambda feature: isinstance(feature, tfds.features.Image), "Image"),
}


def _not(data: DataConfig, key: str, feature: Any, expected: str) -> InputError:
    return InputError(
        f"feature {key!r} of {data.dataset} is {type(feature).__name__}, not "
        f"{expected}: set data.source_key and data.target_key"
    )


def _open_split(builder: tfds.core.DatasetBuilder, field: str, instruction: str) -> Any:
    try:
        return records.records_of(builder, instruction)
    except NotImplementedError:
        raise InputError(
            f"{builder.data_dir} is prepared as {builder.info.file_format.value}, "
            f"expected {FORMAT}: set data.data_dir to another folder"
        ) from None
    except (ValueError, KeyError) as error:
        raise InputError(
            f"{field} is {instruction!r}, and the data set has the splits "
            f"{', '.join(builder.info.splits)} (slices such as train[:90%] work): "
            f"{_first_line(error)}"
        ) from None


def _read(
    found: Any, data: DataConfig, name: str, source_of: Callable[[int, Any], str]
) -> Iterator[tuple[str, list[str]]]:
    """Source and targets of each record."""
    for start in range(0, len(found), READ_AT_ONCE):
        numbers = list(range(start, min(start + READ_AT_ONCE, len(found))))
        for number, record in enumerate(_fetch(found, numbers, name), start):
            try:
                yield source_of(number, record), _texts(record, data.target_key)
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{name}, record {number} is not UTF-8: {error.reason}"
                ) from None


def _fetch(found: Any, numbers: list[int], name: str) -> Any:
    """Some records.

    Raises:
        InputError: they cannot be read; array_record lets many errors through.
    """
    try:
        return found.__getitems__(numbers)
    except Exception as error:
        raise InputError(
            f"{name}, records {numbers[0]} to {numbers[-1]} cannot be read: "
            f"{_first_line(error)}; if the files are damaged, delete the prepared data "
            f"set, and it is prepared again"
        ) from error


def _texts(record: Any, key: str) -> list[str]:
    """What a record has under a key, each text in one line."""
    first, _, rest = (key, "", "") if key in record else key.partition("/")
    value = record[first][rest] if rest else record[first]
    several = [value] if isinstance(value, bytes | str) else list(value)
    return [_text(one) for one in several]


def _text(value: bytes | str) -> str:
    """Data on disk is bytes; TFDS's mocked data is text already.

    A text is one line here as it is in files: what is read, said and measured is.

    >>> _text(b"One.\\nTwo.\\r\\n")
    'One. Two.'
    """
    text = value if isinstance(value, str) else value.decode("utf-8")
    if "\n" not in text:
        return text
    return " ".join(line for part in text.split("\n") if (line := part.strip()))


def _changed(builder: tfds.core.DatasetBuilder) -> str:
    """When the data was prepared, where it is a local folder."""
    with contextlib.suppress(OSError, AttributeError):
        return str((builder.data_path / "dataset_info.json").stat().mtime)
    return ""


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip().rstrip(":")
