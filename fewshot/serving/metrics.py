"""Metrics for Prometheus."""

from collections.abc import Callable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from fewshot.serving.scoring import Answer

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one server.

    Args:
        paths: those with counts of their own; all others are counted together.
    """

    def __init__(self, paths: Sequence[str]):
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._paths = frozenset(paths)
        self._requests = Counter("fewshot_requests", "Requests.", ["path", "status"], registry=registry)
        self._seconds = Histogram(
            "fewshot_request_seconds", "Seconds from the head of a request to the end of its answer.", ["path"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._predictions = Counter(
            "fewshot_predictions", "Texts that were answered.", ["model", "variant", "label"], registry=registry
        )
        self._rejected = Counter(
            "fewshot_rejected", "Texts that seemed to be of no label.", ["model"], registry=registry
        )
        self._batch_texts = Histogram(
            "fewshot_batch_texts", "Texts of a batch.", buckets=_TEXTS, registry=registry
        )  # fmt: skip
        self._batch_seconds = Histogram(
            "fewshot_batch_seconds", "Seconds that a batch took.", buckets=_SECONDS, registry=registry
        )
        self.shadows_skipped = Counter(
            "fewshot_shadows_skipped", "Texts that the shadow did not see, as too many waited.", registry=registry
        )
        self._model = Gauge("fewshot_model_info", "The models that answer.", ["model", "digest"], registry=registry)
        self._drift = Gauge(
            "fewshot_drift", "How far recent texts are from the labelled ones: see the docs.", ["model", "what"],
            registry=registry,
        )  # fmt: skip
        self._drift_p = Gauge(
            "fewshot_drift_p_value", "How often as far a shift would be seen by chance.", ["model", "what"],
            registry=registry,
        )  # fmt: skip
        self._drift_texts = Gauge(
            "fewshot_drift_texts", "Recent texts that the drift is measured on.", ["model"], registry=registry
        )
        self._n_waiting = Gauge("fewshot_queue_texts", "Texts that wait.", registry=registry)
        self._audit_lost = Gauge(
            "fewshot_audit_lost_records", "Records that could not be written to the audit log.", registry=registry
        )

    def watch(self, n_waiting: Callable[[], int], n_lost: Callable[[], int]) -> None:
        """Set the sources of the number of waiting texts and of lost records."""
        self._n_waiting.set_function(n_waiting)
        self._audit_lost.set_function(n_lost)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        path = path if path in self._paths else "other"
        self._requests.labels(path, status).inc()
        self._seconds.labels(path).observe(seconds)

    def batch(self, n_texts: int, seconds: float) -> None:
        """Count a batch."""
        self._batch_texts.observe(n_texts)
        self._batch_seconds.observe(seconds)

    def answers(self, model: str, variant: str | None, answers: Sequence[Answer]) -> None:
        """Count the answers of a model."""
        for answer in answers:
            labels = answer.prediction.label
            for label in labels if isinstance(labels, tuple) else (labels,):
                self._predictions.labels(model, variant or "", str(label)).inc()
            if answer.prediction.rejected:
                self._rejected.labels(model).inc()

    def models(self, digests: dict[str, str]) -> None:
        """Set the models that answer."""
        self._model.clear()
        for name, digest in digests.items():
            self._model.labels(name, digest).set(1)

    def drift(self, model: str, shifts: dict[str, Any], n_texts: int) -> None:
        """Set the drift of a model."""
        self._drift_texts.labels(model).set(n_texts)
        for what, shift in shifts.items():
            self._drift.labels(model, what).set(shift.size)
            self._drift_p.labels(model, what).set(shift.p_value)

    def forget_drift(self, model: str) -> None:
        """Leave out the drift of a model until it is measured again."""
        for gauge in (self._drift, self._drift_p, self._drift_texts):
            gauge.remove_by_labels({"model": model})

    def page(self) -> bytes:
        """All of it as text."""
        return bytes(generate_latest(self._registry))
