"""Predictor: load a workdir once, then translate and score any number of texts."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.data import copies
from seq2seq_jax.data.tokenizers import Tokenizer
from seq2seq_jax.inference import (
    asking,
    batching,
    eight_bits,
    forbidden,
    inputs,
    lengths,
    options,
    programs,
    results,
    risk,
    unknown,
    vectors,
)
from seq2seq_jax.inference import workdir as trained
from seq2seq_jax.inference.asking import Wishes
from seq2seq_jax.inference.batching import Group
from seq2seq_jax.inference.inputs import Item, check_texts, is_text, warn_user
from seq2seq_jax.inference.lengths import FREE, Bounds
from seq2seq_jax.inference.options import Search
from seq2seq_jax.inference.required import Required
from seq2seq_jax.inference.results import Hypothesis, Score
from seq2seq_jax.inference.shortlist import Shortlist
from seq2seq_jax.nn import ends
from seq2seq_jax.nn.heads import HEADS
from seq2seq_jax.nn.scores import SCORES
from seq2seq_jax.types import UNK, Hypotheses, Params

SCORED = 2048  # of a batch whose targets are given: it has logits of all tokens


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
        dtype: of products, float32, bfloat16 or int8; None: as `config` says.
        shortlist: what outputs may say, by their texts; None: any token.
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
        shortlist: Shortlist | None = None,
        warn: Callable[[str], None] = warn_user,
    ):
        params = jax.tree.map(jnp.asarray, params)
        self.params, self.config = eight_bits.prepared(params, config, dtype)
        self.model: ModelConfig | programs.Members = self.config  # of the programs
        self.source_tokenizer = source_tokenizer
        self.target_tokenizer = target_tokenizer
        self.max_length = max_length
        self.length_ratio = length_ratio
        self.shortlist = shortlist
        self.warn = warn

    @classmethod
    def load(
        cls,
        workdir: str | Path,
        checkpoint: str | int = "best",
        *,
        dtype: str | None = None,
        raw: bool = False,
        shortlist: bool = False,
        warn: Callable[[str], None] = warn_user,
    ) -> "Predictor":
        """Read what a training left in its workdir, wherever that was moved to.

        Args:
            workdir: the folder.
            checkpoint: `best`, `latest`, or a step.
            dtype: of products, float32, bfloat16 or int8; None: as in training.
            raw: the parameters as trained, where `training.ema` has averaged them; the
                average is used else.
            shortlist: outputs say what the workdir's shortlist has for their texts.
            warn: told of damaged checkpoints too.

        Raises:
            InputError: it is no workdir, its config cannot be, or it has no such
                checkpoint.
        """
        found = trained.load(
            workdir, checkpoint, raw=raw, shortlist=shortlist, warn=warn
        )
        return cls(
            found.params,
            found.config.model,
            found.source,
            found.target,
            max_length=found.config.data.max_length,
            length_ratio=found.length_ratio,
            dtype=dtype,
            shortlist=found.shortlist,
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
        required: Iterable[Sequence[str]] | None = None,
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
            required: as many lists of texts that outputs hold, see `required.py`.
            alignments: whether outputs have them.
            window: texts held at a time.
            more: the other options of `options.Search`, by their names.

        Raises:
            InputError: options that cannot be.
        """
        pairs = inputs.begun(texts, prefixes, window)
        numbers = beam_size, n_best, length_penalty, max_output_length
        search = Search(*numbers, alignments and self.looks, **more)
        options.check(search, self.target_tokenizer.size, self.attention, self.listed)
        if search.replace_unk:
            unknown.check(self.attention, *self.tokenizers)
        banned = forbidden.banned(tuple(search.forbidden), self.target_tokenizer)
        wishes = Wishes(search, banned, prefixes is not None, required is not None)
        holds = Required(required, search, self)
        found = batching.process(
            (x if is_text(x) else None for x in holds.beside(self.items(pairs))),
            window,
            length_of=lambda item: item.length,
            edges=batching.length_edges(self.max_length),
            rows_of=partial(programs.rows_of, alive=search.alive, listed=self.listed),
            begin=partial(self.begin_search, wishes),
            finish=partial(self.read_hypotheses, search),
            blank=[results.nothing(search.alignments, search.token_log_probs)],
        )
        return holds.checked(found)

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
        return batching.process(
            self.items(inputs.in_pairs(sources, targets)),
            window,
            length_of=lambda item: max(item.length, len(item.target)),
            edges=batching.length_edges(self.max_length),
            rows_of=lambda n: max(1, SCORED // (n * self.size)),
            begin=self.begin_scores,
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
        vectors.check(pool, self.model)
        return batching.process(
            self.items((text, "") for text in texts),
            window,
            edges=batching.length_edges(self.max_length),
            **vectors.work(self.params, self.config, pool),
        )

    @property
    def attention(self) -> str:
        """The score by which it looks at the source, an entry of `SCORES`."""
        return self.config.attention

    @property
    def size(self) -> int:
        """How many models it has."""
        return 1

    @property
    def looks(self) -> bool:
        """Whether there are alignments."""
        return SCORES[self.attention].looks

    @property
    def listed(self) -> bool:
        """Whether outputs say what a shortlist has."""
        return self.shortlist is not None

    @property
    def tokenizers(self) -> tuple[Tokenizer, Tokenizer]:
        """Of the source and of the target."""
        return self.source_tokenizer, self.target_tokenizer

    def items(self, pairs: Iterable[tuple[str, str]]) -> Iterator[Item]:
        """Ids of pairs; at the end `warn` is told how many texts were cut."""

        def encode(source: str, target: str) -> tuple[list[int], ...]:
            reader, writer = self.beside(source)
            return reader.encode(source), writer.encode(target), *self.others(source)

        return inputs.as_items(pairs, encode, self.max_length, self.warn)

    def beside(self, source: str) -> tuple[Tokenizer, Tokenizer]:
        """Of a source and its outputs: those of a head that copies know the source."""
        if not HEADS[self.config.head].copies:
            return self.tokenizers
        return copies.beside(self.source_tokenizer, source, self.max_length - 1)

    def others(self, source: str) -> tuple[list[int], ...]:
        """What other models read a source as, without EOS; this one is alone."""
        return ()

    def limit(self, source_length: int, bounds: Bounds = FREE) -> int:
        """Tokens, EOS included, that the output of a source of that length may have."""
        return lengths.longest(
            source_length, bounds, self.length_ratio, self.max_length
        )

    def begin_search(
        self,
        wishes: Wishes,
        items: list[Item],
        group: Group,
        decode: Callable[..., Any] = programs.decode,
    ) -> Any:
        """Start on a batch of `translate`, by that program, and do not wait for it."""
        most = partial(self.limit, bounds=wishes.search.bounds)
        given, choices = asking.arguments(
            most, wishes, items, group, self.max_length, self.shortlist
        )
        sources = self.sources(items, group)
        return decode(self.params, *sources, *given, config=self.model, choices=choices)

    def sources(self, items: list[Item], group: Group) -> tuple[Any, Any]:
        """What a model reads of a batch: ids `[B, S]`, and their lengths `[B]`."""
        return programs.padded([item.source for item in items], *group[1:])

    def begin_scores(
        self, items: list[Item], group: Group
    ) -> tuple[jax.Array, jax.Array]:
        """Start on a batch of `score`, without waiting for it."""
        batch = self.pairs(items, group)
        return programs.token_log_probs(self.params, batch, config=self.model)

    def pairs(self, items: list[Item], group: Group) -> Any:
        """A batch of sources with their targets."""
        sources, targets, *_ = zip(*items, strict=True)
        return programs.teacher_forced(sources, targets, *group[1:])

    def read_hypotheses(
        self, search: Search, items: list[Item], found: Hypotheses
    ) -> Iterator[list[Hypothesis]]:
        """Wait for a batch of `translate`."""
        found = jax.device_get(found)
        for row, item in enumerate(items):
            pieces = self.source_pieces(item)
            both = self.beside(item.text)
            every = results.hypotheses(found, row, pieces, both[1])
            if search.replace_unk:
                every = unknown.replace(every, item.text, search, *both)
            said = list(every)
            if search.mbr:
                sampled = search.temperature is not None
                said = risk.best(said, search.utility, search.n_best, sampled)
            yield said

    def read_scores(
        self, items: list[Item], found: tuple[jax.Array, jax.Array]
    ) -> Iterator[Score]:
        """Wait for a batch of `score`."""
        log_probs, weights = jax.device_get(found)
        for row, item in enumerate(items):
            yield results.score(
                log_probs[row],
                weights[row] if self.looks else None,
                self.beside(item.text)[1].pieces(item.target),
                self.source_pieces(item),
            )

    def source_pieces(self, item: Item) -> list[str]:
        """A printable string for each source id, unknown ones as they are, or place."""
        if isinstance(item.source, np.ndarray):
            return results.places(ends.grid(self.config, item.source.shape))
        pieces = self.beside(item.text)[0].pieces(item.source)
        shown = self.source_tokenizer.show(item.text) if UNK in item.source else pieces
        return [*shown[: len(pieces) - 1], pieces[-1]]
