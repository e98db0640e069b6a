"""A model cluster in memory: enough of Kubernetes, a gateway, traffic and Prometheus to carry plans out and see what comes.

It decides nothing: every line of behaviour under test is in `decide`. Time moves only by `tick`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from pointsman.api.modeldeployment import ModelDeploymentSpec, ModelDeploymentStatus, RolloutStatus
from pointsman.api.modelrevision import ModelRevisionSpec, ModelRevisionStatus
from pointsman.api.modelruntime import ModelRuntimeSpec
from pointsman.api.rolloutpolicy import RolloutPolicySpec
from pointsman.rollout.decision import decide, pods_wanted
from pointsman.rollout.identity import revision_name
from pointsman.rollout.observed import Deployment, Holder, Observed, Pod, Revision, Runtime, Settings
from pointsman.rollout.plan import Apply, Delete, Event, Plan, Write
from pointsman.rollout.record import Evidence
from pointsman.signals.reading import ArmCounts, Counts, NoData, Past, PodCount, Reading, Watch
from tests.rollout.hour import past

START = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, float("inf"))
FAST = (0.1, 0.5, 0.3, 0.08, 0.015, 0.004, 0.001, 0.0, 0.0, 0.0)
SLOW = (0.0, 0.0, 0.1, 0.2, 0.3, 0.3, 0.08, 0.02, 0.0, 0.0)


class Crash(Exception):  # noqa: N818  not an error of ours: the process is gone
    """The operator died at this write."""


class Conflict(Exception):  # noqa: N818  what the API server says
    """The object changed since it was read."""


class Rejected(Exception):  # noqa: N818  what the API server says
    """The object is not what its kind can be."""


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


@dataclass
class World:
    """The cluster. `spec` is what the user writes, `rps` the users' requests a second."""

    spec: dict[str, Any]
    rps: float = 100.0
    boot: timedelta = timedelta(seconds=3)
    prometheus: bool = True
    gateway: bool = True
    gateway_problem: str | None = None
    behaviour: dict[str, Behaviour] = field(default_factory=dict)  # by version
    annotations: dict[str, str] = field(default_factory=dict)
    runtimes: dict[str, Any] = field(default_factory=dict)
    policies: dict[str, Any] = field(default_factory=dict)
    gateways: frozenset[str] = frozenset({"gw/models"})
    holder: Holder | None = None
    rejected: dict[str, str] = field(default_factory=dict)  # version -> why the API server refuses its Deployment
    seed: int = 1

    def __post_init__(self) -> None:
        self.now = START
        self.rng = np.random.default_rng(self.seed)
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.pods: dict[str, list[PodState]] = {}
        self.status = ModelDeploymentStatus()
        self.generation = 1
        self.version = 0
        self.born = 0
        self.evidence: Evidence | None = None
        self.watch: Watch | None = None
        self.interval = timedelta(seconds=10)
        self.wake: datetime | None = None
        self.looked = START
        self.dirty = True
        self.events: list[Event] = []
        self.writes: list[tuple[datetime, str, str]] = []
        self.plans: list[Plan] = []
        self.served: dict[str, int] = {}
        self.failed_requests = 0
        self.crash_after: int | None = None
        self.forks: list[World] | None = None
        self.refusals: dict[str, str] = {}
        self.refused_until = START
        self.watchers: list[Callable[[World], None]] = []
        self.stopped: set[str] = set()  # revisions whose pods are all down

    # -- what people do

    def apply(self, **model: Any) -> None:
        """`kubectl apply` of another model version."""
        self.spec = {**self.spec, "model": {**self.spec["model"], **model}}
        self.generation += 1
        self.dirty = True

    def edit(self, kind: str, name: str, change: Callable[[dict[str, Any]], None]) -> None:
        """`kubectl edit` of an object of ours."""
        obj = self.objects[kind, name]
        before = _copy(obj["spec"])
        change(obj["spec"])
        if obj["spec"] != before:
            obj["metadata"]["generation"] += 1
        self._touch(obj)

    def delete(self, kind: str, name: str) -> None:
        """`kubectl delete` of an object of ours."""
        del self.objects[kind, name]
        if kind == "Deployment":
            self.pods.pop(name, None)
        self.dirty = True

    def crash_container(self, version: str, *, ran_for: float = 3600.0) -> None:
        """A container of the version's first pod dies and is ready again two seconds later; what it counted is gone."""
        pod = self.pods[self.revision(version)][0]
        pod.restarted_at, pod.ran_for, pod.restarts = self.now, timedelta(seconds=ran_for), pod.restarts + 1
        pod.ready_at, pod.failed = self.now + timedelta(seconds=2), 0
        pod.buckets = np.zeros(len(EDGES), dtype=np.int64)

    def evict(self, version: str) -> None:
        """All pods of a version are deleted; new ones come up."""
        self.pods[self.revision(version)].clear()

    def annotate(self, key: str, value: str) -> None:
        """`kubectl annotate`."""
        self.annotations[f"pointsman.dev/{key}"] = value
        self.dirty = True

    def revision(self, version: str) -> str:
        """The revision that a version of this spec gets."""
        return revision_name("churn", {**self.spec, "model": {**self.spec["model"], "version": version}})

    # -- what is seen

    def observed(self, reading: Reading | None = None) -> Observed:
        """What gather would find."""
        runtimes = {
            name: Runtime(name=name, generation=1, spec=ModelRuntimeSpec.model_validate(spec))
            for name, spec in self.runtimes.items()
        }
        policies = {name: RolloutPolicySpec.model_validate(spec) for name, spec in self.policies.items()}
        seen = Observed(
            deployment=Deployment(
                namespace="ml",
                name="churn",
                uid="uid-churn",
                generation=self.generation,
                resource_version=str(self.version),
                annotations=dict(self.annotations),
                written=self.spec,
                spec=ModelDeploymentSpec.model_validate(self.spec),
                status=self.status,
            ),
            settings=Settings(storage_initializer="initializer:1", gateway_metrics=None),
            revisions={
                name: self._revision(obj) for (kind, name), obj in self.objects.items() if kind == "ModelRevision"
            },
            workloads=self._copies("Deployment"),
            services=self._copies("Service"),
            route=self._copies("HTTPRoute").get("churn"),
            runtimes=runtimes,
            policies=policies,
            gateways=self.gateways,
            holder=self.holder,
            refusals=self.refusals,
            evidence=self.evidence,
            reading=reading,
        )
        return replace(seen, pods={name: self._pods(name) for name in pods_wanted(seen)})

    def _copies(self, kind: str) -> dict[str, dict[str, Any]]:
        return {name: _copy(obj) for (found, name), obj in self.objects.items() if found == kind}

    def _revision(self, obj: dict[str, Any]) -> Revision:
        return Revision(
            name=obj["metadata"]["name"],
            uid=obj["metadata"]["uid"],
            resource_version=obj["metadata"]["resourceVersion"],
            created_at=obj["metadata"]["created"],
            spec=ModelRevisionSpec.model_validate(obj["spec"]),
            status=obj.get("status") or ModelRevisionStatus(),
        )

    def _pods(self, revision: str) -> tuple[Pod, ...]:
        return tuple(
            Pod(
                name=pod.name,
                created_at=pod.created,
                ready_since=pod.ready_at if self._ready(revision, pod) else None,
                problem=None if pod.ready_at is not None else "ImagePullBackOff: no such image",
                restarted_at=pod.restarted_at,
                ran_for=pod.ran_for,
                restarts=pod.restarts,
            )
            for pod in self.pods.get(revision, ())
        )

    def reading(self) -> Reading | None:
        """What Prometheus would answer."""
        if self.watch is None:
            return None
        if not self.prometheus:
            return Reading(
                at=self.now, gates={q.gate: NoData("Prometheus did not answer") for q in self.watch.questions}
            )
        gates: dict[str, Counts | NoData] = {}
        for question in self.watch.questions:
            latency = question.stable.signal == "Latency"
            arms = [self._arm(name, latency=latency) for name in (self.watch.stable, self.watch.candidate)]
            gates[question.gate] = Counts(edges=EDGES if latency else (), stable=arms[0], candidate=arms[1])
        return Reading(at=self.now, gates=gates, past=self._past(self.watch) if self.watch.calibrate else {})

    def _past(self, watch: Watch) -> dict[str, Past | NoData]:
        how = self.behaviour.get(self._version(watch.stable), Behaviour())
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
        }

    def _arm(self, revision: str, *, latency: bool) -> ArmCounts:
        return ArmCounts(
            pods={
                pod.name: PodCount(
                    started=(pod.restarted_at or pod.created).timestamp(),
                    cells=tuple(int(n) for n in np.cumsum(pod.buckets))
                    if latency
                    else (pod.failed, int(pod.buckets.sum())),
                )
                for pod in self.pods.get(revision, ())
                if self._ready(revision, pod)
            },
            newest=self.now,
            series=1,
        )

    # -- how time passes

    def run(self, seconds: float, *, until: Callable[[World], bool] | None = None) -> bool:
        """Let time pass in steps of a second, deciding as the controller would; True as soon as `until` holds."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            self.tick(timedelta(seconds=1))
            if until is not None and until(self):
                return True
        return until is None

    def tick_once(self) -> None:
        """One second."""
        self.tick(timedelta(seconds=1))

    def tick(self, dt: timedelta) -> None:
        """A second of pods, gateway, users and operator."""
        self.now += dt
        self._pods_live()
        self._gateway_answers()
        self._users(dt.total_seconds())
        if self.refusals and self.now >= self.refused_until:
            self.refusals, self.dirty = {}, True
        reading = None
        if self.watch is not None and self.now - self.looked >= self.interval:
            self.looked = self.now
            reading = self.reading()
        if reading is not None or self.dirty or (self.wake is not None and self.now >= self.wake):
            self.reconcile(reading)

    def reconcile(self, reading: Reading | None = None) -> None:
        """Decide and carry out until nothing changes, as events of our own writes would make it."""
        for _ in range(30):
            self.dirty = False
            plan = decide(self.observed(reading), self.now)
            reading = None
            try:
                self.carry_out(plan)
            except Crash:
                self.evidence, self.watch, self.dirty = None, None, True
                return
            except (Conflict, Rejected):
                self.dirty = True
            for watcher in self.watchers:
                watcher(self)
            if not self.dirty:
                return
        raise AssertionError(f"decisions do not come to rest: {plan}")

    def carry_out(self, plan: Plan) -> None:
        """The plan's writes in its order."""
        self.plans.append(plan)
        self.evidence = plan.evidence
        for write in (*plan.lower, *plan.prepare):
            self._write(write)
        for name, status in plan.revisions.items():
            self._count("ModelRevision/status", name)
            self.objects["ModelRevision", name]["status"] = status
            self._touch(self.objects["ModelRevision", name])
        if plan.status is not None:
            self._count("ModelDeployment/status", "churn")
            self.status = plan.status
            self.dirty = True
        for write in plan.after:
            self._write(write)
        self.events += plan.events
        self.watch, self.wake = plan.watch, plan.wake_at
        self.interval = plan.interval or self.interval

    def fork(self) -> World:
        """The same world, in which the operator has just died and starts anew."""
        kept, self.watchers, self.plans, forks, self.forks = (self.watchers, self.plans), [], [], self.forks, None
        other = copy.deepcopy(self)
        (self.watchers, self.plans), self.forks = kept, forks
        other.evidence, other.watch, other.dirty = None, None, True
        return other

    def _count(self, kind: str, name: str) -> None:
        if self.forks is not None:
            self.forks.append(self.fork())
        if self.crash_after is not None:
            if self.crash_after == 0:
                self.crash_after = None
                raise Crash
            self.crash_after -= 1
        self.writes.append((self.now, kind, name))

    def _write(self, write: Write) -> None:
        if isinstance(write, Delete):
            self._count(f"delete {write.kind}", write.name)
            found = self.objects.pop((write.kind, write.name), None)
            assert found is not None
            assert found["metadata"]["uid"] == write.uid
            if write.kind == "Deployment":
                self.pods.pop(write.name, None)
            self.dirty = True
            return
        self._apply(write)

    def _apply(self, write: Apply) -> None:
        wanted = copy.deepcopy(dict(write.object))
        key = (wanted["kind"], wanted["metadata"]["name"])
        live = self.objects.get(key)
        if write.resource_version != (None if live is None else live["metadata"]["resourceVersion"]):
            raise Conflict
        if key[0] == "Deployment":
            self._admit(key[1])
        self._count(f"apply {key[0]}", key[1])
        before = {} if live is None else live
        meta = {
            "uid": f"uid-{key[0]}-{key[1]}-{self.version}",
            "generation": 1,
            "created": self.now,
            **before.get("metadata", {}),
            **wanted["metadata"],
        }
        meta["annotations"] = {k: v for k, v in wanted["metadata"].get("annotations", {}).items() if v is not None}
        if live is not None and live.get("spec") != wanted.get("spec"):
            meta["generation"] = live["metadata"]["generation"] + 1
        wanted["metadata"] = meta
        if "status" in before:
            wanted["status"] = before["status"]
        self.objects[key] = wanted
        self._touch(wanted)

    def _admit(self, revision: str) -> None:
        why = next((why for version, why in self.rejected.items() if self.revision(version) == revision), None)
        if why is not None:
            self.refusals, self.refused_until = {revision: why}, self.now + timedelta(seconds=60)
            raise Rejected

    def _touch(self, obj: dict[str, Any]) -> None:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.dirty = True

    def _ready(self, revision: str, pod: PodState) -> bool:
        return revision not in self.stopped and pod.ready_at is not None and pod.ready_at <= self.now

    def _pods_live(self) -> None:
        for name, obj in self._workloads():
            pods = self.pods.setdefault(name, [])
            spec = obj["spec"]
            version = self._version(name)
            starts = self.behaviour.get(version, Behaviour()).starts
            while len(pods) < spec["replicas"]:
                self.born += 1
                pods.append(PodState(name=f"{name}-{self.born}", created=self.now, ready_at=None))
            for pod in pods:
                if pod.ready_at is None and starts:
                    pod.ready_at = max(self.now, pod.created + self.boot)
            del pods[spec["replicas"] :]
            ready = [pod for pod in pods if self._ready(name, pod)]
            warm = timedelta(seconds=spec.get("minReadySeconds", 0))
            status = {
                "replicas": len(pods),
                "readyReplicas": len(ready),
                "availableReplicas": sum(
                    1 for pod in ready if pod.ready_at is not None and self.now - pod.ready_at >= warm
                ),
            }
            if obj.get("status") != status:
                obj["status"] = status
                self._touch(obj)

    def _workloads(self) -> Iterator[tuple[str, dict[str, Any]]]:
        return iter([(name, obj) for (kind, name), obj in self.objects.items() if kind == "Deployment"])

    def _version(self, revision: str) -> str:
        obj = self.objects.get(("ModelRevision", revision))
        return "" if obj is None else str(obj["spec"]["model"]["version"])

    def _gateway_answers(self) -> None:
        route = self.objects.get(("HTTPRoute", "churn"))
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
            route["status"] = status
            self._touch(route)

    def shares(self) -> Mapping[str, float]:
        """Who gets which share of the users' requests now."""
        route = self.objects.get(("HTTPRoute", "churn"))
        if route is not None:
            backends = route["spec"]["rules"][0]["backendRefs"]
            total = sum(b["weight"] for b in backends)
            return {b["name"]: b["weight"] / total for b in backends}
        service = self.objects.get(("Service", "churn"))
        if service is None:
            return {}
        only = service["spec"]["selector"].get("pointsman.dev/revision")
        ready = {
            name: sum(self._ready(name, pod) for pod in pods)
            for name, pods in self.pods.items()
            if only in (None, name)
        }
        total = sum(ready.values())
        return {name: count / total for name, count in ready.items()} if total else {}

    def _users(self, seconds: float) -> None:
        for name, share in self.shares().items():
            count = int(self.rng.poisson(self.rps * seconds * share))
            ready = [pod for pod in self.pods.get(name, ()) if self._ready(name, pod)]
            self.served[name] = self.served.get(name, 0) + count
            if not ready:
                self.failed_requests += count
                continue
            how = self.behaviour.get(self._version(name), Behaviour())
            each = self.rng.multinomial(count, [1 / len(ready)] * len(ready))
            for pod, requests in zip(ready, each, strict=True):
                pod.buckets += self.rng.multinomial(requests, how.latency)
                failed = int(self.rng.binomial(requests, how.failures))
                pod.failed += failed
                self.failed_requests += failed

    # -- what tests ask

    @property
    def running(self) -> RolloutStatus:
        """The rollout that runs."""
        assert self.status.rollout is not None, self.status
        return self.status.rollout

    @property
    def outcomes(self) -> list[tuple[str, str, str]]:
        """Version, outcome and reason of what has ended, the first one first."""
        return [(entry.version, entry.outcome, entry.reason) for entry in reversed(self.status.history)]

    @property
    def serves(self) -> str:
        """The stable version."""
        return self.status.stable.version if self.status.stable else ""

    def pod_count(self, version: str) -> int:
        """Pods of a version that are there."""
        return len(self.pods.get(self.revision(version), ()))

    @property
    def share(self) -> float:
        """The candidate's share."""
        candidate = self.status.candidate
        return 0.0 if candidate is None else self.shares().get(candidate.revision, 0.0)

    def condition(self, kind: str) -> tuple[str, str]:
        """Status and reason of a condition."""
        found = next(c for c in self.status.conditions if c.type == kind)
        return found.status, found.reason

    def message(self, kind: str) -> str:
        """Message of a condition."""
        return next(c for c in self.status.conditions if c.type == kind).message


def _copy(value: Any) -> Any:
    """A deep copy of JSON, faster than `copy.deepcopy`."""
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    return [_copy(inner) for inner in value] if isinstance(value, list) else value
