"""The ledger: all counters of the inspector, and the series that Prometheus reads of them."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from pointsman.inspector.assignment import Assignment
from pointsman.inspector.judgement import FAILURES, HANDLED, REPLAYED, Conclusion, Handled, Reply
from pointsman.inspector.outputs import Answer
from pointsman.inspector.scales import Categories, Histogram, Predictions, counted
from pointsman.inspector.slices import ALL, NONE, OTHER, Names

if TYPE_CHECKING:  # it takes what only who watches needs
    from pointsman.inspector.norms import Norms

_PREFIX: Final = "pointsman_inspector_"
SECONDS: Final = tuple(float(f"{0.001 * 2 ** (step / 8):.4g}") for step in range(128))
"""1 ms to 60 s, each edge 1.09 times the one before: two of them are less than a tolerance of 1.2 apart."""


class Ledger(Collector):
    """Counts; everything that belongs to one request is counted in one go, so that no reading sees half of it."""

    def __init__(
        self, assignment: Assignment, norms: Norms | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._assignment = assignment
        self._norms, self._clock = norms, clock
        self._candidate = assignment.candidate.revision if assignment.candidate is not None else ""
        self._revisions = [arm.revision for arm in (assignment.stable, assignment.candidate) if arm is not None]
        self._names = Names(assignment.slices.max) if assignment.slices is not None else None
        self.received = 0
        self.handled = Counter[Handled](dict.fromkeys(HANDLED, 0))
        self._replays = Counter({(one, outcome): 0 for one in self._revisions for outcome in REPLAYED})
        self._comparisons = Counter[tuple[str, bool]]()
        self._of_slice = Counter[tuple[str, str]]()
        self._failures = Counter[tuple[str, str]]()
        for name in (ALL,) if self._names is None else (ALL, OTHER, NONE):
            self._open(name)
        self._cells = {one: [0] * (len(SECONDS) + 1) for one in self._revisions}
        self._seconds = dict.fromkeys(self._revisions, 0.0)
        scales = assignment.scales
        self._predictions = {one: Predictions(scales.predictions) for one in self._revisions}
        compared = (one.output for one in assignment.comparators if one.kind != "Bytes")
        self._outputs = tuple(dict.fromkeys((*scales.predictions, *compared)))
        self._features = {pointer: counted(scales.features.get(pointer)) for pointer in assignment.counted_features}
        self.share = 1.0
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    @property
    def in_flight(self) -> int:
        """Requests that were received and of which nothing can be said yet."""
        return self.received - self.handled.total()

    def ended(self, handled: Handled) -> None:
        """Count a request that was not replayed."""
        self.handled[handled] += 1

    def concluded(self, conclusion: Conclusion) -> None:
        """Count a request that was replayed: both replies at once, so that what one arm has more is not mere delay."""
        finding = conclusion.finding
        self.handled[finding.handled] += 1
        if not conclusion.replies:
            return
        names = self._slices(conclusion.asked.slice)
        for revision, reply in zip(self._revisions, conclusion.replies, strict=True):
            self._replayed(revision, reply, names)
        if finding.agreed is not None:
            for name in names:
                self._comparisons[name, finding.agreed] += 1
        for feature, value in zip(self._features.values(), conclusion.asked.features, strict=True):
            feature.observe(value)
        answers = [finding.stable, finding.candidate][: len(self._revisions)]
        for revision, answer in zip(self._revisions, answers, strict=True):
            if None not in answers and answer is not None:
                self._predicted(self._predictions[revision], answer)

    def _slices(self, value: str) -> tuple[str, ...]:
        if self._names is None:
            return (ALL,)
        name = self._names.name(value)
        self._open(name)
        return (ALL, name)

    def _open(self, name: str) -> None:
        """From its first request on every series of a slice is there: a series that comes later has no increase."""
        for revision in self._revisions:
            self._of_slice[name, revision] += 0
            self._failures[name, revision] += 0
        for agreed in (True, False) if self._candidate else ():
            self._comparisons[name, agreed] += 0

    def _replayed(self, revision: str, reply: Reply, names: tuple[str, ...]) -> None:
        self._replays[revision, reply.outcome] += 1
        for name in names:
            self._of_slice[name, revision] += 1
            self._failures[name, revision] += reply.outcome in FAILURES
        if reply.outcome in ("ok", "timeout"):
            self._cells[revision][bisect_left(SECONDS, reply.seconds)] += 1
            self._seconds[revision] += reply.seconds

    def _predicted(self, predictions: Predictions, answer: Answer) -> None:
        for name in self._outputs or answer.outputs:
            output = answer.output(name)
            if output is not None:
                predictions.observe(name, output)

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """Every family."""
        yield self._info()
        yield _counter("received", "Requests received.", (), [((), self.received)])
        yield _counter(
            "handled",
            "Requests by what became of them.",
            ("outcome",),
            (((one,), n) for one, n in self.handled.items()),
        )
        yield _gauge("in_flight", "Requests of which nothing can be said yet.", self.in_flight)
        yield _gauge("sample_ratio", "The share of requests that is replayed, 0 to 1.", self.share)
        yield _counter("replays", "Replays by their outcome.", ("revision", "outcome"), self._replays.items())
        yield self._durations()
        yield _counter(
            "comparisons",
            'Pairs of answers by whether they agree; the slice "" is all of them.',
            ("revision", "slice", "agreed"),
            (((self._candidate, name, str(agreed).lower()), n) for (name, agreed), n in self._comparisons.items()),
        )
        yield _counter("slice_replays", "Replays by slice.", ("slice", "revision"), self._of_slice.items())
        yield _counter(
            "slice_failures", "Replays that failed, by slice.", ("slice", "revision"), self._failures.items()
        )
        yield from self._values("predictions", ("revision", "output"), self._predicted_values())
        yield from self._values(
            "features", ("feature",), (((pointer,), one) for pointer, one in self._features.items())
        )
        if self._norms is not None:
            yield from self._expected(self._norms)

    def _expected(self, norms: Norms) -> Iterator[GaugeMetricFamily]:
        labels = ("feature", "output", "above", "value")
        expected = GaugeMetricFamily(
            _PREFIX + "expected_ratio",
            "The share over an edge, or of a value, that the reference expects now.",
            labels=labels,
        )
        allowed = GaugeMetricFamily(
            _PREFIX + "allowed_ratio", "How far that share may be from what is expected.", labels=labels
        )
        for one in norms.at(self._clock()):
            of = (one.name, "") if one.label == "feature" else ("", one.name)
            expected.add_metric([*of, one.above, one.value], one.share)
            allowed.add_metric([*of, one.above, one.value], one.allowed)
        yield from (expected, allowed)

    def _info(self) -> GaugeMetricFamily:
        told = self._assignment
        labels = {
            "namespace": told.namespace,
            "deployment": told.deployment,
            "attempt": str(told.attempt),
            "stable": told.stable.revision,
            "candidate": self._candidate,
        }
        info = GaugeMetricFamily(_PREFIX + "info", "1; what this inspector was told.", labels=list(labels))
        info.add_metric(list(labels.values()), 1)
        return info

    def _durations(self) -> HistogramMetricFamily:
        family = HistogramMetricFamily(
            _PREFIX + "replay_duration_seconds",
            "How long replays took that were answered, to the last byte, and those that timed out.",
            labels=["revision"],
        )
        edges = [*(repr(edge) for edge in SECONDS), "+Inf"]
        for revision, cells in self._cells.items():
            buckets = list(zip(edges, accumulate(cells), strict=True))
            family.add_metric([revision], buckets, self._seconds[revision])
        return family

    def _predicted_values(self) -> Iterator[tuple[tuple[str, ...], Histogram | Categories]]:
        for revision, predictions in self._predictions.items():
            for name, one in predictions.found.items():
                yield (revision, name), one

    def _values(
        self, name: str, labels: tuple[str, ...], found: Iterable[tuple[tuple[str, ...], Histogram | Categories]]
    ) -> Iterator[Metric]:
        """A histogram of numbers, a counter a category, and how many values were neither."""
        singular = name.removesuffix("s")
        numbers = HistogramMetricFamily(_PREFIX + name, f"{name.capitalize()} that are numbers.", labels=labels)
        values = CounterMetricFamily(
            f"{_PREFIX}{singular}_values", f"{name.capitalize()} that are categories.", labels=(*labels, "value")
        )
        missing = CounterMetricFamily(
            f"{_PREFIX}{name}_missing", f"{name.capitalize()} that were not there, or no finite number.", labels=labels
        )
        for key, one in found:
            missing.add_metric(key, one.missing)
            if isinstance(one, Histogram):
                numbers.add_metric(key, one.cumulative(), None)
            else:
                for value, count in one.counts.items():
                    values.add_metric((*key, value), count)
        yield from (numbers, values, missing)


def _counter(
    name: str, says: str, labels: tuple[str, ...], found: Iterable[tuple[tuple[str, ...], int]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(_PREFIX + name, says, labels=labels)
    for key, count in found:
        family.add_metric(key, count)
    return family


def _gauge(name: str, says: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, says, value=value)
