"""The operator's own metrics, for Prometheus; docs/metrics.md says what they mean."""

from __future__ import annotations

import math
import time
from collections import Counter as Tally
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from pointsman.api.conditions import Condition
from pointsman.api.modeldeployment import Outcome, Phase, RolloutStatus
from pointsman.api.values import WHOLE, basis_points
from pointsman.controller.attention import Attention
from pointsman.controller.keys import Key
from pointsman.evidence.drift import Kind
from pointsman.rollout.vigil import Vigil
from pointsman.rollout.weighing import Weighed

_WRITES = frozenset({"create", "apply", "patch", "update", "delete"})
_BUCKETS: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_OF_ROLLOUT: Final = ("namespace", "name")
_KINDS: Final = tuple(kind for kind in get_args(Kind) if kind)


@dataclass(frozen=True, kw_only=True)
class _Standing:
    """Where a rollout stands."""

    phase: str
    percent: int | str
    gates: tuple[Weighed, ...]
    deadline: datetime | None


class Rollouts(Collector):
    """The rollouts that run: kept when one changes, made into series when Prometheus asks, gone with the rollout."""

    def __init__(self) -> None:
        self._standings: dict[Key, _Standing] = {}

    def keep(self, key: Key, rollout: RolloutStatus | None, gates: tuple[Weighed, ...]) -> None:
        """Where it stands now; None: it has ended, or its ModelDeployment is gone."""
        if rollout is None:
            self._standings.pop(key, None)
        else:
            self._standings[key] = _Standing(
                phase=rollout.phase, percent=rollout.percent, gates=gates, deadline=_deadline(rollout)
            )

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """One family a question."""
        standings = tuple(self._standings.items())  # rollouts move on while their text is made in another thread
        phases = Tally(standing.phase for _, standing in standings)
        running = GaugeMetricFamily("pointsman_rollouts", "Rollouts that run, by phase.", labels=["phase"])
        for phase in get_args(Phase):
            running.add_metric([phase], phases[phase])
        weight = GaugeMetricFamily(
            "pointsman_rollout_weight_ratio", "The candidate's share of the traffic, 0 to 1.", labels=_OF_ROLLOUT
        )
        for key, standing in standings:
            weight.add_metric([key.namespace, key.name], basis_points(standing.percent) / WHOLE)
        deadline = GaugeMetricFamily(
            "pointsman_rollout_deadline_timestamp_seconds", "When `whenUndecided` rules.", labels=_OF_ROLLOUT
        )
        for key, standing in standings:
            if standing.deadline is not None:
                deadline.add_metric([key.namespace, key.name], standing.deadline.timestamp())
        yield running
        yield weight
        yield deadline
        yield from _gates(standings)


def _gates(standings: Iterable[tuple[Key, _Standing]]) -> Iterator[GaugeMetricFamily]:
    verdict = GaugeMetricFamily(
        "pointsman_gate_verdict", "1 for what the gate says now.", labels=(*_OF_ROLLOUT, "gate", "verdict")
    )
    harm = GaugeMetricFamily("pointsman_gate_harm_evidence", "Evidence of harm, log e.", labels=(*_OF_ROLLOUT, "gate"))
    safety = GaugeMetricFamily(
        "pointsman_gate_safety_evidence", "Evidence of safety, log e.", labels=(*_OF_ROLLOUT, "gate")
    )
    for key, standing in standings:
        for weighed in standing.gates:
            labels = [key.namespace, key.name, weighed.gate.name]
            verdict.add_metric([*labels, weighed.verdict], 1)
            if weighed.proof is not None:
                harm.add_metric(labels, weighed.proof.log_harm)
                safety.add_metric(labels, weighed.proof.log_safe)
    yield from (verdict, harm, safety)


class Vigils(Collector):
    """The versions that serve alone and are watched."""

    def __init__(self) -> None:
        self._vigils: dict[Key, Vigil] = {}

    def keep(self, key: Key, vigil: Vigil | None) -> None:
        """What is known now; None: nothing is watched any more."""
        if vigil is None:
            self._vigils.pop(key, None)
        else:
            self._vigils[key] = vigil

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """One family a question."""
        drifted = GaugeMetricFamily(
            "pointsman_drifted",
            "1 for what has left its norm while a version serves alone.",
            labels=(*_OF_ROLLOUT, "kind"),
        )
        evidence = GaugeMetricFamily(
            "pointsman_drift_evidence_ratio",
            "Evidence of drift, log e, as a share of what raises an alarm.",
            labels=_OF_ROLLOUT,
        )
        for key, vigil in self._vigils.items():
            for kind in _KINDS:
                drifted.add_metric([key.namespace, key.name, kind], int(vigil.kind == kind))
            if math.isfinite(vigil.evidence) and math.isfinite(vigil.level):
                evidence.add_metric([key.namespace, key.name], vigil.evidence / vigil.level)
        yield from (drifted, evidence)


def _deadline(rollout: RolloutStatus) -> datetime | None:
    """None: there is none yet, or it stands still."""
    return None if rollout.clock_stopped_at is not None else rollout.deadline_at


class Watches(Collector):
    """How long ago each watch was heard of."""

    def __init__(self, ages: Callable[[], Mapping[str, float]]) -> None:
        self._ages = ages

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """One series a watch."""
        silence = GaugeMetricFamily(
            "pointsman_watch_silence_seconds", "Time since an event or a bookmark of a watch.", labels=["path"]
        )
        for path, age in self._ages().items():
            silence.add_metric([path], age)
        yield silence


class Metrics:
    """Counts what the operator does."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._rollouts = Rollouts()
        self.registry.register(self._rollouts)
        self._attention = Attention()
        self.registry.register(self._attention)
        self._vigils = Vigils()
        self.registry.register(self._vigils)
        self._reconciles = self._counter(
            "pointsman_reconciles", "Reconciles by result: ok, conflict, retry or crash.", "result"
        )
        self._seconds = self._histogram("pointsman_reconcile_duration_seconds", "How long reconciles take.")
        self._requests = self._counter(
            "pointsman_api_requests", "Requests to the API server; code 0: no answer.", "verb", "kind", "code"
        )
        self._writes = self._counter("pointsman_api_writes", "Requests to the API server that write.", "verb", "kind")
        self._looks = self._counter("pointsman_looks", "Looks at rollouts.")
        self._look_seconds = self._histogram("pointsman_look_duration_seconds", "How long looks take.")
        self._failed = self._counter("pointsman_prometheus_failures", "Queries that Prometheus did not answer.")
        self._ended = self._counter("pointsman_rollouts_ended", "Rollouts that have ended, by outcome.", "outcome")
        for outcome in get_args(Outcome):
            self._ended.labels(outcome)
        self._dropped = self._counter("pointsman_dropped_events", "Events that were not posted.")
        self._notified = self._counter(
            "pointsman_notifications",
            "What webhooks were told: sent; failed, at each try; dropped, never delivered.",
            "outcome",
        )
        for told in ("sent", "failed", "dropped"):
            self._notified.labels(told)
        self._unsent = self._gauge("pointsman_notifications_owed", "What webhooks have still to be told.")
        self._queued = self._gauge("pointsman_queue_length", "Objects that wait for a worker.")
        self._oldest = self._gauge("pointsman_queue_oldest_seconds", "How long the one that waits longest has waited.")
        self._leading = self._gauge("pointsman_leading", "1 where this operator leads.")
        self._looked_at: float | None = None
        self._gauge("pointsman_last_look_age_seconds", "Time since the last look.").set_function(self._age)

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

    def rollout(self, key: Key, rollout: RolloutStatus | None, gates: tuple[Weighed, ...]) -> None:
        """Where a ModelDeployment's rollout stands; None: none runs."""
        self._rollouts.keep(key, rollout, gates)

    def conditions(self, key: Key, conditions: Sequence[Condition]) -> None:
        """What a ModelDeployment says; none: it is gone."""
        self._attention.keep(key, conditions)

    def drift(self, key: Key, vigil: Vigil | None) -> None:
        """What is known of a version that serves alone; None: none is watched."""
        self._vigils.keep(key, vigil)

    def ended(self, outcome: Outcome) -> None:
        """A rollout has ended."""
        self._ended.labels(outcome).inc()

    def dropped(self) -> None:
        """An Event was not posted."""
        self._dropped.inc()

    def notified(self, outcome: str) -> None:
        """A webhook was told something, or not."""
        self._notified.labels(outcome).inc()

    def notifications(self, owed: Callable[[], int]) -> None:
        """Where the number of what is still to be told comes from."""
        self._unsent.set_function(owed)

    def led(self) -> None:
        """This operator leads now."""
        self._leading.set(1)

    def queue(self, length: Callable[[], int], oldest: Callable[[], float]) -> None:
        """Where the queue's length and the age of its oldest come from."""
        self._queued.set_function(length)
        self._oldest.set_function(oldest)

    def watches(self, ages: Callable[[], Mapping[str, float]]) -> None:
        """Where the time since each watch was heard of comes from."""
        self.registry.register(Watches(ages))

    def text(self, names: Collection[str] = ()) -> bytes:
        """In Prometheus' text format: the samples of these names, or all."""
        return generate_latest(self.registry.restricted_registry(names) if names else self.registry)

    def _age(self) -> float:
        return float("nan") if self._looked_at is None else time.monotonic() - self._looked_at

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(name, says, labels, registry=self.registry)

    def _histogram(self, name: str, says: str) -> Histogram:
        return Histogram(name, says, registry=self.registry, buckets=_BUCKETS)

    def _gauge(self, name: str, says: str) -> Gauge:
        return Gauge(name, says, registry=self.registry)
