"""The way of the data: pairs -> tokenisers -> corpora of ids -> batches."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq_jax.config import Config, DataConfig
from seq2seq_jax.data import arrays, tokenizers
from seq2seq_jax.data.arrays import ARRAYS
from seq2seq_jax.data.corpus import Corpus, open_corpus
from seq2seq_jax.data.encoding import LONG_LINES, Log, describe, encode
from seq2seq_jax.data.files import write_atomic
from seq2seq_jax.data.kinds import OURS
from seq2seq_jax.data.plan import BatchPlan, Examples
from seq2seq_jax.data.sources import Pairs, open_pairs
from seq2seq_jax.data.tokenizers import TOKENIZERS, Tokenizer
from seq2seq_jax.errors import InputError, choose
from seq2seq_jax.nn.heads import HEADS
from seq2seq_jax.types import Batch

SIDES = ("source", "target")
SPLITS = ("train", "dev", "test")
SAMPLE = 1000  # pairs on which a user's tokeniser is tried
FOREVER = 1 << 48  # batches; grain wants an end
RATIO_SHARE = 0.999  # of the training pairs, whose targets `length_ratio` lets through


@dataclass(frozen=True)
class Prepared:
    """What a run reads: the tokenisers and the corpora; `test` where it is given."""

    source_tokenizer: Tokenizer
    target_tokenizer: Tokenizer
    train: Corpus
    dev: Corpus
    test: Corpus | None

    @property
    def sizes(self) -> tuple[int, int]:
        """Ids of both sides."""
        return self.source_tokenizer.size, self.target_tokenizer.size

    @property
    def bounds(self) -> dict[str, Any]:
        """What bounds the outputs: as `lengths_of` the training corpus."""
        return lengths_of(self.train)

    @property
    def fingerprints(self) -> dict[str, str]:
        """A checksum of the ids of each corpus."""
        corpora = {"train": self.train, "dev": self.dev, "test": self.test}
        return {name: c.checksum for name, c in corpora.items() if c is not None}

    @property
    def folders(self) -> dict[str, str]:
        """By split, the name of its corpus in the workdir's `data/`."""
        corpora = {split: getattr(self, split) for split in SPLITS}
        return {split: x.folder.name for split, x in corpora.items() if x is not None}


def prepare(config: Config, workdir: str | Path, log: Log) -> Prepared:
    """Open the data, train or load the tokenisers, and turn everything into ids.

    Writes `tokenizers/` and `lengths.json` (what inference needs) and `data/` (a cache:
    it may be deleted) in the workdir; a second call reads these. The tokenisers are
    saved last, so data that cannot be used leaves none behind.

    Raises:
        InputError: for any data that cannot be used.
    """
    workdir, data = Path(workdir), config.data
    check(data)
    opened = {split: open_pairs(data, split, log) for split in SPLITS}
    pairs = {split: found for split, found in opened.items() if found is not None}
    both = load_tokenizers(data, workdir / "tokenizers")
    new, copies = both is None, HEADS[config.model.head].copies
    if both is None:
        both = train_tokenizers(pairs["train"], data)
        tell_of_losses(pairs["train"], data, log)
    both = replace(both[0], parts=config.model.sources), both[1]
    corpora = {  # the big one last: a fault in the others shows soon
        split: encode(pairs[split], split, both, data, workdir / "data", log, copies)
        for split in reversed(SPLITS)
        if split in pairs
    }
    for side, tokenizer in zip(SIDES, both, strict=True):
        log(f"{side} vocabulary: {tokenizer.kind}, {tokenizer.size:,} ids")
        if new:
            tokenizer.save(workdir / "tokenizers", side)
    for split, found in pairs.items():
        log(describe(found.name, split, corpora[split], data.max_length))
    save_lengths(corpora["train"], workdir / "lengths.json", log)
    return Prepared(*both, corpora["train"], corpora["dev"], corpora.get("test"))


def reopen(config: Config, workdir: Path, folders: dict[str, str]) -> Prepared:
    """What another process has prepared in a workdir; the raw data need not be here.

    Args:
        folders: its `Prepared.folders`.

    Raises:
        InputError: something is not there.
    """
    both = load_tokenizers(config.data, workdir / "tokenizers")
    opened = {
        split: open_corpus(workdir / "data" / name) for split, name in folders.items()
    }
    missing = [folders[split] for split, corpus in opened.items() if corpus is None]
    if both is None or missing:
        raise InputError(
            f"{', '.join(missing) or 'tokenizers'} cannot be read in {workdir}, where "
            f"another process has just written: is it a folder that all share?"
        )
    both = replace(both[0], parts=config.model.sources), both[1]
    return Prepared(*both, opened["train"], opened["dev"], opened.get("test"))  # type: ignore[arg-type]


def check(data: DataConfig) -> None:
    """Refuse names that no table has, and impossible pairs, before anything is read.

    Raises:
        InputError: with the nearest name.
    """
    choose(LONG_LINES, data.long_lines, "data.long_lines")
    for side in SIDES:
        field = f"{side}_tokenizer"
        known = {**TOKENIZERS, **ARRAYS} if side == "source" else TOKENIZERS
        choose(known, getattr(data, field), f"data.{field}")
    if data.shared_vocab and data.source_tokenizer != data.target_tokenizer:
        raise InputError(
            "data.shared_vocab needs one kind of tokenizer for both sides, got "
            f"{data.source_tokenizer!r} and {data.target_tokenizer!r}"
        )
    if data.shared_vocab and data.target_vocab_size is not None:
        raise InputError(
            f"data.target_vocab_size is {data.target_vocab_size}, but with "
            f"data.shared_vocab there is one vocabulary: set data.vocab_size alone"
        )
    check_columns(data)
    kinds = [data.source_tokenizer, data.target_tokenizer]
    if data.min_count > 1 and not any(
        kind in TOKENIZERS and TOKENIZERS[kind].units for kind in kinds
    ):
        raise InputError(
            f"data.min_count is {data.min_count}, but the tokenizers {kinds[0]!r} and "
            f"{kinds[1]!r} leave no unit out for being rare: leave it out, or set one "
            f"of them to char or word"
        )


def check_columns(data: DataConfig) -> None:
    """Refuse columns of a TSV where the pairs come from elsewhere."""
    tables = data.train_tsv, data.dev_tsv, data.test_tsv
    if any(tables) or not (data.train_source or data.train_target or data.dataset):
        return
    for field in ("source_column", "target_column", "features_column"):
        value, unset = getattr(data, field), getattr(DataConfig(), field)
        if value != unset:
            raise InputError(
                f"data.{field} is {value}, but nothing reads it: it serves "
                f"data.train_tsv and the like; leave it out, or set it to {unset}"
            )


def train_tokenizers(pairs: Pairs, data: DataConfig) -> tuple[Tokenizer, Tokenizer]:
    """The tokenisers of both sides, from the training pairs; one where it is shared."""

    size = data.vocab_size

    def train(kind: str, lines: Iterator[str], size: int) -> Tokenizer:
        return tokenizers.train(kind, lines, size, data.min_count, data.lowercase)

    if data.shared_vocab:
        lines = (text for pair in pairs for text in pair)
        shared = train(data.source_tokenizer, lines, size)
        return shared, shared
    sources, targets = (source for source, _ in pairs), (target for _, target in pairs)
    if data.source_tokenizer in ARRAYS:
        read: Any = arrays.train(data.source_tokenizer, pairs, data.picture_size)
    else:
        read = train(data.source_tokenizer, sources, size)
    return (
        read,
        train(data.target_tokenizer, targets, data.target_vocab_size or size),
    )


def tell_of_losses(pairs: Pairs, data: DataConfig, log: Log) -> None:
    """Warn of a user's own tokeniser whose units, joined, are not the text again.

    Its outputs could not be right. Ours do what their comments say.
    """
    for place, kind in enumerate((data.source_tokenizer, data.target_tokenizer)):
        units = TOKENIZERS[kind].units if kind in TOKENIZERS else None
        if kind in OURS or units is None:
            continue
        for index, pair in enumerate(islice(pairs, SAMPLE)):
            text = pair[place].lower() if data.lowercase else pair[place]
            if (again := units.join(units.cut(text))) != text:
                log(
                    f"warning: tokeniser {kind!r} does not give back what it cuts: "
                    f"{pairs.where(index)}: {text!r} becomes {again!r}"
                )
                break


def load_tokenizers(
    data: DataConfig, folder: Path
) -> tuple[Tokenizer, Tokenizer] | None:
    """The tokenisers of a workdir, or None if it has none yet.

    Raises:
        InputError: if they are damaged, or of another kind than the config says.
    """
    if not all((folder / f"{side}.json").exists() for side in SIDES):
        return None
    source, target = (tokenizers.load(folder, side) for side in SIDES)
    for side, found in (("source", source), ("target", target)):
        wanted = getattr(data, f"{side}_tokenizer")
        if found.kind != wanted:
            raise InputError(
                f"{folder} holds a {found.kind} tokenizer for the {side}, and "
                f"data.{side}_tokenizer is {wanted!r}: take another workdir"
            )
    return source, target


def lengths_of(corpus: Corpus) -> dict[str, Any]:
    """What inference needs to bound its outputs, from the training corpus.

    `length_ratio` is the ratio target / source, EOS included, that 99.9 % of the pairs
    do not exceed. The checksum tells when a workdir goes on with other data.
    """
    source, target = corpus.lengths.T
    return {
        "longest_source": int(source.max()),
        "longest_target": int(target.max()),
        "length_ratio": round(float(np.quantile(target / source, RATIO_SHARE)), 4),
        "training_data": corpus.checksum,
    }


def save_lengths(corpus: Corpus, path: Path, log: Log) -> None:
    """Write what `lengths_of` the training corpus finds."""
    values = lengths_of(corpus)
    text = (json.dumps(values, indent=2) + "\n").encode()
    if path.exists() and path.read_bytes() != text:
        log(
            f"the training data is not what {path.parent} began with; it keeps its "
            "vocabularies"
        )
    write_atomic(path, text)


def batches(plan: BatchPlan, start: int = 0, prefetch: int = 8) -> Iterator[Batch]:
    """Batches `start`, `start + 1`, ... without end, made ahead in a thread by grain.

    Args:
        prefetch: batches made ahead; 0 makes each when it is asked for.
    """
    import grain

    options = grain.ReadOptions(
        num_threads=min(prefetch, 1), prefetch_buffer_size=prefetch
    )
    numbers = grain.MapDataset.range(start, FOREVER)
    return iter(numbers.map(plan.__getitem__).to_iter_dataset(options))


def eval_batches(
    corpus: Examples, config: Config, process_index: int = 0, process_count: int = 1
) -> Iterator[Batch]:
    """Every example once, in a handful of shapes, always in the same order."""
    return iter(BatchPlan(corpus, config, process_index, process_count, shuffle=False))
