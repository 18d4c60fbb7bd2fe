"""What summaries are measured by beside ROUGE, and what they are compared with."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from seq2seq_jax.errors import InputError

SENTENCE = re.compile(r"(?<=[.!?。！？।])\s+")


def repeated_trigrams(hypotheses: Sequence[str]) -> float:
    """Percent of the trigrams of words that their line had before, all lines together.

    See et al. 2017, figure 4, count such n-grams. Without any trigram it is 0.

    >>> repeated_trigrams(["a b c a b c", "a b"])
    25.0
    """
    count = again = 0
    for line in hypotheses:
        words = line.lower().split()
        trigrams = list(zip(words, words[1:], words[2:], strict=False))
        count += len(trigrams)
        again += len(trigrams) - len(set(trigrams))
    return 100.0 * again / max(count, 1)


def lead(text: str, words: int) -> str:
    """The first sentence of a text, of which no more than so many words.

    >>> lead("This is it. And more.", 9), lead("This is it. And more.", 2)
    ('This is it.', 'This is')
    """
    return " ".join(SENTENCE.split(text, maxsplit=1)[0].split()[:words])


def words(text: str) -> list[str]:
    """Runs of letters, the marks on them, and digits, in lower case.

    >>> words("L'été, 2024_5"), words("हिन्दी भाषा")
    (['l', 'été', '2024', '5'], ['हिन्दी', 'भाषा'])
    """
    kinds = ("L", "M", "N")
    return "".join(
        x if unicodedata.category(x).startswith(kinds) else " " for x in text.lower()
    ).split()


def rouge_scorer(kind: str) -> Any:
    """rouge-score's scorer of a kind, with `words` for words."""
    try:
        import rouge_score.rouge_scorer
        import rouge_score.tokenizers
    except ImportError:
        raise InputError(
            f"metric {kind} needs the package rouge-score: "
            f'pip install "seq2seq-jax[rouge]"'
        ) from None

    class Words(rouge_score.tokenizers.Tokenizer):
        def tokenize(self, text: str) -> list[str]:
            return words(text)

    return rouge_score.rouge_scorer.RougeScorer([kind], tokenizer=Words())
