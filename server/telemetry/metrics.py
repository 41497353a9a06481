"""Prometheus metrics of one server: its own registry, so that two servers in one process do not mix."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from server.answering.running import Reason
from server.answering.work import Work

disable_created_metrics()  # type: ignore[no-untyped-call]
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("http_requests", "HTTP requests.", "route", "method", "status")
        self.in_flight = Gauge("ragpod_http_in_flight", "HTTP requests being answered.", registry=self.registry)
        self.answers = self._counter("answers", "Answers, by how they ended.", "status")
        self.cancellations = self._counter("cancellations", "Answers ended early, by reason.", "reason")
        self.degraded = self._counter("degraded", "Answers that skipped something, by what.", "part")
        self.tokens = self._counter("tokens", "Tokens, as the engine counts them.", "kind")
        self.stage = Histogram(
            "ragpod_stage_seconds",
            "Stages of an answer; first_token counts from the question.",
            ["stage"],
            buckets=SECONDS,
            registry=self.registry,
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"ragpod_{name}", text, labels, registry=self.registry)

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A gauge that is read when it is scraped."""
        Gauge(f"ragpod_{name}", text, registry=self.registry).set_function(value)

    def render(self) -> bytes:
        return generate_latest(self.registry)

    def count_answer(self, status: str, work: Work) -> None:
        self.answers.labels(status).inc()
        for reason in work.degraded:
            self.count_degraded(reason)
        for stage, milliseconds in work.timings_ms.items():
            self.stage.labels(stage).observe(milliseconds / 1000)
        self.tokens.labels("prompt").inc(work.usage.prompt_tokens)
        self.tokens.labels("completion").inc(work.usage.completion_tokens)

    def count_degraded(self, reason: str) -> None:
        """What is degraded stands before the reason's colon."""
        self.degraded.labels(reason.partition(":")[0]).inc()

    def count_cancellation(self, reason: Reason) -> None:
        self.cancellations.labels(reason).inc()

    def count_relayed(self, status: str) -> None:
        """Of the engine's own id."""
        self.answers.labels(status).inc()
