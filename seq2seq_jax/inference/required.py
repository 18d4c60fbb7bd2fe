"""Texts that outputs must hold, as what a search takes; and whether outputs do."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from seq2seq_jax.data.tokenizers import Tokenizer
from seq2seq_jax.errors import InputError
from seq2seq_jax.inference.inputs import Item, check_texts
from seq2seq_jax.inference.options import Search
from seq2seq_jax.inference.results import Hypothesis
from seq2seq_jax.types import BOS, EOS, PAD, UNK

if TYPE_CHECKING:
    from seq2seq_jax.inference.predictor import Predictor

Ids = tuple[int, ...]
WIDTHS = (16, 64)  # of tables of phrases; beyond them powers of 2, a program for each


class Required:
    """What each output of a stream must hold.

    Args:
        lists: for each text a list of phrases, which may be empty; None: nothing is
            required of any.
        search: the options.
        predictor: what says the outputs. Its `warn` is told at the end how many of them
            do not hold what they must.

    Raises:
        InputError: a search that cannot hold phrases.
    """

    def __init__(
        self,
        lists: Iterable[Sequence[str]] | None,
        search: Search,
        predictor: "Predictor",
    ):
        if lists is not None:
            check_texts("required", lists, 1)  # type: ignore[arg-type]
            check(search)
        self.lists, self.predictor = lists, predictor
        self.under_way: deque[tuple[int, tuple[Ids, ...]]] = deque()
        self.places: dict[str, int] = {}

    def beside(self, items: Iterable[Item]) -> Iterator[Item]:
        """Items with what their outputs must hold.

        Raises:
            InputError: one of the streams ends first, or a phrase cannot be said.
        """
        if self.lists is None:
            yield from items
            return
        for number, (item, phrases) in enumerate(zip_longest(items, self.lists)):
            if item is None or phrases is None:
                first, second = "texts", "required"
                short = first if item is None else second
                raise InputError(
                    f"{short} end after {number:,} lines, expected as many {first} as "
                    f"{second}: each goes with the one in its place"
                )
            found = self.ids(item, phrases)
            self.under_way.append((item.number, found))
            yield item._replace(required=found)

    def ids(self, item: Item, phrases: Sequence[str]) -> tuple[Ids, ...]:
        """Of an item's phrases; those within others are held where these are."""
        if isinstance(phrases, str):
            raise InputError(
                f"required of line {item.number:,} is one string, expected a list"
            )
        tokenizer = self.predictor.beside(item.text)[1]
        found = {self.cut(tokenizer, x, item.number): None for x in phrases if x}
        least = [x for x in found if not any(x != y and within(x, y) for y in found)]
        tokens = sum(map(len, least))
        if tokens >= self.predictor.max_length:
            raise InputError(
                f"line {item.number:,}: {tokens} tokens are required, expected at most "
                f"{self.predictor.max_length - 1}: outputs are no longer"
            )
        return tuple(least)

    def cut(self, tokenizer: Tokenizer, text: str, line: int) -> Ids:
        """A phrase's ids: a piece of the vocabulary is that piece, as with forbidden.

        Raises:
            InputError: it has none, or one that cannot be said.
        """
        if not self.places:
            said = self.predictor.target_tokenizer
            pieces = said.pieces(range(said.size))
            self.places = {piece: i for i, piece in enumerate(pieces)}
        known = text in self.places
        ids = [self.places[text]] if known else tokenizer.encode(text)
        if not ids or set(ids) & {PAD, BOS, EOS} or (UNK in ids and not known):
            why = "holds what the vocabulary lacks" if UNK in ids else "is no text"
            raise InputError(
                f"line {line:,}: {text!r} cannot be required, it {why}: expected words "
                f"or pieces of the target"
            )
        return tuple(ids)

    def checked(
        self, results: Iterable[list[Hypothesis]]
    ) -> Iterator[list[Hypothesis]]:
        """The results, of which at the end `warn` is told what they do not hold."""
        if self.lists is None:
            yield from results
            return
        short = first = count = 0
        try:
            for found in results:
                number, phrases = self.under_way.popleft()
                count += 1
                best = tuple(found[0].tokens)
                if not all(within(phrase, best) for phrase in phrases):
                    short, first = short + 1, first or number
                yield found
        finally:
            if short:
                self.predictor.warn(
                    f"{short:,} of {count:,} outputs do not hold all that is required: "
                    f"their length, or what else is asked of them, does not let them; "
                    f"the first is line {first:,}"
                )


def within(part: Ids, whole: Ids) -> bool:
    """Whether the tokens of one stand in the other, one after the other.

    >>> within((2, 3), (1, 2, 3)), within((1, 3), (1, 2, 3))
    (True, False)
    """
    size = len(part)
    return any(whole[i : i + size] == part for i in range(len(whole) - size + 1))


def table(items: Sequence[Item], rows: int) -> np.ndarray:
    """`[rows, W]` the items' phrases as `holding.Phrases` has them; W is one of few."""
    lines = [
        [i for phrase in item.required for i in (*phrase, PAD)][:-1] for item in items
    ]
    longest = max(map(len, lines), default=0)
    width = next(
        (x for x in WIDTHS if x >= longest), 1 << max(longest - 1, 0).bit_length()
    )
    ids = np.full((rows, width), PAD, np.int32)
    for row, line in enumerate(lines):
        ids[row, : len(line)] = line
    return ids


def lengthens(search: Search) -> bool:
    """Whether outputs may be so much longer: unless their length is asked for."""
    return search.bounds.most is None and search.bounds.most_ratio is None


def check(search: Search) -> None:
    """Refuse searches that cannot hold phrases.

    Raises:
        InputError: naming the option and what was expected.
    """
    one = (("temperature", None), ("groups", 1), ("stop", "ahead"), ("places", "kept"))
    for name, expected in (*one, ("prune", None)):
        if (value := getattr(search, name)) != expected:
            raise InputError(
                f"{name} is {value!r} and outputs must hold what is required, expected "
                f"{expected!r}: only a plain beam search looks for them"
            )
    if search.beam_size < 2:
        raise InputError(
            f"beam_size is {search.beam_size} and outputs must hold what is required, "
            f"expected 2 or more: those that hold it compete with others in the beam"
        )
