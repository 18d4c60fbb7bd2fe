"""Pairs of texts -> a corpus of ids; long pairs and unknown units are counted."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq_jax.config import DataConfig
from seq2seq_jax.data.arrays import ARRAYS
from seq2seq_jax.data.copies import beside
from seq2seq_jax.data.corpus import Corpus, CorpusWriter, open_corpus, stale
from seq2seq_jax.data.sources import Pairs
from seq2seq_jax.data.tokenizers import Tokenizer
from seq2seq_jax.errors import InputError
from seq2seq_jax.types import UNK

Log = Callable[[str], None]
LONG_LINES = ("drop", "truncate", "error")
COUNTS = (
    *("pairs", "dropped", "truncated"),
    *("source_tokens", "target_tokens", "source_unk", "target_unk"),
)


def encode(
    pairs: Pairs,
    split: str,
    tokenizers: tuple[Tokenizer, Tokenizer],
    data: DataConfig,
    folder: Path,
    log: Log,
    copies: bool = False,
) -> Corpus:
    """The corpus of a split: from the cache in `folder`, or made there from the pairs.

    Training pairs over `data.max_length` are dropped, truncated or refused, as
    `data.long_lines` says; development and test pairs are always kept: their ids are
    cut, their text stays whole. With `copies`, ids are those of `data.copies`.

    Raises:
        InputError: if no pair is left, or for a long one where the policy is error.
    """
    policy = data.long_lines if split == "train" else "truncate"
    key = [pairs.fingerprint, *map(fingerprint, tokenizers), data.max_length, policy]
    key += ["copies"] * copies
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    path = folder / f"{split}-{digest}"
    corpus = open_corpus(path)
    if corpus is not None:
        return corpus
    if path.exists():
        log(f"{path} is damaged: it is made again")  # or of an older version
    size = max(tokenizer.size for tokenizer in tokenizers)
    size += data.max_length * copies
    source: Any = tokenizers[0]
    width = source.size if source.kind in ARRAYS else 0
    if width:
        size = tokenizers[1].size
    with CorpusWriter(path, size, split != "train", width) as writer:
        counts = _write(pairs, tokenizers, data.max_length, policy, writer, copies)
        pairs.check()
        corpus = writer.finish(counts)
    for old in stale(path):
        shutil.rmtree(old, ignore_errors=True)
    return corpus


def fingerprint(tokenizer: Tokenizer) -> str:
    """Equal for tokenisers that encode alike."""
    digest = hashlib.sha256(tokenizer.dump()).hexdigest()
    told = f"{tokenizer.kind} {tokenizer.lowercase} {digest}"
    return told if tokenizer.parts == 1 else f"{told} {tokenizer.parts}"


def _write(
    pairs: Pairs,
    tokenizers: tuple[Tokenizer, Tokenizer],
    max_length: int,
    policy: str,
    writer: CorpusWriter,
    copies: bool,
) -> dict[str, int]:
    """Encode every pair; returns the counts, tokens with EOS."""
    counts = dict.fromkeys(COUNTS, 0)
    room = max_length - 1  # EOS takes one
    left, right = tokenizers
    for index, (source_text, target_text) in enumerate(pairs):
        if copies:  # both sides' tokenisers are one
            left, right = beside(tokenizers[0], source_text, room)
        try:
            source, target = left.encode(source_text), right.encode(target_text)
        except InputError as error:
            raise InputError(f"{pairs.where(index)}: {error}") from None
        ends = int(isinstance(source, list))  # numbers have no end marker
        if len(source) > max_length - ends or len(target) > room:
            if policy == "error":
                raise InputError(_too_long(pairs, index, source, target, max_length))
            if policy == "drop":
                counts["dropped"] += 1
                continue
            counts["truncated"] += 1
            source, target = source[: max_length - ends], target[:room]
        counts["pairs"] += 1
        counts["source_tokens"] += len(source) + ends
        counts["target_tokens"] += len(target) + 1
        counts["source_unk"] += source.count(UNK) if ends else 0
        counts["target_unk"] += target.count(UNK)
        texts = left.normalize(source_text), right.normalize(target_text)
        writer.add((source, target), texts)
    if not counts["pairs"]:
        raise InputError(
            f"{pairs.name}: no pair is left, all {counts['dropped']:,} have more than "
            f"data.max_length {max_length} tokens: raise it"
        )
    return counts


def _too_long(
    pairs: Pairs, index: int, source: list[int], target: list[int], max_length: int
) -> str:
    return (
        f"{pairs.where(index)}: {len(source) + 1} source and {len(target) + 1} target "
        f"tokens, expected at most data.max_length {max_length}: raise it, or set "
        "data.long_lines to drop or truncate"
    )


def describe(name: str, split: str, corpus: Corpus, max_length: int) -> str:
    """One line on what a corpus holds and what became of long pairs."""
    counts = corpus.statistics
    parts = [f"{split}: {counts['pairs']:,} pairs from {name}"]
    for column, side in enumerate(("source", "target")):
        lengths, tokens = corpus.lengths[:, column], counts[f"{side}_tokens"]
        parts.append(
            f"{side} {tokens:,} tokens (mean {lengths.mean():.1f}, longest "
            f"{np.max(lengths)}, UNK {counts[f'{side}_unk'] / tokens:.2%})"
        )
    for fate in ("dropped", "truncated"):
        if counts[fate]:
            parts.append(f"{counts[fate]:,} over {max_length} tokens {fate}")
    return "; ".join(parts)
