"""What the server counts, as Prometheus reads it."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
PREFIX = "seq2seq_"


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self.requests = Counter(
            f"{PREFIX}requests",
            "Answered requests",
            ("route", "status"),
            registry=own,
        )
        self.seconds = Histogram(
            f"{PREFIX}request_seconds",
            "From a request's first byte to its answer's last",
            ("route",),
            buckets=SECONDS,
            registry=own,
        )
        self.texts = Counter(
            f"{PREFIX}texts", "Texts of accepted requests", ("route",), registry=own
        )
        self.tokens = Counter(
            f"{PREFIX}tokens", "Tokens of these texts", ("route",), registry=own
        )
        self.batch_size = Histogram(
            f"{PREFIX}batch_texts",
            "Texts worked off together",
            buckets=SIZES,
            registry=own,
        )
        self.batch_seconds = Histogram(
            f"{PREFIX}batch_seconds", "Work of a batch", buckets=SECONDS, registry=own
        )
        self.queue_seconds = Histogram(
            f"{PREFIX}queue_seconds",
            "How long a batch's oldest text has waited",
            buckets=SECONDS,
            registry=own,
        )

    def gauge(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Add a number that is asked for when the metrics are read."""
        Gauge(PREFIX + name, meaning, registry=self.registry).set_function(value)

    def batch(self, size: int, took: float, waited: float) -> None:
        """One batch was worked off."""
        self.batch_size.observe(size)
        self.batch_seconds.observe(took)
        self.queue_seconds.observe(waited)

    def answer(self, route: str, status: int, took: float) -> None:
        """One request was answered."""
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(took)

    def accept(self, route: str, texts: int, tokens: int) -> None:
        """One request will be worked on."""
        self.texts.labels(route).inc(texts)
        self.tokens.labels(route).inc(tokens)

    def text(self) -> bytes:
        """All of them."""
        return generate_latest(self.registry)
