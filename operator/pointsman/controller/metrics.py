"""The operator's own metrics, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_WRITES = frozenset({"create", "apply", "patch", "update", "delete"})


class Metrics:
    """Counts what the operator does."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._reconciles = Counter(
            "pointsman_reconciles",
            "Reconciles by result: ok, conflict, retry or crash.",
            ["result"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "pointsman_reconcile_seconds",
            "How long reconciles take.",
            registry=self.registry,
            buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
        )
        self._requests = Counter(
            "pointsman_api_requests",
            "Requests to the API server; code 0: no answer.",
            ["verb", "kind", "code"],
            registry=self.registry,
        )
        self._writes = Counter(
            "pointsman_api_writes", "Requests to the API server that write.", ["verb", "kind"], registry=self.registry
        )
        self._looks = Counter("pointsman_looks", "Looks at rollouts.", registry=self.registry)
        self._failed = Counter(
            "pointsman_failed_queries", "Queries that Prometheus did not answer.", registry=self.registry
        )
        self._look_seconds = Histogram("pointsman_look_seconds", "How long looks take.", registry=self.registry)
        self._dropped = Counter("pointsman_dropped_events", "Events that were not posted.", registry=self.registry)
        self._queued = Gauge("pointsman_queue_length", "Objects that wait for a worker.", registry=self.registry)
        self._look_age = Gauge("pointsman_last_look_age_seconds", "Time since the last look.", registry=self.registry)
        self._leading = Gauge("pointsman_leading", "1 where this operator leads.", registry=self.registry)
        self._looked_at: float | None = None
        self._look_age.set_function(self._age)

    def reconciled(self, result: str, seconds: float) -> None:
        """A reconcile has ended."""
        self._reconciles.labels(result).inc()
        self._seconds.observe(seconds)

    def looked(self, rollouts: int, failed: int, seconds: float) -> None:
        """A look has ended."""
        self._looks.inc(rollouts)
        self._failed.inc(failed)
        self._look_seconds.observe(seconds)
        self._looked_at = time.monotonic()

    def requested(self, verb: str, kind: str, code: int) -> None:
        """A request to the API server was answered, or not."""
        self._requests.labels(verb, kind, str(code)).inc()
        if verb in _WRITES:
            self._writes.labels(verb, kind).inc()

    def dropped(self) -> None:
        """An Event was not posted."""
        self._dropped.inc()

    def led(self) -> None:
        """This operator leads now."""
        self._leading.set(1)

    def queue(self, length: Callable[[], int]) -> None:
        """Where the queue's length comes from."""
        self._queued.set_function(length)

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self.registry)

    def _age(self) -> float:
        return float("nan") if self._looked_at is None else time.monotonic() - self._looked_at
