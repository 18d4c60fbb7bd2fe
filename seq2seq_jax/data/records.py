"""Records of prepared TFDS data sets as sources that are named.

`FOLDER#SPLIT/17/KEY` is the feature KEY of record 17 of a split, or of a slice of one
(`train[:50%]`), of the data set prepared in FOLDER. Records are read one by one, where
they are asked for.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

from seq2seq_jax.errors import InputError

INFO = "dataset_info.json"  # what a prepared folder has


def name(folder: str | Path, split: str, number: int, key: str) -> str:
    """How a source names a record.

    >>> name("/data/coco", "val", 17, "image")
    '/data/coco#val/17/image'
    """
    return f"{folder}#{split}/{number}/{key}"


def named(text: str) -> bool:
    """Whether a source names one."""
    folder, apart, _ = text.rpartition("#")
    return bool(apart) and Path(folder, INFO).is_file()


def read(text: str) -> Any:
    """What a source names; a picture as the bytes of its file.

    Raises:
        InputError: there is no such record.
    """
    folder, _, place = text.rpartition("#")
    try:
        split, number, key = place.split("/", 2)
        return opened(folder, split)[int(number)][key]
    except Exception as error:  # array_record lets many errors through
        told = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{text} names no record that can be read, expected FOLDER#SPLIT/17/KEY: "
            f"{told}"
        ) from None


@lru_cache(maxsize=8)
def opened(folder: str, split: str) -> Any:
    """The records of a split."""
    import tensorflow_datasets as tfds

    return records_of(tfds.builder_from_directory(folder), split)


def records_of(builder: Any, split: str) -> Any:
    """The records of a split by number; pictures stay bytes until they are needed."""
    import tensorflow_datasets as tfds

    pictures = (
        key
        for key, feature in builder.info.features.items()
        if isinstance(feature, tfds.features.Image)
    )
    decoders = {key: tfds.decode.SkipDecoding() for key in pictures}
    return builder.as_data_source(split, decoders=decoders or None)
