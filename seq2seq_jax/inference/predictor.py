"""Predictor: load a workdir once, then translate and score any number of texts."""

import dataclasses
import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.data.tokenizers import Tokenizer
from seq2seq_jax.errors import InputError, choose
from seq2seq_jax.inference import batching, options, programs, results, unknown
from seq2seq_jax.inference import workdir as trained
from seq2seq_jax.inference.batching import Group
from seq2seq_jax.inference.options import Search
from seq2seq_jax.inference.results import Hypothesis, Score
from seq2seq_jax.nn import checks, model
from seq2seq_jax.nn.scores import SCORES
from seq2seq_jax.types import EOS, UNK, Hypotheses, Params

SCORED = 2048  # of a batch whose targets are given: it has logits of all tokens
MARGIN = 5  # tokens that an output may be longer than `length_ratio` says

__all__ = ["Hypothesis", "Predictor", "Score"]


class Item(NamedTuple):
    """One input as ids, EOS included; the target is EOS alone where none is given.

    Its number is its place in the stream, from 1; its text is the source's.
    """

    source: list[int]
    target: list[int]
    number: int
    text: str


def warn_user(message: str) -> None:
    """A Python warning."""
    warnings.warn(message, stacklevel=2)


class Predictor:
    """A trained model with its tokenisers, ready for any number of calls.

    Inputs are streams, and so are outputs, in the order of the inputs. A window of them
    is held at a time, sorted by length and padded to few shapes, so that a handful of
    programs is compiled whatever comes.

    Args:
        params: the model's parameters.
        config: the model's.
        source_tokenizer: of the texts.
        target_tokenizer: of the outputs.
        max_length: tokens of a text and of an output, EOS included, at most. Longer
            texts are cut, and `warn` is told how many.
        length_ratio: an output has at most this times the tokens of its text, and 5;
            None: twice as many, and 10.
        dtype: of products, float32 or bfloat16; None: as `config` says.
        warn: called with one line where something was not as it should be.
    """

    def __init__(
        self,
        params: Params,
        config: ModelConfig,
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer,
        *,
        max_length: int = 100,
        length_ratio: float | None = None,
        dtype: str | None = None,
        warn: Callable[[str], None] = warn_user,
    ):
        if dtype is not None:
            config = dataclasses.replace(
                config, dtype=choose(checks.DTYPES, dtype, "dtype")
            )
        self.params = model.prepared(jax.tree.map(jnp.asarray, params), config)
        self.config = config
        self.source_tokenizer = source_tokenizer
        self.target_tokenizer = target_tokenizer
        self.max_length = max_length
        self.length_ratio = length_ratio
        self.warn = warn

    @classmethod
    def load(
        cls,
        workdir: str | Path,
        checkpoint: str | int = "best",
        *,
        dtype: str | None = None,
        raw: bool = False,
        warn: Callable[[str], None] = warn_user,
    ) -> "Predictor":
        """Read what a training left in its workdir, wherever that was moved to.

        Args:
            workdir: the folder.
            checkpoint: `best`, `latest`, or a step.
            dtype: of products, float32 or bfloat16; None: as in training.
            raw: the parameters as trained, where `training.ema` has averaged them; the
                average is used else.
            warn: told of damaged checkpoints too.

        Raises:
            InputError: it is no workdir, its config cannot be, or it has no such
                checkpoint.
        """
        found = trained.load(workdir, checkpoint, raw=raw, warn=warn)
        return cls(
            found.params,
            found.config.model,
            found.source,
            found.target,
            max_length=found.config.data.max_length,
            length_ratio=found.length_ratio,
            dtype=dtype,
            warn=warn,
        )

    def translate(
        self,
        texts: Iterable[str],
        beam_size: int = 5,
        n_best: int = 1,
        length_penalty: float = options.LENGTH_PENALTY,
        max_output_length: int | None = None,
        *,
        alignments: bool = True,
        window: int = 4096,
        **more: Any,
    ) -> Iterator[list[Hypothesis]]:
        """The `n_best` best outputs of each text, best first, in the texts' order.

        A text of nothing but white space, or without tokens, has one output, which is
        empty; the model is not asked.

        Args:
            texts: any number, read a window at a time.
            beam_size, n_best, length_penalty, max_output_length: see `options.Search`.
            alignments: whether outputs have them.
            window: texts held at a time.
            more: the other options of `options.Search`, by their names.

        Raises:
            InputError: options that cannot be.
        """
        check_texts("texts", texts, window)
        search = Search(
            beam_size,
            n_best,
            length_penalty,
            max_output_length,
            alignments and SCORES[self.config.attention].looks,
            **more,
        )
        options.check(search, self.target_tokenizer.size, self.config.attention)
        if search.replace_unk:
            unknown.check(self.config.attention, *self.tokenizers)
        items = self.items((text, "") for text in texts)
        return batching.process(
            (item if is_text(item) else None for item in items),
            window,
            length_of=lambda item: len(item.source),
            edges=batching.length_edges(self.max_length),
            rows_of=partial(programs.rows_of, alive=search.alive),
            begin=partial(self.begin_search, search),
            finish=partial(self.read_hypotheses, search),
            blank=[results.nothing(search.alignments)],
        )

    def score(
        self, sources: Iterable[str], targets: Iterable[str], *, window: int = 4096
    ) -> Iterator[Score]:
        """How probable each target is, given its source, in their order.

        Args:
            sources: any number, read a window at a time.
            targets: as many. An empty text is its end marker alone, on either side.
            window: pairs held at a time.

        Raises:
            InputError: while reading, where one stream ends before the other.
        """
        check_texts("sources", sources, window)
        check_texts("targets", targets, window)

        def begin(items: list[Item], group: Group) -> tuple[jax.Array, jax.Array]:
            source, target, *_ = zip(*items, strict=True)
            batch = programs.teacher_forced(source, target, group.rows, group.length)
            return programs.token_log_probs(self.params, batch, config=self.config)

        return batching.process(
            self.items(in_pairs(sources, targets)),
            window,
            length_of=lambda item: max(len(item.source), len(item.target)),
            edges=batching.length_edges(self.max_length),
            rows_of=lambda n: max(1, SCORED // n),
            begin=begin,
            finish=self.read_scores,
        )

    @property
    def tokenizers(self) -> tuple[Tokenizer, Tokenizer]:
        """Of the source and of the target."""
        return self.source_tokenizer, self.target_tokenizer

    def items(self, pairs: Iterable[tuple[str, str]]) -> Iterator[Item]:
        """Ids of pairs; at the end `warn` is told how many texts were cut."""
        cut = first = number = 0
        room = self.max_length - 1  # EOS takes one
        try:
            for number, (source, target) in enumerate(pairs, 1):
                read = self.source_tokenizer.encode(source)
                said = self.target_tokenizer.encode(target)
                if max(len(read), len(said)) > room:
                    cut += 1
                    first = first or number
                yield Item([*read[:room], EOS], [*said[:room], EOS], number, source)
        finally:
            if cut:
                self.warn(
                    f"{cut:,} of {number:,} lines were cut to {self.max_length} tokens "
                    f"(data.max_length of the training); the first is line {first:,}"
                )

    def limit(self, source_length: int, max_output_length: int | None = None) -> int:
        """Tokens, EOS included, that the output of a source of that length may have."""
        if max_output_length is not None:
            return max_output_length
        if self.length_ratio is None:
            return min(2 * source_length + 10, self.max_length)
        most = math.ceil(self.length_ratio * source_length) + MARGIN
        return min(most, self.max_length)

    def begin_search(
        self, search: Search, items: list[Item], group: Group
    ) -> Hypotheses:
        """Start on a batch of `translate`, without waiting for it."""
        lengths = [len(item.source) for item in items]
        limits = [self.limit(n, search.max_output_length) for n in lengths]
        unused = [0] * (group.rows - len(items))
        longest = self.limit(group.length, search.max_output_length)
        numbers, choices = programs.parted(search, longest)
        return programs.decode(
            self.params,
            programs.pad([i.source for i in items], group.rows, group.length),
            np.array(lengths + unused, np.int32),
            np.array(limits + unused, np.int32),
            np.array([i.number for i in items] + unused, np.uint32),
            numbers,
            config=self.config,
            choices=choices,
        )

    def read_hypotheses(
        self, search: Search, items: list[Item], found: Hypotheses
    ) -> Iterator[list[Hypothesis]]:
        """Wait for a batch of `translate`."""
        found = jax.device_get(found)
        for row, item in enumerate(items):
            pieces = self.source_pieces(item)
            every = results.hypotheses(found, row, pieces, self.target_tokenizer)
            if search.replace_unk:
                every = unknown.replace(every, item.text, search, *self.tokenizers)
            yield list(every)

    def read_scores(
        self, items: list[Item], found: tuple[jax.Array, jax.Array]
    ) -> Iterator[Score]:
        """Wait for a batch of `score`."""
        log_probs, weights = jax.device_get(found)
        looks = SCORES[self.config.attention].looks
        for row, item in enumerate(items):
            yield results.score(
                log_probs[row],
                weights[row] if looks else None,
                self.target_tokenizer.pieces(item.target),
                self.source_pieces(item),
            )

    def source_pieces(self, item: Item) -> list[str]:
        """A printable string for each source id; unknown units as the text has them."""
        pieces = self.source_tokenizer.pieces(item.source)
        if UNK not in item.source:
            return pieces
        shown = self.source_tokenizer.show(item.text)[: len(pieces) - 1]
        return [*shown, pieces[-1]]


def is_text(item: Item) -> bool:
    """Whether there is anything to translate."""
    return len(item.source) > 1 and bool(item.text.strip())


def check_texts(name: str, texts: Iterable[str], window: int) -> None:
    """Refuse one string in place of many, which would be taken letter by letter."""
    if isinstance(texts, str):
        raise InputError(f"{name} is one string, expected a list of them: [{name}]")
    if window < 1:
        raise InputError(f"window is {window}, expected 1 or more")


def in_pairs(
    sources: Iterable[str], targets: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Pairs of two streams; an `InputError` where one of them ends first."""
    for number, (source, target) in enumerate(zip_longest(sources, targets)):
        if source is None or target is None:
            short = "sources" if source is None else "targets"
            raise InputError(
                f"{short} end after {number:,} lines, expected as many sources as "
                f"targets: each target is scored given its source"
            )
        yield source, target
