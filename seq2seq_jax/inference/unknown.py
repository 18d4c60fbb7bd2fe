"""Unknown words said as the source word that they look at.

The model says UNK where its vocabulary has no word. There, the word of the source with
the largest attention weight a_tj of that step t is looked up in a dictionary d, and
copied where that has no entry (Luong et al. 2015b; by attention: Jean et al. 2015):

    y_t = d(x_j*) or x_j*,    j* = argmax_j a_tj    over the words x_j of the source

The end marker and padding are no words and never looked up; where no word has any
weight, UNK stays. Tokens, log-probabilities
and scores stay what the model said; the text alone is another. A model of characters
has one character copied for each that it does not know. SentencePiece and bytes spell
unknown words in pieces that they know, so there is nothing to replace.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from seq2seq_jax.data.sources import read_lines
from seq2seq_jax.data.tokenizers import TOKENIZERS, Tokenizer
from seq2seq_jax.errors import InputError
from seq2seq_jax.inference.options import Search
from seq2seq_jax.inference.results import Hypothesis
from seq2seq_jax.nn.scores import SCORES
from seq2seq_jax.types import EOS, UNK


def replace(
    found: Iterable[Hypothesis],
    source: str,
    search: Search,
    source_tokenizer: Tokenizer,
    target_tokenizer: Tokenizer,
) -> Iterator[Hypothesis]:
    """What was found for a source, with words for UNK; alignments where asked for."""
    both = source_tokenizer, target_tokenizer
    for one in found:
        said = replaced(one, source, search.dictionary, *both)
        kept = said.alignment if search.alignments else None
        yield dataclasses.replace(said, alignment=kept)


def replaced(
    said: Hypothesis,
    source: str,
    dictionary: Mapping[str, str],
    source_tokenizer: Tokenizer,
    target_tokenizer: Tokenizer,
) -> Hypothesis:
    """The hypothesis with a text that has words for UNK.

    Args:
        said: a hypothesis with its alignment.
        source: the text that it is for; words cut off by the model's limit are not
            looked up.
        dictionary: source units, normalised, to texts of the target.
        source_tokenizer, target_tokenizer: with units, as `check` makes sure.
    """
    cut, glue = source_tokenizer.units, target_tokenizer.units
    if UNK not in said.tokens or said.alignment is None or not cut or not glue:
        return said
    words = cut.cut(source_tokenizer.normalize(source))[: said.alignment.shape[1] - 1]
    looks = said.alignment[:, : len(words)]
    parts = []
    for token, weights in zip(said.tokens, looks, strict=True):
        if token == UNK and weights.any():
            word = words[weights.argmax()]
            parts.append(dictionary.get(word, word))
        elif token != EOS:
            parts.append(target_tokenizer.decode([token]))
    return dataclasses.replace(said, text=glue.join(parts))


def check(
    attention: str, source_tokenizer: Tokenizer, target_tokenizer: Tokenizer
) -> None:
    """Refuse models whose unknown words cannot be replaced.

    Raises:
        InputError: there is no attention, or a side's ids stand for no units of text.
    """
    if not SCORES[attention].looks:
        raise InputError(
            f"unknown words can be replaced by what attention looked at only, but the "
            f"model has none (model.attention is {attention!r})"
        )
    for side, tokenizer in (("source", source_tokenizer), ("target", target_tokenizer)):
        if tokenizer.units is None:
            kinds = (name for name, kind in TOKENIZERS.items() if kind.units)
            raise InputError(
                f"the {side} tokeniser is {tokenizer.kind!r}, expected one of "
                f"{', '.join(kinds)} to replace unknown words: others cut words into "
                f"known pieces and have none"
            )


def read_dictionary(path: str | Path, tokenizer: Tokenizer) -> dict[str, str]:
    """A file of `source word<TAB>target text` lines; of equal words the first counts.

    Args:
        path: the file; .gz, .bz2 and .xz are read as they are.
        tokenizer: of the source, which normalises the words.

    Raises:
        InputError: it cannot be read, or naming the line that is no such pair.
    """
    words: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), 1):
        columns = line.split("\t")
        if len(columns) != 2:
            raise InputError(
                f"{path}, line {number} has {len(columns)} column"
                f"{'s' * (len(columns) > 1)}, expected 2: source word<TAB>target word"
            )
        word, text = (column.strip() for column in columns)
        if not word or not text:
            side = "target" if word else "source"
            raise InputError(
                f"{path}, line {number}: the {side} word is empty, expected "
                f"source word<TAB>target word"
            )
        words.setdefault(tokenizer.normalize(word), text)
    return words
