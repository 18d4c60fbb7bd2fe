"""`serve`: a model over HTTP."""

import dataclasses
import importlib.util
import ipaddress
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seq2seq_jax import flags
from seq2seq_jax.commands import decoding, view
from seq2seq_jax.errors import InputError

if TYPE_CHECKING:
    from seq2seq_jax.data.tokenizers import Tokenizer
    from seq2seq_jax.inference.predictor import Predictor
    from seq2seq_jax.inference.results import Hypothesis, Score
    from seq2seq_jax.serving.requests import Asked

NEEDS = ("starlette", "uvicorn", "prometheus_client")
DIGITS = 6  # of a number in nats, as `translate` and `score` print it

DESCRIPTION = """Serve a model over HTTP, to this machine alone unless --host says more.

POST /translate {"texts": [...]}, POST /score {"sources": [...], "targets": [...]}:

JSON; GET /health and GET /metrics tell how it is; with --page, a browser shows at

/ where the model looks. SIGINT or SIGTERM ends it once all is answered."""


@dataclass(frozen=True, kw_only=True)
class Options(decoding.Text):
    """Serve a model over HTTP."""

    host: str = "127.0.0.1"
    """address to listen on; 0.0.0.0: all, for anybody: there are no passwords"""
    allow_host: tuple[str, ...] = ()
    """with a --host of this machine alone: other names that requests may call it by"""
    port: int = 8000
    """port to listen on; 0: any that is free"""
    max_beam_size: int | None = None
    """the largest beam that a request may ask for; None: --beam-size"""
    batch: int = 32
    """texts worked off at once, at most"""
    wait: float = 5.0
    """milliseconds that a text waits for others to fill a batch"""
    max_body: int = 1 << 20
    """bytes of a request, at most"""
    max_texts: int = 128
    """texts of a request, at most"""
    max_characters: int = 5000
    """characters of a text, at most; of tokens, what the model was trained on"""
    max_queue: int = 1024
    """texts that wait at most, of all requests; more are refused for a while"""
    timeout: float = 60.0
    """seconds from a request to its answer, at most"""
    log_texts: flags.Switch = False
    """write the texts of requests into the log"""
    page: flags.Switch = False
    """also answer GET / with a page to type texts into, as `view` writes it"""


def main(args: Sequence[str], prog: str) -> None:
    """Serve as the arguments say, until a signal comes.

    Raises:
        InputError: where the arguments or the workdir cannot be used, a package is
            missing or the address is taken.
    """
    options = flags.parse(Options, args, prog=prog, description=DESCRIPTION)
    check(options)
    reads = decoding.reads_source(options.workdir)
    decoding.check_texts(options.workdir, "serve")
    decoding.check_dictionary(options)
    if options.page:
        decoding.check_source(options.workdir, "--page")
        decoding.check_attention(options.workdir, "--page")
    from seq2seq_jax.serving import app, limits, server

    sock = server.bound(options.host, options.port)
    predictor = decoding.load(options)
    most = options.max_beam_size or options.beam_size
    desk = app.App(
        model_of(predictor, options, reads),
        limits.Limits(
            body=options.max_body,
            texts=options.max_texts,
            characters=options.max_characters,
            beam_size=most,
            queue=options.max_queue,
            seconds=options.timeout,
        ),
        rows=options.batch,
        wait=options.wait / 1000,
        log=tell,
        log_texts=options.log_texts,
        hosts=options.allow_host if is_loopback(sock.getsockname()[0]) else None,
        page=page_of(predictor, options) if options.page else None,
    )
    warm_up(desk, predictor, options)
    if not is_loopback(sock.getsockname()[0]):
        decoding.warn(f"{server.url(sock)} can be reached by others: no passwords")
    server.run(desk, sock, tell, str(options.workdir))


def check(options: Options) -> None:
    """Refuse numbers that cannot be, and a missing package, before anything is loaded.

    Raises:
        InputError: naming the flag, or the package.
    """
    least = {"batch": 1, "max_texts": 1, "max_characters": 1, "max_body": 1}
    for name, low in least.items():
        if getattr(options, name) < low:
            wrong(options, name, f"{low} or more")
    if not 0 <= options.port < 1 << 16:
        wrong(options, "port", f"0 to {(1 << 16) - 1}")
    if not 0 <= options.wait < 60_000:
        wrong(options, "wait", "0 to 60000 milliseconds")
    if not 0 < options.timeout < 86_400:
        wrong(options, "timeout", "more than 0 seconds and less than a day")
    if options.max_queue < options.max_texts:
        wrong(options, "max_queue", f"--max-texts ({options.max_texts}) or more")
    if options.max_beam_size is not None and options.max_beam_size < options.beam_size:
        wrong(options, "max_beam_size", f"--beam-size ({options.beam_size}) or more")
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"serve needs {' and '.join(missing)}: pip install 'seq2seq-jax[serve]'"
        )


def wrong(options: Options, name: str, expected: str) -> None:
    """Refuse an option's value."""
    flag = name.replace("_", "-")
    raise InputError(f"--{flag} is {getattr(options, name)}, expected {expected}")


def model_of(predictor: "Predictor", options: Options, reads: bool) -> Any:
    """The predictor as the server knows it; answers are what the commands print."""
    from seq2seq_jax.nn.scores import SCORES
    from seq2seq_jax.serving.app import Model

    size = predictor.target_tokenizer.size
    for name in ("beam_size", "max_beam_size"):
        if (getattr(options, name) or 1) > size:
            wrong(options, name, f"at most {size}, the size of the target vocabulary")
    more = decoding.replacement(predictor, options)

    def work(asked: "Asked", values: Sequence[Any]) -> list[Any]:
        if asked.kind == "score":
            scores = predictor.score(*zip(*values, strict=True))
            return [score_of(score, asked.tokens) for score in scores]
        if asked.kind == "view":
            own = dataclasses.replace(options, beam_size=asked.beam_size)
            return [view.sentence(predictor, x, own, asked.n_best) for x in values]
        found = decoding.translate(
            predictor,
            values,
            dataclasses.replace(options, beam_size=asked.beam_size),
            n_best=asked.n_best,
            alignments=True,  # fewer programs to compile than with and without
            **more,
        )
        return [[translation_of(one, asked.alignments) for one in all] for all in found]

    return Model(
        work,
        lambda text: len(predictor.source_tokenizer.encode(text)),
        lambda text: len(predictor.target_tokenizer.encode(text)),
        predictor.max_length,
        options.beam_size,
        reads,
        SCORES[predictor.config.attention].looks,
    )


def page_of(predictor: "Predictor", options: Options) -> str:
    """The page that asks this server."""
    from seq2seq_jax.viewer.page import page

    most = options.max_beam_size or options.beam_size
    data: dict[str, Any] = {"live": True, "beam_size": options.beam_size}
    data |= {"max_beam_size": most, "model": view.about(predictor), "sentences": []}
    return page(options.workdir.resolve().name, data)


def translation_of(found: "Hypothesis", alignments: bool) -> dict[str, Any]:
    """A hypothesis as JSON: the texts and numbers that `translate` prints."""
    said: dict[str, Any] = {
        "text": decoding.one_line(found.text),
        "score": round(found.score, DIGITS),
        "log_prob": round(found.log_prob, DIGITS),
    }
    if alignments and found.alignment is not None:
        said |= {
            "alignment": decoding.pharaoh(found),
            "pieces": found.pieces,
            "source_pieces": found.source_pieces,
            "weights": [
                [round(float(x), DIGITS) for x in row] for row in found.alignment
            ],
        }
    return said


def score_of(score: "Score", tokens: bool) -> dict[str, Any]:
    """A score as JSON: the number that `score` prints; its tokens where asked for."""
    said: dict[str, Any] = {"log_prob": round(score.log_prob, DIGITS)}
    if tokens:
        each = [round(float(x), DIGITS) for x in score.token_log_probs]
        said |= {"pieces": score.pieces, "token_log_probs": each}
    return said


def warm_up(desk: Any, predictor: "Predictor", options: Options) -> None:
    """Compile what requests without options of their own need, at every shape."""
    from seq2seq_jax.inference import batching
    from seq2seq_jax.serving.requests import Asked

    edges = batching.length_edges(predictor.max_length)
    sizes = sorted({n for n in batching.FEW if n < options.batch} | {options.batch})
    tell(f"compiling for {len(edges)} lengths and {len(sizes)} sizes of batches")
    for low, high in zip([0, *edges], edges, strict=False):
        text = text_of(predictor.source_tokenizer, low, high)
        for size in sizes if text is not None else ():
            if desk.model.reads:
                desk.model.work(Asked("translate", options.beam_size), [text] * size)
            if options.page and size == 1:
                most = options.beam_size
                desk.model.work(Asked("view", most, most), [text])
            desk.model.work(Asked("score"), [(text, "")] * size)


def text_of(tokenizer: "Tokenizer", low: int, high: int) -> str | None:
    """A text of more than `low` and at most `high` tokens, EOS included."""
    from seq2seq_jax.types import UNK

    for unit in range(UNK + 1, tokenizer.size):
        if not tokenizer.decode([unit]).strip():
            continue
        for count in range(1, high):
            text = tokenizer.decode([unit] * count) + "\t" * (tokenizer.parts - 1)
            if low < len(tokenizer.encode(text)) + 1 <= high:
                return text
        return None
    return None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback


def tell(message: str) -> None:
    """A line on stderr."""
    print(message, file=sys.stderr, flush=True)
