"""Several trained models as one predictor: their distributions are averaged."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from seq2seq_jax.data.tokenizers import Tokenizer
from seq2seq_jax.errors import InputError, choose
from seq2seq_jax.inference import programs
from seq2seq_jax.inference.batching import Group
from seq2seq_jax.inference.inputs import Item, warn_user
from seq2seq_jax.inference.mixing import MIXES
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.nn.encoder import ENCODERS
from seq2seq_jax.nn.heads import HEADS
from seq2seq_jax.nn.scores import SCORES
from seq2seq_jax.types import UNK

PROBABILITIES = "probabilities"


class Ensemble(Predictor):
    """A predictor whose distribution of each token is the mean of its members'.

    All members say the same vocabulary; each cuts sources with its own tokeniser.
    Alignments are the mean of those members that look, or the first one's where
    sources are not cut alike. A text's largest length is the smallest of the members',
    an output's the largest that one of them would allow.

    Args:
        members: the models; one is itself.
        mix: an entry of `mixing.MIXES`.
        warn: as in `Predictor`.

    Raises:
        InputError: the members do not fit together.
    """

    def __init__(
        self,
        members: Sequence[Predictor],
        mix: str = PROBABILITIES,
        warn: Callable[[str], None] = warn_user,
    ):
        choose(MIXES, mix, "mix")
        check(members)
        first = members[0]
        self.members = tuple(members)
        self.source_tokenizer = first.source_tokenizer
        self.target_tokenizer = first.target_tokenizer
        self.max_length = min(member.max_length for member in members)
        ratios = [member.length_ratio for member in members]
        known = [ratio for ratio in ratios if ratio is not None]
        self.length_ratio = max(known) if len(known) == len(ratios) else None
        self.shortlist = first.shortlist
        self.warn = warn
        self.looking = looking(members)
        self.params, self.config, self.model = first.params, first.config, first.model
        if self.size > 1:
            self.params = tuple(member.params for member in members)
            configs = tuple(member.config for member in members)
            self.model = programs.Members(configs, mix, self.looking)

    @property
    def size(self) -> int:
        """How many members there are."""
        return len(self.members)

    @property
    def attention(self) -> str:
        """Of the first member whose alignments are used."""
        return self.members[self.looking[0]].config.attention

    def others(self, source: str) -> tuple[list[int], ...]:
        """What the other members read a source as, without EOS."""
        if HEADS[self.config.head].copies:  # all cut it alike
            return (self.beside(source)[0].encode(source),) * (self.size - 1)
        tokenizers = (member.source_tokenizer for member in self.members[1:])
        return tuple(one.encode(source) for one in tokenizers)

    def sources(self, items: list[Item], group: Group) -> tuple[Any, Any]:
        """What the members read of a batch, and their lengths, an entry for each."""
        if self.size == 1:
            return super().sources(items, group)
        each = zip(*((item.source, *item.others) for item in items), strict=True)
        ids, lengths = zip(
            *(programs.padded(one, *group[1:]) for one in each), strict=True
        )
        return ids, lengths

    def pairs(self, items: list[Item], group: Group) -> Any:
        """A batch for each member: its sources with the targets."""
        if self.size == 1:
            return super().pairs(items, group)
        targets = [item.target for item in items]
        each = zip(*((item.source, *item.others) for item in items), strict=True)
        return tuple(programs.teacher_forced(one, targets, *group[1:]) for one in each)


def load(
    workdirs: Sequence[str | Path],
    checkpoint: str | int = "best",
    *,
    mix: str = PROBABILITIES,
    warn: Callable[[str], None] = warn_user,
    **options: Any,
) -> Predictor:
    """The model of one workdir, or the ensemble of several.

    Args:
        workdirs: one or more.
        checkpoint: of each of them, as in `Predictor.load`.
        mix, warn: as in `Ensemble`.
        options: of `Predictor.load`.

    Raises:
        InputError: as `Predictor.load`, and where they do not fit together.
    """
    found = [
        Predictor.load(workdir, checkpoint, warn=warn, **options)
        for workdir in workdirs
    ]
    return Ensemble(found, mix, warn) if len(found) != 1 else found[0]


def looking(members: Sequence[Predictor]) -> tuple[int, ...]:
    """The members whose alignments are averaged; the first where none can be."""
    first = stamp(members[0].source_tokenizer)
    if any(stamp(member.source_tokenizer) != first for member in members):
        return (0,)
    look = [i for i, one in enumerate(members) if SCORES[one.config.attention].looks]
    return tuple(look) or (0,)


def stamp(tokenizer: Tokenizer) -> tuple[Any, ...]:
    """What decides how a text is cut: equal for tokenisers that cut alike."""
    return tokenizer.kind, tokenizer.lowercase, tokenizer.dump()


def check(members: Sequence[Predictor]) -> None:
    """Refuse members that say different vocabularies, or of which some read nothing.

    Raises:
        InputError: telling the first difference.
    """
    if not members:
        raise InputError("an ensemble has no members, expected one or more")
    first = members[0]
    for number, other in enumerate(members[1:], 2):
        reads = [ENCODERS[one.config.encoder].reads for one in (first, other)]
        if reads[0] != reads[1]:
            raise InputError(
                f"model {1 if reads[1] else number} of the ensemble is a language "
                f"model and another one is not, expected models of one kind"
            )
        copies = [HEADS[one.config.head].copies for one in (first, other)]
        if copies[0] != copies[1]:
            raise InputError(
                f"model {1 if copies[0] else number} of the ensemble may copy what it "
                f"reads and another one may not, expected models of one model.head"
            )
        told = difference(first.target_tokenizer, other.target_tokenizer)
        if told:
            raise InputError(
                f"model {number} of the ensemble has another target vocabulary than "
                f"the first one ({told}), expected the same pieces in the same order"
            )


def difference(one: Tokenizer, other: Tokenizer) -> str:
    """The first difference of what two tokenisers can say; empty: there is none."""
    if one.kind != other.kind:
        return f"{one.kind} and {other.kind}"
    if one.size != other.size:
        return f"{one.size:,} and {other.size:,} tokens"
    both = zip(one.tokens, other.tokens, strict=True)
    for place, (a, b) in enumerate(both, UNK + 1):
        if a != b:
            return f"token {place} is {a!r} and {b!r}"
    return ""
