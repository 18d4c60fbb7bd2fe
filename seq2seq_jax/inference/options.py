"""How `Predictor.translate` finds outputs: its options, and what of them cannot be."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from seq2seq_jax.errors import InputError, choose
from seq2seq_jax.evaluation.utilities import UTILITIES
from seq2seq_jax.inference.lengths import Bounds
from seq2seq_jax.inference.penalties import LENGTH_PENALTIES
from seq2seq_jax.inference.places import PLACES
from seq2seq_jax.inference.stopping import STOPS
from seq2seq_jax.nn.scores import SCORES

SEEDS = 1 << 32
LENGTH_PENALTY = 1.0  # alpha, unless told otherwise


@dataclass(frozen=True)
class Search:
    """How outputs are found and ranked.

    Attributes:
        beam_size: hypotheses kept at each step; 1 is greedy.
        n_best: outputs of a text; fewer where no more are possible.
        length_penalty: alpha: log-probabilities are divided by the penalty of the
            output's length, `((5 + length) / 6) ** alpha`; 0: no penalty; more favours
            longer outputs.
        max_output_length: tokens, EOS included; None: by the text's length.
        alignments: whether outputs have them.
        length_penalty_kind: the penalty, an entry of `LENGTH_PENALTIES`.
        stop: when the search of a text is over, an entry of `stopping.STOPS`.
        places: whether what has ended takes places in the beam, an entry of `PLACES`.
        prune: leave out tokens, and living hypotheses, that are so many nats worse than
            the best; None: nothing.
        coverage_penalty: beta of `gnmt_coverage`, added to the score: more favours
            outputs that looked at all of the text; 0: no penalty.
        temperature: a number: no search, but `n_best` samples of each text, in the
            order drawn, from the model's distribution with its logits divided by that;
            1 is the model's own, 0 is greedy. None: search.
        top_k: of samples: draw each token from so many of the most probable; None: all.
        top_p: of samples: draw each token from the fewest of the most probable (of
            those of `top_k`) that have this share of the probability; None: all.
        seed: of the samples. What is drawn for a text depends on it, on the text and on
            its place among the texts, and sample n on neither `n_best` nor the batch.
        min_output_length: tokens, EOS included, at least, as far as a text's largest
            length lets.
        no_repeat_ngram: n, so that no n tokens stand twice in an output in the same
            order; 0: they may.
        min_output_ratio, max_output_ratio: the same bounds as numbers of tokens, EOS
            included, for each token of the text, its EOS included: of both kinds the
            narrower one holds. `max_output_ratio` takes the place of the predictor's
            `length_ratio`; None: as that says.
        repetition_penalty: theta: log p of a token that was said before counts theta
            times (Keskar et al. 2019); above 1 against repetition. Scores have it in
            them, log-probabilities have not.
        forbidden: texts that no output holds, as `forbidden.py` tells.
        token_log_probs: whether outputs have a log-probability for each token.
        groups: of beams, each of `beam_size / groups`, which keep away from each other
            as `diverse.py` tells; 1: beam search.
        diversity: lambda, what a token costs for each time that a group before said it.
        mbr: candidates, of which the `n_best` of least Bayes risk are the outputs, as
            `risk.py` tells: so many samples or best hypotheses; 0: off.
        utility: for that, an entry of `evaluation.utilities.UTILITIES`.
        replace_unk: whether texts have words for UNK, as `unknown.py` tells.
        dictionary: for that, source words to target words; what it lacks is copied.
    """

    beam_size: int
    n_best: int
    length_penalty: float
    max_output_length: int | None
    alignments: bool
    length_penalty_kind: str = "gnmt"
    stop: str = "ahead"
    places: str = "kept"
    prune: float | None = None
    coverage_penalty: float = 0.0
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0
    min_output_length: int = 1
    no_repeat_ngram: int = 0
    min_output_ratio: float = 0.0
    max_output_ratio: float | None = None
    repetition_penalty: float = 1.0
    forbidden: tuple[str, ...] = ()
    token_log_probs: bool = False
    groups: int = 1
    diversity: float = 0.5
    mbr: int = 0
    utility: str = "chrf"
    replace_unk: bool = False
    dictionary: Mapping[str, str] = field(default_factory=dict)

    @property
    def alive(self) -> int:
        """Hypotheses of a text that are followed at once."""
        return self.beam_size if self.temperature is None else self.outputs

    @property
    def outputs(self) -> int:
        """Hypotheses of a text that are found."""
        return self.mbr or self.n_best

    @property
    def bounds(self) -> Bounds:
        """Of the lengths of outputs."""
        return Bounds(
            self.min_output_length,
            self.max_output_length,
            self.min_output_ratio,
            self.max_output_ratio,
        )


def check(
    search: Search, vocabulary: int, attention: str, listed: bool = False
) -> None:
    """Refuse impossible options.

    Args:
        search: the options.
        vocabulary: the size of the target's.
        attention: `model.attention` of the config.
        listed: whether outputs say what a shortlist has.

    Raises:
        InputError: naming the option, its value and what was expected.
    """
    check_sizes(search, vocabulary)
    check_ratios(search)
    check_sampling(search, listed)
    if not 0 < search.repetition_penalty < math.inf:
        raise InputError(
            f"repetition_penalty is {search.repetition_penalty}, expected a finite "
            f"number, more than 0; 1 is none"
        )
    if isinstance(search.forbidden, str):
        raise InputError("forbidden is one string, expected a tuple of them")
    if search.dictionary and not search.replace_unk:
        raise InputError(
            "a dictionary is given, but replace_unk is False: expected both or neither"
        )
    choose(LENGTH_PENALTIES, search.length_penalty_kind, "length_penalty_kind")
    if search.length_penalty_kind == "none" and search.length_penalty not in (
        0.0,
        LENGTH_PENALTY,
    ):
        raise InputError(
            f"length_penalty is {search.length_penalty}, but length_penalty_kind is "
            f"'none', which has no use for it: leave one of them out"
        )
    if not math.isfinite(search.length_penalty):
        raise InputError(
            f"length_penalty is {search.length_penalty}, expected a finite number"
        )
    if not 0 <= search.coverage_penalty < math.inf:
        raise InputError(
            f"coverage_penalty is {search.coverage_penalty}, expected a finite number, "
            f"0 or more"
        )
    check_groups(search)
    choose(UTILITIES, search.utility, "utility")
    check_stop(search)
    check_coverage("coverage_penalty", search.coverage_penalty, attention)


def check_stop(search: Search) -> None:
    """Refuse rules of a beam where there is none, and to stop at the first output where
    more are asked for."""
    choose(STOPS, search.stop, "stop")
    choose(PLACES, search.places, "places")
    sampled = search.temperature is not None
    if search.prune is not None and not 0 < search.prune < math.inf:
        raise InputError(
            f"prune is {search.prune}, expected a finite number, more than 0"
        )
    lone = sampled or search.beam_size == 1 or search.groups > 1
    if lone and (search.prune is not None or search.places != "kept"):
        name = "places" if search.prune is None else "prune"
        raise InputError(
            f"{name} is {getattr(search, name)!r}, but there is no beam that it is a "
            f"rule of: expected a beam_size above 1, no samples and no groups"
        )
    if search.stop != "ahead" and sampled:
        raise InputError(
            f"stop is {search.stop!r} with samples, but it is a rule of a beam: "
            f"expected 'ahead'"
        )
    if search.stop == "first" and search.outputs > 1:
        raise InputError(
            f"stop is 'first' with n_best {search.outputs}, but that rule is for a "
            f"search of one output: expected 'ahead' or 'ended'"
        )


def check_coverage(name: str, penalty: float, attention: str) -> None:
    """Refuse a coverage penalty for a model that looks nowhere in particular."""
    if penalty and not SCORES[attention].looks:
        raise InputError(
            f"{name} is {penalty}, but the model has no attention (model.attention is "
            f"{attention!r}), expected 0"
        )


def check_sizes(search: Search, vocabulary: int) -> None:
    """Refuse numbers of hypotheses and lengths that cannot be."""
    if not 1 <= search.beam_size <= vocabulary:
        raise InputError(
            f"beam_size is {search.beam_size}, expected 1 to {vocabulary}, the size of "
            f"the target vocabulary"
        )
    if search.temperature is None and not 1 <= search.n_best <= search.beam_size:
        raise InputError(
            f"n_best is {search.n_best}, expected 1 to beam_size "
            f"({search.beam_size}): raise beam_size for more outputs"
        )
    most = search.beam_size if search.temperature is None else math.inf
    if search.mbr and not search.n_best <= search.mbr <= most:
        upto = "" if most == math.inf else f", up to beam_size ({most})"
        raise InputError(
            f"mbr is {search.mbr}, expected n_best ({search.n_best}) or more{upto}; 0 "
            f"is off"
        )
    if search.max_output_length is not None and search.max_output_length < 1:
        raise InputError(
            f"max_output_length is {search.max_output_length}, expected 1 or more"
        )
    most = search.max_output_length or math.inf
    if not 1 <= search.min_output_length <= most:
        upto = "" if most == math.inf else f", up to max_output_length ({most})"
        raise InputError(
            f"min_output_length is {search.min_output_length}, expected 1 or more{upto}"
        )
    if search.no_repeat_ngram < 0:
        raise InputError(
            f"no_repeat_ngram is {search.no_repeat_ngram}, expected 0 (off) or more"
        )


def check_groups(search: Search) -> None:
    """Refuse groups of beams that cannot be."""
    if search.groups < 1 or search.beam_size % search.groups:
        raise InputError(
            f"groups is {search.groups}, expected a divisor of beam_size "
            f"({search.beam_size})"
        )
    if not 0 <= search.diversity < math.inf:
        raise InputError(
            f"diversity is {search.diversity}, expected a finite number, 0 or more"
        )
    if search.groups == 1:
        return
    if search.temperature is not None:
        raise InputError(f"groups is {search.groups} with samples, expected 1")
    if search.stop != "ahead" or search.repetition_penalty != 1:
        raise InputError(
            f"groups is {search.groups} with stop {search.stop!r} and "
            f"repetition_penalty {search.repetition_penalty}, expected 'ahead' and 1: "
            f"the groups' outputs are ranked by the model's own log-probabilities"
        )


def check_ratios(search: Search) -> None:
    """Refuse bounds by the text's length that cannot be."""
    least, most = search.min_output_ratio, search.max_output_ratio
    if most is not None and not 0 < most < math.inf:
        raise InputError(
            f"max_output_ratio is {most}, expected a finite number, more than 0"
        )
    upto = math.inf if most is None else most
    if not (0 <= least < math.inf and least <= upto):
        until = "" if most is None else f", up to max_output_ratio ({most})"
        raise InputError(
            f"min_output_ratio is {least}, expected a finite number, 0 or more{until}"
        )


def check_sampling(search: Search, listed: bool) -> None:
    """Refuse options of sampling that cannot be; `listed`: see `check`."""
    if search.temperature is not None:
        if listed:
            raise InputError(
                "samples are drawn from all tokens, but there is a shortlist: expected "
                "a search, or no shortlist"
            )
        if not 0 <= search.temperature < math.inf:
            raise InputError(
                f"temperature is {search.temperature}, expected a finite number, 0 or "
                f"more"
            )
        if search.n_best < 1:
            raise InputError(f"n_best is {search.n_best}, expected 1 or more samples")
    for name in ("top_k", "top_p"):
        value = getattr(search, name)
        if value is not None and search.temperature is None:
            raise InputError(
                f"{name} is {value} without temperature, expected both: a search draws "
                f"nothing"
            )
    if search.top_k is not None and search.top_k < 1:
        raise InputError(f"top_k is {search.top_k}, expected 1 or more")
    if search.top_p is not None and not 0 < search.top_p <= 1:
        raise InputError(f"top_p is {search.top_p}, expected more than 0, at most 1")
    if not 0 <= search.seed < SEEDS:
        raise InputError(f"seed is {search.seed}, expected 0 to {SEEDS - 1}")
