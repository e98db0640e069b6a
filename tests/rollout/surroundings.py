"""What happens around the operator in a model cluster: pods that come up and die, a gateway, users, Prometheus."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from pointsman.api import names
from pointsman.signals.own import EventsQuestion, ThresholdQuestion
from pointsman.signals.profiles import PredictionsQuestion, Question, ServedQuestion
from pointsman.signals.reading import (
    Answered,
    ArmCounts,
    Counts,
    Distribution,
    Measured,
    NoData,
    Past,
    PodCount,
    Reading,
    Scale,
    Served,
    Watch,
)
from tests.rollout.hour import past

START = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, float("inf"))
FAST = (0.1, 0.5, 0.3, 0.08, 0.015, 0.004, 0.001, 0.0, 0.0, 0.0)
SCORES = (0.4, 0.3, 0.2, 0.1)
"""Shares of predictions up to .25, .5, .75 and over that."""
AGES = (0.25, 0.25, 0.25, 0.25)
"""Shares of requests with an age up to 20, 40, 60 and over that."""
SLOW = (0.0, 0.0, 0.1, 0.2, 0.3, 0.3, 0.08, 0.02, 0.0, 0.0)


@dataclass
class PodState:
    """A pod: when it was created, how often it was restarted, and what it has counted."""

    name: str
    created: datetime
    ready_at: datetime | None
    restarted_at: datetime | None = None
    ran_for: timedelta | None = None
    restarts: int = 0
    failed: int = 0
    buckets: np.ndarray[Any, Any] = field(default_factory=lambda: np.zeros(len(EDGES), dtype=np.int64))


@dataclass
class Behaviour:
    """How a version behaves once it runs."""

    failures: float = 0.0
    latency: tuple[float, ...] = FAST
    starts: bool = True
    differs: float = 0.0  # of its answers, from stable's
    differs_for: dict[str, float] = field(default_factory=dict)  # by tenant, where it is another share
    scores: tuple[float, ...] = SCORES  # of its predictions


@dataclass
class Replays:
    """What an inspector has counted: replays of both versions and those that failed, and pairs of answers that differ."""

    started: datetime
    failed: dict[str, int] = field(default_factory=dict)
    buckets: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    scores: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    ages: np.ndarray[Any, Any] = field(default_factory=lambda: np.zeros(len(AGES), dtype=np.int64))
    differ: int = 0
    compared: int = 0
    tenants: dict[str, tuple[int, int]] = field(default_factory=dict)  # differing and compared of each


@dataclass(kw_only=True)
class Surroundings(ABC):
    """Pods, gateway, users and Prometheus beside the objects of an API server; `rps` are the users' requests a second."""

    rps: float = 100.0
    boot: timedelta = timedelta(seconds=3)
    prometheus: bool = True
    gateway: bool = True
    gateway_problem: str | None = None
    behaviour: dict[str, Behaviour] = field(default_factory=dict)  # by version
    seed: int = 1
    tenants: dict[str, float] = field(default_factory=lambda: {"none": 1.0})  # whose requests they are, shares

    def __post_init__(self) -> None:
        self.now = START
        self.rng = np.random.default_rng(self.seed)
        self.pods: dict[str, list[PodState]] = {}
        self.stopped: set[str] = set()  # revisions whose pods are all down
        self.stuck: set[str] = set()  # Deployments whose pods do not start
        self.hidden: set[str] = set()  # pods that Prometheus does not see
        self.answers: dict[str, float] = {}  # to the queries of Threshold gates
        self.silent: set[str] = set()  # gates that Prometheus has no data for
        self.replays: dict[str, Replays] = {}  # by inspector
        self.ages: tuple[float, ...] | None = AGES  # of the users' requests; None: they have no age
        self.born = 0
        self.served: dict[str, int] = {}
        self.replayed: dict[str, int] = {}
        self.sold: dict[str, tuple[int, int]] = {}  # bad ones and all, as somebody else counts them
        self.failed_requests = 0

    # -- the objects

    @abstractmethod
    def found(self, kind: str) -> Mapping[str, dict[str, Any]]:
        """The live objects of a kind, by name; not to be changed."""

    @abstractmethod
    def say(self, kind: str, name: str, status: dict[str, Any]) -> None:
        """Write the status of an object, as its controller does."""

    @abstractmethod
    def version_of(self, revision: str) -> str:
        """The model version that a revision serves."""

    def _how(self, revision: str) -> Behaviour:
        return self.behaviour.get(self.version_of(revision), Behaviour())

    # -- pods

    def container_dies(self, revision: str, *, ran_for: float = 3600.0) -> None:
        """A container of the first pod dies and is ready again two seconds later; what it counted is gone."""
        pod = self.pods[revision][0]
        pod.restarted_at, pod.ran_for, pod.restarts = self.now, timedelta(seconds=ran_for), pod.restarts + 1
        pod.ready_at, pod.failed = self.now + timedelta(seconds=2), 0
        pod.buckets = np.zeros(len(EDGES), dtype=np.int64)

    def evict(self, revision: str) -> None:
        """All pods of a revision are deleted; new ones come up."""
        self.pods[revision].clear()

    def is_ready(self, revision: str, pod: PodState) -> bool:
        """Whether a pod serves."""
        return revision not in self.stopped and pod.ready_at is not None and pod.ready_at <= self.now

    def ready(self, revision: str) -> list[PodState]:
        """The pods of a revision that serve."""
        return [pod for pod in self.pods.get(revision, ()) if self.is_ready(revision, pod)]

    def pods_live(self) -> None:
        """The Deployment controller and the kubelet: pods come, go and become ready, and the Deployments say so."""
        for name, obj in list(self.found("Deployment").items()):
            pods, spec = self.pods.setdefault(name, []), obj["spec"]
            while len(pods) < spec["replicas"]:
                self.born += 1
                pods.append(PodState(name=f"{name}-{self.born}", created=self.now, ready_at=None))
            for pod in pods:
                if pod.ready_at is None and self._how(name).starts and name not in self.stuck:
                    pod.ready_at = max(self.now, pod.created + self.boot)
            del pods[spec["replicas"] :]
            ready = self.ready(name)
            warm = timedelta(seconds=spec.get("minReadySeconds", 0))
            status = {
                "replicas": len(pods),
                "readyReplicas": len(ready),
                "availableReplicas": sum(
                    1 for pod in ready if pod.ready_at is not None and self.now - pod.ready_at >= warm
                ),
            }
            if obj.get("status") != status:
                self.say("Deployment", name, status)

    # -- the gateway and the users

    def gateway_answers(self) -> None:
        """The gateway takes the route as it is now, or says why it does not."""
        route = self.found("HTTPRoute").get("churn")
        if route is None or not self.gateway:
            return
        generation = route["metadata"]["generation"]
        accepted = {
            "type": "Accepted",
            "status": "False" if self.gateway_problem else "True",
            "reason": self.gateway_problem or "Accepted",
            "observedGeneration": generation,
        }
        resolved = {
            "type": "ResolvedRefs",
            "status": "True",
            "reason": "ResolvedRefs",
            "observedGeneration": generation,
        }
        status = {
            "parents": [
                {"parentRef": {"name": ref["name"], "namespace": ref["namespace"]}, "conditions": [accepted, resolved]}
                for ref in route["spec"]["parentRefs"]
            ]
        }
        if route.get("status") != status:
            self.say("HTTPRoute", "churn", status)

    def shares(self) -> Mapping[str, float]:
        """Who gets which share of the users' requests now."""
        route = self.found("HTTPRoute").get("churn")
        if route is not None:
            backends = route["spec"]["rules"][0]["backendRefs"]
            total = sum(b.get("weight", 1) for b in backends)
            found: dict[str, float] = {}
            for backend in backends if total else ():
                behind = self._behind(backend["name"])
                found[behind] = found.get(behind, 0.0) + backend.get("weight", 1) / total
            return found
        service = self.found("Service").get("churn")
        if service is None:
            return {}
        only = service["spec"]["selector"].get("pointsman.dev/revision")
        ready = {name: len(self.ready(name)) for name in self.pods if only in (None, name)}
        total = sum(ready.values())
        return {name: count / total for name, count in ready.items()} if total else {}

    def _behind(self, service: str) -> str:
        """The revision that a Service leads to; of a Service of others its own name."""
        found = self.found("Service").get(service)
        return service if found is None else str(found["spec"]["selector"].get("pointsman.dev/revision", service))

    def users(self, seconds: float) -> None:
        """Requests of so many seconds, and what the pods count of them."""
        for name, share in self.shares().items():
            count = int(self.rng.poisson(self.rps * seconds * share))
            ready = self.ready(name)
            self.served[name] = self.served.get(name, 0) + count
            if not ready:
                self.failed_requests += count
                continue
            how = self._how(name)
            each = self.rng.multinomial(count, [1 / len(ready)] * len(ready))
            for pod, requests in zip(ready, each, strict=True):
                pod.buckets += self.rng.multinomial(requests, how.latency)
                failed = int(self.rng.binomial(requests, how.failures))
                pod.failed += failed
                bad, total = self.sold.get(name, (0, 0))
                self.sold[name] = (bad + failed, total + int(requests))
                self.failed_requests += failed
        self._mirror(seconds)

    def _mirror(self, seconds: float) -> None:
        """The gateway's copies, and what their inspector makes of them: each goes to both versions."""
        route = self.found("HTTPRoute").get("churn")
        filters = route["spec"]["rules"][0].get("filters", ()) if route is not None else ()
        for copies in [one["requestMirror"] for one in filters if one["type"] == "RequestMirror"]:
            name = copies["backendRef"]["name"]
            pods = self.ready(name)
            if not pods:
                continue
            label = self.found("Deployment")[name]["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"]
            told = json.loads(label)
            seen = self.replays.get(name)
            if seen is None or seen.started != pods[0].created:
                seen = self.replays[name] = Replays(started=pods[0].created)
            count = int(self.rng.poisson(self.rps * seconds * copies.get("percent", 100) / 100))
            answered = count
            if self.ages is not None:
                seen.ages += self.rng.multinomial(count, self.ages)
            both = [told[arm]["revision"] for arm in ("stable", "candidate") if arm in told]
            for revision in both:
                how = self._how(revision)
                self.replayed[revision] = self.replayed.get(revision, 0) + count
                failed = int(self.rng.binomial(count, how.failures if self.ready(revision) else 1.0))
                answered = min(answered, count - failed)
                seen.failed[revision] = seen.failed.get(revision, 0) + failed
                seen.buckets[revision] = seen.buckets.get(revision, 0) + self.rng.multinomial(count, how.latency)
            for revision in both:
                predicted = self.rng.multinomial(answered, self._how(revision).scores)
                seen.scores[revision] = seen.scores.get(revision, 0) + predicted
            if len(both) > 1:
                self._compare(seen, self._how(both[1]), answered)

    def _compare(self, seen: Replays, how: Behaviour, answered: int) -> None:
        """What the inspector makes of the answers of both, tenant by tenant."""
        for tenant, own in zip(self.tenants, self.rng.multinomial(answered, [*self.tenants.values()]), strict=True):
            differ, compared = seen.tenants.get(tenant, (0, 0))
            more = int(self.rng.binomial(own, how.differs_for.get(tenant, how.differs)))
            seen.tenants[tenant] = (differ + more, compared + int(own))
            seen.differ, seen.compared = seen.differ + more, seen.compared + int(own)

    # -- Prometheus

    def read(self, watch: Watch, at: datetime) -> Reading:
        """What Prometheus answers to a look at `at`."""
        if not self.prometheus:
            return Reading(at=at, gates={q.gate: NoData("Prometheus did not answer") for q in watch.questions})
        gates: dict[str, Answered] = {}
        for question in watch.questions:
            if question.gate in self.silent:
                gates[question.gate] = NoData("no target has this metric")
                continue
            if isinstance(question, ThresholdQuestion):
                gates[question.gate] = Measured((self.answers.get(question.gate, 0.0),))
                continue
            if isinstance(question, EventsQuestion):
                gates[question.gate] = self._events(watch)
                continue
            if isinstance(question, PredictionsQuestion):
                gates[question.gate] = self._replayed(watch, "PredictionDrift")
                continue
            if isinstance(question, ServedQuestion):
                gates[question.gate] = self._alone(watch.stable)
                continue
            if question.stable.source == "Inspector":
                seen = self._replayed(watch, question.stable.signal)
                gates[question.gate] = self._sliced(watch, seen) if question.stable.by else seen
                continue
            latency = question.stable.signal == "Latency"
            arms = [self._arm(name, latency=latency) for name in (watch.stable, watch.candidate)]
            gates[question.gate] = Counts(edges=EDGES if latency else (), stable=arms[0], candidate=arms[1])
        return Reading(at=at, gates=gates, past=self._past(watch) if watch.calibrate else {})

    def _replayed(self, watch: Watch, signal: str) -> Answered:
        """What the inspector of the candidate counts."""
        name, both = names.inspector(watch.candidate), {watch.stable, watch.candidate}
        seen = self.replays.get(name)
        if seen is None or not self.ready(name) or not both <= seen.scores.keys():
            return NoData("Prometheus has no target for the inspector")
        arms = []
        for revision in (watch.stable, watch.candidate):
            buckets = seen.buckets[revision]
            cells = {
                "Errors": (seen.failed[revision], int(buckets.sum())),
                "Agreement": (seen.differ, seen.compared) if revision == watch.candidate else (0, 0),
                "PredictionDrift": tuple(int(n) for n in np.cumsum(seen.scores[revision])),
            }.get(signal, tuple(int(n) for n in np.cumsum(buckets)))
            pods = {name: PodCount(started=seen.started.timestamp(), cells=cells)}
            arms.append(ArmCounts(pods=pods, newest=self.now, series=1))
        edges = {"Latency": EDGES, "PredictionDrift": (0.0, 1.0, 2.0, float("inf"))}.get(signal, ())
        outputs = (Scale("score", edges=(0.25, 0.5, 0.75)),) if signal == "PredictionDrift" else ()
        return Counts(edges=edges, stable=arms[0], candidate=arms[1], outputs=outputs)

    def _alone(self, stable: str) -> Answered:
        """What the inspector of a version that serves alone counts; with a reference also what that expects."""
        name = names.inspector(stable)
        seen, pods = self.replays.get(name), self.ready(name)
        if seen is None or not pods:
            return NoData("Prometheus has no target for the inspector")
        label = self.found("Deployment")[name]["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"]
        scales = Scale("/age", edges=(20.0, 40.0, 60.0)), Scale("score", edges=(0.25, 0.5, 0.75))
        expected: list[dict[float | str, tuple[float, float]]] = [{}, {}]
        if "tolerance" in json.loads(label):
            expected = [
                {
                    edge: (1 - below, json.loads(label)["tolerance"])
                    for edge, below in zip(scale.edges, np.cumsum(shares)[:-1], strict=True)
                }
                for scale, shares in zip(scales, (AGES, SCORES), strict=True)
            ]
        age, score = (
            Distribution(scale=scale, counts=tuple(int(n) for n in counts), norm=norm)
            for scale, counts, norm in zip(
                scales, (seen.ages, seen.scores.get(stable, np.zeros(4))), expected, strict=True
            )
        )
        if self.ages is None:
            age = replace(age, missing=int(sum(score.counts)))
        return Served(pod=pods[0].name, started=seen.started.timestamp(), features=(age,), predictions=(score,))

    def _sliced(self, watch: Watch, counts: Answered) -> Answered:
        """With what the inspector of the candidate counts by tenant."""
        if not isinstance(counts, Counts):
            return counts
        name = names.inspector(watch.candidate)
        seen = self.replays[name]
        slices = {
            tenant: ArmCounts(
                pods={name: PodCount(started=seen.started.timestamp(), cells=cells)}, newest=self.now, series=1
            )
            for tenant, cells in seen.tenants.items()
            if cells[1]
        }
        return replace(counts, slices=slices)

    def _events(self, watch: Watch) -> Counts:
        """As a shop's pod counts them: those that the models answered and those that they failed."""
        arms = []
        for revision in (watch.stable, watch.candidate):
            bad, total = self.sold.get(revision, (0, 0))
            pods = {"shop": PodCount(started=None, cells=(bad, total))} if total else {}
            arms.append(ArmCounts(pods=pods, newest=self.now, series=len(pods)))
        return Counts(edges=(), stable=arms[0], candidate=arms[1], newcomers="FromZero")

    def _past(self, watch: Watch) -> dict[str, Past | NoData]:
        how = self._how(watch.stable)
        pods = [pod.name for pod in self.pods.get(watch.stable, ())]
        return {
            question.gate: past(
                question,
                pods=pods,
                rps=self.rps,
                failures=how.failures,
                edges=EDGES,
                latency=how.latency,
                seed=self.seed,
            )
            for question in watch.questions
            if isinstance(question, Question | EventsQuestion)
        }

    def _arm(self, revision: str, *, latency: bool) -> ArmCounts:
        ready = self.ready(revision)
        return ArmCounts(
            pods={
                pod.name: PodCount(
                    started=(pod.restarted_at or pod.created).timestamp(),
                    cells=tuple(int(n) for n in np.cumsum(pod.buckets))
                    if latency
                    else (pod.failed, int(pod.buckets.sum())),
                )
                for pod in ready
                if pod.name not in self.hidden
            },
            newest=self.now,
            series=1,
            missing={pod.name: "its target is down" for pod in ready if pod.name in self.hidden},
        )
