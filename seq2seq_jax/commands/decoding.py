"""What the commands that ask a model have in common: options, loading, formats."""

import dataclasses
import functools
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from seq2seq_jax import config as configs
from seq2seq_jax import flags
from seq2seq_jax.commands import streams
from seq2seq_jax.config import Config
from seq2seq_jax.errors import InputError, choose
from seq2seq_jax.extending import FILE_FIRST

if TYPE_CHECKING:  # it imports jax, which errors and help need not wait for
    from seq2seq_jax.inference.predictor import Predictor
    from seq2seq_jax.inference.results import Hypothesis

WINDOW = 4096  # lines read before the first answer: more make fuller batches


@dataclass(frozen=True, kw_only=True)
class Model:
    """Which model."""

    workdir: Path
    """folder of the training run; it may have been moved"""
    checkpoint: str = "best"
    """best, latest, or the number of a step"""
    dtype: Literal["float32", "bfloat16", "int8"] | None = None
    """of products; bfloat16 and int8: faster on processors that have instructions for
    them, a little less exact; None: the training's"""
    raw: flags.Switch = False
    """of a training with training.ema: the parameters, not their moving average"""


@dataclass(frozen=True, kw_only=True)
class Together:
    """Which models beside it make an ensemble."""

    also: tuple[Path, ...] = ()
    """folders of more training runs, with the same target vocabulary: an ensemble"""
    mix: Literal["probabilities", "log_probabilities"] = "probabilities"
    """how an ensemble's distributions become one: their arithmetic mean, or their
    geometric one"""


@dataclass(frozen=True, kw_only=True)
class Search(Model):
    """Which model, and how it searches."""

    beam_size: int = 5
    """hypotheses followed at once; 1: greedy"""
    length_penalty: float = 1.0
    """a: n tokens score log-probability / ((5 + n) / 6)^a; 0: none; paper's: 0.2"""
    length_penalty_kind: Literal["gnmt", "average", "none"] = "gnmt"
    """gnmt: Wu et al. 2016, as above; average: / n^a, with a = 1 a mean; none"""
    stop: Literal["ahead", "ended", "first"] = "ahead"
    """ahead: a search goes on until as many as the beam have ended and none that lives
    is better by now; ended: until so many have ended, as in fairseq; first: until the
    best continuation is an ending, as in OpenNMT-py: faster"""
    places: Literal["kept", "shared", "lost"] = "kept"
    """what ends leaves its place in the beam to another (kept), at the next step only
    (shared: Sutskever 2014), or to none (lost: GroundHog, Bahdanau 2014)"""
    prune: float | None = None
    """leave out tokens and hypotheses so many nats worse than the best; GNMT: 3"""
    coverage_penalty: float = 0.0
    """b: adds b * sum over source tokens of log(min(attention got, 1)), against words
    left out; 0: none; paper's: 0.2"""
    min_output_length: int = 1
    """tokens of an output at least, its end included"""
    no_repeat_ngram: int = 0
    """n: no n tokens stand twice in an output in the same order; 0: they may"""
    repetition_penalty: float = 1.0
    """t: log p of a token that was said before counts t times; above 1: less often"""
    min_output_ratio: float = 0.0
    """tokens of an output at least, for each token of the source, both ends included"""
    max_output_ratio: float | None = None
    """the same at most; None: by the longest outputs in the training"""
    forbidden: Path | None = None
    """file of words or pieces, one a line, that no output holds"""
    groups: int = 1
    """diverse beam search: groups of beams that keep away from each other; 1: none"""
    diversity: float = 0.5
    """of --groups: what a token costs for each time a group before said it, in nats"""


# The names of the options of a search.
SEARCH = tuple(
    each.name for each in fields(Search) if each.name not in Model.__dataclass_fields__
)


@dataclass(frozen=True, kw_only=True)
class Text(Search):
    """Which model, how it searches, and what text is made of its outputs."""

    shortlist: flags.Switch = False
    """say only what `seq2seq-jax shortlist` has found for a source: faster"""
    replace_unk: flags.Switch = False
    """in place of <unk>, the source word that it looked at most, or its translation"""
    dictionary: Path | None = None
    """translations for --replace-unk: lines of source word<TAB>target word"""


def load(options: Model) -> "Predictor":
    """The model that the options name.

    Raises:
        InputError: where there is none.
    """
    checkpoint: str | int = options.checkpoint
    if options.checkpoint.isdecimal():
        checkpoint = int(checkpoint)
    else:
        choose(("best", "latest"), options.checkpoint, "--checkpoint (or a step)")
    workdirs = all_workdirs(options)
    for workdir in workdirs:
        check_raw(workdir, options.raw)
    from seq2seq_jax.compilation import keep_compiled
    from seq2seq_jax.inference import ensemble

    keep_compiled()
    found = ensemble.load(
        workdirs,
        checkpoint,
        mix=together(options).mix,
        dtype=options.dtype,
        raw=options.raw,
        shortlist=getattr(options, "shortlist", False),
        warn=warn,
    )
    located(found, options)
    return found


def located(predictor: "Predictor", options: Model) -> None:
    """Paths in a file of sources begin where it is."""
    from seq2seq_jax.data.arrays import Arrays

    reader: Any = predictor.source_tokenizer
    path = getattr(options, "input", None) or getattr(options, "source", None)
    if isinstance(reader, Arrays) and path not in streams.STREAM:
        folder = str(Path(path).expanduser().parent)
        predictor.source_tokenizer = dataclasses.replace(reader, folder=folder)  # type: ignore[assignment]


def check_texts(workdir: Path, command: str) -> None:
    """Refuse a model whose sources are files to a command that takes texts.

    Raises:
        InputError: naming what the model reads.
    """
    from seq2seq_jax.data.arrays import ARRAYS

    kind = run_config(workdir).data.source_tokenizer
    if kind in ARRAYS:
        raise InputError(
            f"{command} takes texts, but the sources of {workdir} are files (data."
            f"source_tokenizer {kind}): `seq2seq-jax translate` reads a list of them"
        )


def all_workdirs(options: Model) -> list[Path]:
    """The workdirs of the models that the options name.

    Raises:
        InputError: where a way to mix is given and nothing to mix.
    """
    beside = together(options)
    if not beside.also and beside.mix != Together.mix:
        raise InputError("--mix is given without --also, expected both or neither")
    return [options.workdir, *beside.also]


def together(options: Model) -> Together:
    """The part of a command's options that makes an ensemble; the others have none."""
    return options if isinstance(options, Together) else Together()


def run_config(workdir: Path) -> Config:
    """The config of a training run.

    Raises:
        InputError: where the folder is no workdir.
    """
    if not workdir.is_dir():
        problem = "is not a folder" if workdir.exists() else "does not exist"
        raise InputError(
            f"--workdir {workdir} {problem}, expected the folder of a training run"
        )
    if not (workdir / "config.json").is_file():
        raise InputError(
            f"--workdir {workdir} has no config.json, expected the folder of a "
            "training run"
        )
    return configs.load(workdir / "config.json")


def check_raw(workdir: Path, raw: bool) -> None:
    """Refuse a folder that is no workdir, and --raw where nothing was averaged.

    Raises:
        InputError: with the way out.
    """
    if raw and not run_config(workdir).training.ema:
        raise InputError(
            f"--raw is given, but training.ema of {workdir} is 0: its parameters have "
            f"no moving average, and are used as they are; leave it out"
        )
    run_config(workdir)


def check_attention(workdir: Path, wish: str, also: Sequence[Path] = ()) -> None:
    """Refuse to show where models look that look nowhere in particular."""
    names = [run_config(each).model.attention for each in (workdir, *also)]
    from seq2seq_jax.nn.scores import SCORES  # JAX

    attention = names[0]
    for each, name in zip((workdir, *also), names, strict=True):
        choose(SCORES, name, f"model.attention of {each}")
    if not any(SCORES[name].looks for name in names):
        raise InputError(
            f"{wish} needs attention, but model.attention of {workdir} is {attention!r}"
        )


def check_source(workdir: Path, command: str) -> None:
    """Refuse to decode the sources of a model that reads none."""
    if not reads_source(workdir):
        raise InputError(
            f"{command} needs a model that reads sources, but that of {workdir} is a "
            f"language model: `seq2seq-jax score --workdir {workdir} --target FILE "
            f"--summary perplexity` measures it"
        )


def reads_source(workdir: Path) -> bool:
    """Whether a run's model is no language model."""
    from seq2seq_jax.nn.encoder import ENCODERS

    name, path = run_config(workdir).model.encoder, workdir / "config.json"
    return ENCODERS[choose(ENCODERS, name, f"{path}: model.encoder", FILE_FIRST)].reads


def translate(
    predictor: "Predictor",
    texts: Iterable[str],
    options: Search,
    *,
    n_best: int = 1,
    alignments: bool = False,
    window: int = WINDOW,
    **more: Any,
) -> Iterator["list[Hypothesis]"]:
    """The predictor's hypotheses for each text, by the command's options and more."""
    return predictor.translate(
        texts,
        **search_options(options),
        n_best=n_best,
        alignments=alignments,
        window=window,
        **more,
    )


def search_options(options: Search) -> dict[str, Any]:
    """The command's options of the search, by the predictor's names."""
    values = {name: getattr(options, name) for name in SEARCH}
    path = options.forbidden
    values["forbidden"] = () if path is None else forbidden_texts(path)
    return values


@functools.cache  # a server asks again and again
def forbidden_texts(path: Path) -> tuple[str, ...]:
    """The lines of a file of texts that are forbidden, but for empty ones."""
    from seq2seq_jax.data.sources import read_lines

    return tuple(dict.fromkeys(filter(None, map(str.strip, read_lines(path)))))


def replacement(predictor: "Predictor", options: Text) -> dict[str, Any]:
    """What `translate` needs more, to replace unknown words as the options say.

    Raises:
        InputError: where the dictionary cannot be used.
    """
    if not options.replace_unk or options.dictionary is None:
        return {"replace_unk": options.replace_unk}
    from seq2seq_jax.inference.unknown import read_dictionary

    words = read_dictionary(options.dictionary, predictor.source_tokenizer)
    return {"replace_unk": True, "dictionary": words}


def check_dictionary(options: Text) -> None:
    """Refuse a dictionary that nothing would be looked up in."""
    if options.dictionary is not None and not options.replace_unk:
        raise InputError(
            f"--dictionary is {options.dictionary} without --replace-unk, expected both"
        )


def one_line(text: str) -> str:
    """A text as one line of output, whatever characters a model says.

    >>> one_line("a\\nb")
    'a b'
    """
    return text.replace("\r\n", " ").replace("\n", " ").replace("\r", " ")


def pharaoh(hypothesis: "Hypothesis") -> str:
    """Hard alignments `i-j`: source token i had the most attention for token j.

    The ends of both sequences are left out, and tokens that looked at the end alone or
    nowhere.
    """
    weights = hypothesis.alignment
    if weights is None or weights.shape[1] < 2:
        return ""
    rows = enumerate(weights[:-1, :-1])
    return " ".join(f"{row.argmax()}-{j}" for j, row in rows if row.any())


def warn(message: str) -> None:
    """Print a warning as a line of its own on stderr."""
    print(f"warning: {' '.join(message.split())}", file=sys.stderr, flush=True)
