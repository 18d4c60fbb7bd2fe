"""Evaluate a model on a corpus: loss and perplexity, decoded metrics, samples."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from seq2seq_jax.config import Config
from seq2seq_jax.data.corpus import Corpus
from seq2seq_jax.data.kinds import own_units
from seq2seq_jax.data.pipeline import Prepared, eval_batches
from seq2seq_jax.evaluation.metrics import METRICS, Options, chosen, measure, units_of
from seq2seq_jax.extending import check_table
from seq2seq_jax.inference.lengths import read_length_ratio
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.nn import model
from seq2seq_jax.series import metrics as series_metrics
from seq2seq_jax.training import parallel
from seq2seq_jax.training.hosts import ALONE, Hosts
from seq2seq_jax.training.layout import Cut, Whole
from seq2seq_jax.training.objective import cut_of
from seq2seq_jax.training.step import eval_step
from seq2seq_jax.types import Batch, Params

check_table(METRICS, "metric")
HIGHER = {name: metric.higher_is_better for name, metric in METRICS.items()}
HIGHER |= series_metrics.HIGHER
TITLES = {"loss": "loss", "perplexity": "perplexity", "accuracy": "token accuracy"} | {
    name: f"{metric.title} ({metric.unit})" if metric.unit else metric.title
    for name, metric in METRICS.items()
}
TITLES |= series_metrics.TITLES


def score(metric: str, values: dict[str, float]) -> float:
    """The value of the metric that decides what is best, turned so that more is better.

    >>> score("loss", {"loss": 2.0})
    -2.0
    """
    better = metric != "loss" and HIGHER[metric]
    return values[metric] if better else -values[metric]


@dataclass(frozen=True)
class Decoded:
    """What a model said to some sources.

    Attributes:
        metrics: the entries of `METRICS`, in percent; no BLEU of lines without words.
        samples: source, reference and hypothesis as text.
        hypotheses: the predictor's best hypotheses, in the order of the samples; None
            where another process has it.
        beside: the same metrics of what needs no learning, by its name.
    """

    metrics: dict[str, float]
    samples: list[dict[str, str]]
    hypotheses: list[Any]
    beside: dict[str, dict[str, float]] = field(default_factory=dict)


def go_on() -> None:
    """Evaluate to the end."""


class Stoppable(Predictor):
    """A predictor that calls `check` before each batch, which may raise."""

    check: Callable[[], None] = staticmethod(go_on)

    def begin_search(self, *args: Any) -> Any:
        """As it is, after the check."""
        self.check()
        return super().begin_search(*args)


class Evaluator:
    """Evaluates parameters on the corpora of a run; compiles once a shape.

    Of several processes each works off its share, and all get the results of all.

    Args:
        config: of the run.
        data: its corpora and tokenisers.
        workdir: where `lengths.json` is.
        layout: how the parameters lie on the devices.
        check: called before each batch; what it raises ends the evaluation.
        hosts: the processes that share the work.
    """

    def __init__(
        self,
        config: Config,
        data: Prepared,
        workdir: Path,
        layout: Whole | Cut,
        check: Callable[[], None] = go_on,
        hosts: Hosts = ALONE,
    ):
        cut = cut_of(config.training, data.target_tokenizer.size)

        def loss(params: Params, batch: Batch, key: Any, update: Any) -> Any:
            return model.loss(params, config.model, batch, 0.0, key, cut=cut)

        self._config, self._data, self._check = config, data, check
        self._layout, self._hosts = layout, hosts
        self._step = layout.eval_step(partial(eval_step, loss, rows=layout.rows))
        self._length_ratio = read_length_ratio(workdir / "lengths.json")

    def loss(self, params: Params, corpus: Corpus) -> dict[str, float]:
        """Mean negative log-likelihood a target token over a whole corpus.

        No label smoothing and no dropout: perplexity = exp(loss).
        """
        nll = correct = weight = 0.0
        share = self._hosts.index, self._hosts.count
        for batch in eval_batches(corpus, self._config, *share):
            self._check()
            cut, _ = parallel.shard_batch(batch, self._layout.devices.ways)
            sums = jax.device_get(self._step(params, cut))
            nll += float(sums.nll)
            correct += float(sums.correct)
            weight += float(sums.weight)
        mean = nll / max(weight, 1.0)
        perplexity = math.exp(mean) if mean < 700 else math.inf
        return {"loss": mean, "perplexity": perplexity, "accuracy": correct / weight}

    def decode(
        self,
        params: Params,
        corpus: Corpus,
        limit: int | None = None,
        alignments: bool = False,
    ) -> Decoded:
        """Say the sources and compare with the references.

        Sources that occur several times are one item with several references: the
        closest counts.

        Args:
            params: the state's parameters.
            corpus: development or test corpus.
            limit: at most so many items, spread evenly over the corpus; None: all.
            alignments: whether the hypotheses have them.
        """
        items = spread(references(corpus), limit)
        sources = [source for source, _ in items]
        targets = [accepted for _, accepted in items]
        own = slice(self._hosts.index, None, self._hosts.count)
        hypotheses: list[Any] = [None] * len(items)
        hypotheses[own] = (
            best for best, *_ in self._translate(params, sources[own], alignments)
        )
        said = [""] * len(items)
        texts = [hypothesis.text for hypothesis in hypotheses[own]]
        for index, part in enumerate(self._hosts.gathered(texts)):
            said[index :: self._hosts.count] = part
        idle = set() if has_words(targets) else {"bleu"}
        metric = self._config.training.metric
        idle.discard(metric)
        names = [name for name in chosen(metric) if name not in idle]
        kind = self._config.data.target_tokenizer
        options = Options(units_of(kind, own_units(kind)))
        measured = measure(names, said, targets, options)
        samples = [
            {"source": source, "reference": " | ".join(accepted), "hypothesis": text}
            for (source, accepted), text in zip(items, said, strict=True)
        ]
        values = {name: value for name, (value, _) in measured.items()}
        return Decoded(values, samples, hypotheses)

    def _translate(
        self, params: Params, sources: list[str], alignments: bool
    ) -> Iterable[list[Any]]:
        # One device decodes: a state spread over all would make each do all the work.
        predictor = Stoppable(
            jax.device_put(self._layout.whole(params), self._layout.devices.devices[0]),
            self._config.model,
            self._data.source_tokenizer,
            self._data.target_tokenizer,
            max_length=self._config.data.max_length,
            length_ratio=self._length_ratio,
        )
        predictor.check = self._check
        training = self._config.training
        return predictor.translate(
            sources,
            beam_size=training.eval_beam_size,
            length_penalty=training.eval_length_penalty,
            coverage_penalty=training.eval_coverage_penalty,
            alignments=alignments,
        )


def references(corpus: Corpus) -> list[tuple[str, list[str]]]:
    """Every distinct source of a corpus with all its distinct targets, in order."""
    found: dict[str, dict[str, None]] = {}
    for index in range(len(corpus)):
        found.setdefault(corpus.source_text(index), {})[corpus.target_text(index)] = (
            None
        )
    return [(source, list(targets)) for source, targets in found.items()]


def has_words(targets: list[list[str]]) -> bool:
    """Whether a line has the four words that BLEU needs; it is 0 where none has.

    >>> has_words([["Haus"], ["ein Haus"]])
    False
    """
    return any(len(text.split()) >= 4 for accepted in targets for text in accepted)


def spread(items: list[Any], limit: int | None) -> list[Any]:
    """At most `limit` items, evenly from the whole list: corpora are often sorted.

    >>> spread([0, 1, 2, 3, 4, 5], 3)
    [0, 2, 4]
    """
    if limit is None or limit >= len(items):
        return items
    return [items[i] for i in np.arange(limit) * len(items) // limit]
