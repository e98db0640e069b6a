"""Answers as Prometheus would give them, written by hand: `Scrape` collects a pod's series, `answers` files them by query."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from pointsman.api.gates import Gate
from pointsman.api.modelruntime import Metrics
from pointsman.signals.counts import Look, look
from pointsman.signals.profiles import Question, Shape, Unanswerable, ask, gateway
from pointsman.signals.queries import Plan, Query, plan
from pointsman.signals.reading import Answered, Watch
from pointsman.signals.samples import Answer, Sample

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = AT.timestamp()
STABLE = "churn-11111111"
CANDIDATE = "churn-22222222"

MLSERVER = Metrics.model_validate(
    {
        "port": "metrics",
        "requests": {"counter": "requests_total", "match": {"path": "/infer"}, "failed": {"status": "5.."}},
        "latency": {"histogram": "duration_seconds", "match": {"path": "/infer"}},
    }
)

ERRORS = Gate(name="errors", signal="Errors")
LATENCY = Gate(name="latency", signal="Latency")
GATEWAY_ERRORS = Gate(name="errors", signal="Errors", source="Gateway")
GATEWAY_LATENCY = Gate(name="latency", signal="Latency", source="Gateway")


def question(gate: Gate, metrics: Metrics = MLSERVER) -> Question:
    answer = ask(gate, stable=metrics, candidate=metrics, gateway=gateway("envoy-gateway"), routed=True)
    assert not isinstance(answer, Unanswerable)
    return answer


def watch(*gates: Gate, namespace: str = "ml") -> Watch:
    return Watch(namespace, stable=STABLE, candidate=CANDIDATE, questions=tuple(question(gate) for gate in gates))


@dataclass
class Scrape:
    """What one target showed at its last scrape."""

    pod: str
    revision: str = STABLE
    age: float = 5.0
    up: bool = True
    job: str = "pods"
    instance: str = ""
    series: list[Sample] = field(default_factory=list)

    @property
    def labels(self) -> dict[str, str]:
        found = {"namespace": "ml", "pod": self.pod, "job": self.job, "instance": self.instance or f"{self.pod}:8082"}
        return {**found, "pointsman_dev_revision": self.revision} if self.revision else found

    def counter(self, value: float, **labels: str) -> Scrape:
        self.series.append(Sample({**self.labels, "__name__": "requests_total", "path": "/infer", **labels}, value))
        return self

    def failed(self, value: float, **labels: str) -> Scrape:
        """Failed requests: Prometheus gives them twice, as requests and marked as failed."""
        self.counter(value, status="500", **labels)
        return self.counter(value, status="500", pointsman_part="failed", **labels)

    def buckets(self, **counts: float) -> Scrape:
        """`le_0_1=5` is the bucket le="0.1"; `le_inf` is le="+Inf"."""
        for name, value in counts.items():
            le = "+Inf" if name == "le_inf" else name.removeprefix("le_").replace("_", ".")
            self.series.append(Sample({**self.labels, "__name__": "duration_seconds_bucket", "le": le}, value))
        return self

    def started(self, at: float) -> Scrape:
        self.series.append(Sample({**self.labels, "pointsman_part": "started"}, at))
        return self

    def scraped(self) -> Sample:
        return Sample(self.labels, NOW - self.age if self.up else 0.0)


def answers(made: Plan, *scrapes: Scrape) -> dict[Query, Answer]:
    found: dict[Query, Answer] = {query: tuple(one.scraped() for one in scrapes) for query in made.freshness.values()}
    for shape, query in made.shapes.items():
        found[query] = tuple(sample for one in scrapes for sample in one.series if _asked(shape, sample))
    return found


def _asked(shape: Shape, sample: Sample) -> bool:
    return sample.labels.get("__name__", shape.metric).removesuffix("_bucket") == shape.metric


def looked(gate: Gate, *scrapes: Scrape) -> Answered:
    """What a gate reads from these scrapes."""
    asked = watch(gate)
    made = plan([asked])
    view: Look = look(made, answers(made, *scrapes), AT)
    return view.read(asked).gates[gate.name]
