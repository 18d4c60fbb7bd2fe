"""Predictor: load a workdir once, then translate and score any number of texts."""

import dataclasses
import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.data.tokenizers import Tokenizer
from seq2seq_jax.errors import choose
from seq2seq_jax.inference import (
    batching,
    constraints,
    options,
    programs,
    results,
    unknown,
    vectors,
)
from seq2seq_jax.inference import workdir as trained
from seq2seq_jax.inference.batching import Group
from seq2seq_jax.inference.inputs import Item, begun, check_texts, in_pairs, is_text
from seq2seq_jax.inference.options import Search
from seq2seq_jax.inference.results import Hypothesis, Score
from seq2seq_jax.nn import checks, model
from seq2seq_jax.nn.scores import SCORES
from seq2seq_jax.types import EOS, UNK, Hypotheses, Params

SCORED = 2048  # of a batch whose targets are given: it has logits of all tokens
MARGIN = 5  # tokens that an output may be longer than `length_ratio` says

__all__ = ["Hypothesis", "Predictor", "Score"]


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
        prefixes: Iterable[str] | None = None,
        alignments: bool = True,
        window: int = 4096,
        **more: Any,
    ) -> Iterator[list[Hypothesis]]:
        """The `n_best` best outputs of each text, best first, in the texts' order.

        A text without tokens, or of white space, has one output, an empty one.

        Args:
            texts: any number, read a window at a time.
            beam_size, n_best, length_penalty, max_output_length: see `options.Search`.
            prefixes: as many texts that outputs begin with; empty: with anything.
            alignments: whether outputs have them.
            window: texts held at a time.
            more: the other options of `options.Search`, by their names.

        Raises:
            InputError: options that cannot be.
        """
        pairs = begun(texts, prefixes, window)
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
        return batching.process(
            (item if is_text(item) else None for item in self.items(pairs)),
            window,
            length_of=lambda item: len(item.source),
            edges=batching.length_edges(self.max_length),
            rows_of=partial(programs.rows_of, alive=search.alive),
            begin=partial(self.begin_search, search, prefixes is not None),
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

    def encode(
        self, texts: Iterable[str], pool: str = "mean", *, window: int = 4096
    ) -> Iterator[np.ndarray]:
        """A vector `[C]` of each text, float32, in their order.

        Args:
            texts: any number, `window` held at a time. An empty one is its end marker.
            pool: an entry of `vectors.POOLS`.

        Raises:
            InputError: an unknown pool, or a language model, which reads no source.
        """
        check_texts("texts", texts, window)
        vectors.check(pool, self.config)
        return batching.process(
            self.items((text, "") for text in texts),
            window,
            length_of=lambda item: len(item.source),
            edges=batching.length_edges(self.max_length),
            rows_of=partial(programs.rows_of, alive=1),
            begin=partial(vectors.begin, self.params, self.config, pool),
            finish=vectors.finish,
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

    def limit(
        self,
        source_length: int,
        max_output_length: int | None = None,
        min_output_length: int = 1,
    ) -> int:
        """Tokens, EOS included, that the output of a source of that length may have."""
        if max_output_length is not None:
            return max_output_length
        most = 2 * source_length + 10
        if self.length_ratio is not None:
            most = math.ceil(self.length_ratio * source_length) + MARGIN
        return min(max(most, min_output_length), self.max_length)

    def begin_search(
        self, search: Search, prefixed: bool, items: list[Item], group: Group
    ) -> Hypotheses:
        """Start on a batch of `translate`, without waiting for it."""
        lengths = [len(item.source) for item in items]
        unused = [0] * (group.rows - len(items))
        longest, limits = self.limits(search, prefixed, items, group.length)
        asked = constraints.FREE
        if search.min_output_length > 1:
            least = np.minimum(limits + unused, search.min_output_length)
            asked = asked._replace(least=least.astype(np.int32))
        if prefixed:
            said = [item.target[:-1] for item in items]
            asked = asked._replace(prefix=programs.pad(said, group.rows, longest))
        numbers, choices = programs.parted(search, longest)
        return programs.decode(
            self.params,
            programs.pad([i.source for i in items], group.rows, group.length),
            np.array(lengths + unused, np.int32),
            np.array(limits + unused, np.int32),
            np.array([i.number for i in items] + unused, np.uint32),
            numbers,
            asked,
            config=self.config,
            choices=choices,
        )

    def limits(
        self, search: Search, prefixed: bool, items: list[Item], length: int
    ) -> tuple[int, list[int]]:
        """The longest output of a batch, and of each item; what must be said fits in.

        Args:
            search: the options.
            prefixed: whether outputs begin with the items' targets.
            items: of the batch.
            length: padded, of the sources.
        """
        bounds = search.max_output_length, search.min_output_length
        limits = [self.limit(len(item.source), *bounds) for item in items]
        longest = self.limit(length, *bounds)
        if prefixed:
            longest = max(longest, self.max_length)
            both = zip(limits, items, strict=True)
            limits = [max(limit, len(item.target)) for limit, item in both]
        return longest, limits

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
