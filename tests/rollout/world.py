"""A model cluster in memory: enough of Kubernetes, a gateway, traffic and Prometheus to carry plans out and see what comes.

It decides nothing: every line of behaviour under test is in `decide`. Time moves only by `tick`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from pointsman.api.modeldeployment import ModelDeploymentSpec, ModelDeploymentStatus, RolloutStatus
from pointsman.api.modelrevision import ModelRevisionSpec, ModelRevisionStatus
from pointsman.api.modelruntime import ModelRuntimeSpec
from pointsman.api.names import MANAGER
from pointsman.api.rolloutpolicy import RolloutPolicySpec
from pointsman.rollout.decision import decide, pods_wanted
from pointsman.rollout.identity import revision_name
from pointsman.rollout.observed import Deployment, Gateway, Holder, Observed, Pod, Post, Revision, Runtime, Settings
from pointsman.rollout.plan import Apply, Delete, Event, Plan, Write
from pointsman.rollout.record import Evidence
from pointsman.rollout.vigil import Vigil
from pointsman.signals.reading import Reading, Watch
from tests.rollout.surroundings import START, Surroundings

MIRRORING = Gateway(
    gateway_class="eg", features=frozenset({"HTTPRouteRequestMirror", "HTTPRouteRequestPercentageMirror"})
)


class Crash(Exception):  # noqa: N818  not an error of ours: the process is gone
    """The operator died at this write."""


class Conflict(Exception):  # noqa: N818  what the API server says
    """The object changed since it was read."""


class Rejected(Exception):  # noqa: N818  what the API server says
    """The object is not what its kind can be."""


@dataclass(kw_only=True)
class World(Surroundings):
    """The cluster. `spec` is what the user writes."""

    spec: dict[str, Any]
    annotations: dict[str, str] = field(default_factory=dict)
    runtimes: dict[str, Any] = field(default_factory=dict)
    policies: dict[str, Any] = field(default_factory=dict)
    gateways: dict[str, Gateway] = field(default_factory=lambda: {"gw/models": MIRRORING})
    inspector_image: str | None = "pointsman:1"
    holder: Holder | None = None
    gateway_metrics: str | None = None
    rejected: dict[str, str] = field(default_factory=dict)  # version -> why the API server refuses its Deployment

    def __post_init__(self) -> None:
        super().__post_init__()
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.status = ModelDeploymentStatus()
        self.generation = 1
        self.version = 0
        self.evidence: Evidence | None = None
        self.vigil: Vigil | None = None
        self.watch: Watch | None = None
        self.interval = timedelta(seconds=10)
        self.wake: datetime | None = None
        self.looked = START
        self.dirty = True
        self.events: list[Event] = []
        self.writes: list[tuple[datetime, str, str]] = []
        self.plans: list[Plan] = []
        self.crash_after: int | None = None
        self.forks: list[World] | None = None
        self.refusals: dict[str, str] = {}
        self.refused_until = START
        self.watchers: list[Callable[[World], None]] = []
        self.sent: set[tuple[str, str]] = set()  # notifications and their webhooks
        self.problems: dict[tuple[str, str], str] = {}  # of those that failed
        self.ours: dict[
            tuple[str, str], dict[str | None, str]
        ] = {}  # versions as seen, and what this plan made of them
        self.counters: dict[str, set[str]] = {}  # who has `spec.replicas` of a Deployment

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
        """A container of the version's first pod dies."""
        self.container_dies(self.revision(version), ran_for=ran_for)

    def apply_route(self, name: str, spec: dict[str, Any]) -> None:
        """`kubectl apply` of a route of one's own, which the spec of the ModelDeployment names."""
        before = self.objects.get(("HTTPRoute", name), {})
        meta = before.get("metadata") or {"name": name, "namespace": "ml", "uid": f"uid-{name}", "generation": 0}
        obj = {
            **before,
            "kind": "HTTPRoute",
            "metadata": {**meta, "generation": meta["generation"] + 1},
            "spec": _copy(spec),
        }
        self.objects["HTTPRoute", name] = obj
        self._touch(obj)

    def annotate(self, key: str, value: str) -> None:
        """`kubectl annotate`."""
        self.annotations[f"pointsman.dev/{key}"] = value
        self.dirty = True

    def revision(self, version: str) -> str:
        """The revision that a version of this spec gets."""
        return revision_name("churn", {**self.spec, "model": {**self.spec["model"], "version": version}})

    # -- the objects

    def found(self, kind: str) -> Mapping[str, dict[str, Any]]:
        """The live objects of a kind, by name."""
        return {name: obj for (known, name), obj in self.objects.items() if known == kind}

    def say(self, kind: str, name: str, status: dict[str, Any]) -> None:
        """Write the status of an object."""
        self.objects[kind, name]["status"] = status
        self._touch(self.objects[kind, name])

    def version_of(self, revision: str) -> str:
        """The version of a revision that is there."""
        obj = self.objects.get(("ModelRevision", revision))
        return "" if obj is None else str(obj["spec"]["model"]["version"])

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
            settings=Settings(
                storage_initializer="initializer:1",
                inspector_image=self.inspector_image,
                gateway_metrics=self.gateway_metrics,
            ),
            revisions={name: self._revision(obj) for name, obj in self.found("ModelRevision").items()},
            workloads=self._copies("Deployment"),
            autoscalers=self._copies("HorizontalPodAutoscaler"),
            services=self._copies("Service"),
            route=next((one for one in self._copies("HTTPRoute").values() if not _users(one)), None),
            users_route=next((one for one in self._copies("HTTPRoute").values() if _users(one)), None),
            runtimes=runtimes,
            policies=policies,
            gateways=dict(self.gateways),
            holder=self.holder,
            refusals=self.refusals,
            evidence=self.evidence,
            vigil=self.vigil,
            reading=reading,
            post=Post(sent=frozenset(self.sent), problems=self.problems),
        )
        return replace(seen, pods={name: self._pods(name) for name in pods_wanted(seen)})

    def _copies(self, kind: str) -> dict[str, dict[str, Any]]:
        return {name: _copy(obj) for name, obj in self.found(kind).items()}

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
                ready_since=pod.ready_at if self.is_ready(revision, pod) else None,
                problem=None if pod.ready_at is not None else "ImagePullBackOff: no such image",
                restarted_at=pod.restarted_at,
                ran_for=pod.ran_for,
                restarts=pod.restarts,
            )
            for pod in self.pods.get(revision, ())
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
        self.pods_live()
        self.gateway_answers()
        self.users(dt.total_seconds())
        if self.refusals and self.now >= self.refused_until:
            self.refusals, self.dirty = {}, True
        reading = None
        if self.watch is not None and self.now - self.looked >= self.interval:
            self.looked = self.now
            reading = self.read(self.watch, self.now)
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
                self.evidence, self.vigil, self.watch, self.dirty = None, None, None, True
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
        self.ours.clear()
        self.evidence, self.vigil = plan.evidence, plan.vigil
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
        other.evidence, other.vigil, other.watch, other.dirty = None, None, None, True
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
        current = None if live is None else live["metadata"]["resourceVersion"]
        if current not in (write.resource_version, self.ours.get(key, {}).get(write.resource_version)):
            raise Conflict
        if key[0] == "Deployment":
            self._admit(key[1])
            wanted["spec"] = self._counted(write, {} if live is None else live["spec"])
        self._count(f"apply {key[0]}", key[1])
        self.events += [] if write.event is None else [write.event]
        before = {} if live is None else live
        meta = {
            "uid": f"uid-{key[0]}-{key[1]}-{self.version}",
            "generation": 1,
            "created": self.now,
            **before.get("metadata", {}),
            **wanted["metadata"],
        }
        if write.manager == MANAGER:  # who applies the count alone has no annotations
            meta["annotations"] = {k: v for k, v in wanted["metadata"].get("annotations", {}).items() if v is not None}
        if live is not None and _users(live):  # whose other fields are not ours
            wanted["spec"] = {**_copy(live["spec"]), **wanted["spec"]}
        if live is not None and live.get("spec") != wanted.get("spec"):
            meta["generation"] = live["metadata"]["generation"] + 1
        wanted["metadata"] = meta
        if "status" in before:
            wanted["status"] = before["status"]
        self.objects[key] = wanted
        self._touch(wanted)
        self.ours[key] = {write.resource_version: wanted["metadata"]["resourceVersion"]}

    def _counted(self, write: Apply, before: Mapping[str, Any]) -> dict[str, Any]:
        """The spec of a Deployment after an apply: a number of pods that nobody has any more becomes one, as in Kubernetes."""
        name, spec = write.object["metadata"]["name"], _copy(write.object["spec"])
        owners = self.counters.setdefault(name, set())
        if "replicas" in spec:
            if spec["replicas"] != before.get("replicas"):
                owners.clear()
            owners.add(write.manager)
            return spec if write.manager == MANAGER else {**_copy(dict(before)), **spec}
        owners.discard(write.manager)
        return {**spec, "replicas": before["replicas"] if owners else 1}

    def scale(self, name: str, replicas: int, *, who: str) -> None:
        """`kubectl scale` of a Deployment, or what an HPA does."""
        self.counters[name] = {who}
        self.edit("Deployment", name, lambda spec: spec.update(replicas=replicas))

    def _admit(self, revision: str) -> None:
        why = next((why for version, why in self.rejected.items() if self.revision(version) == revision), None)
        if why is not None:
            self.refusals, self.refused_until = {revision: why}, self.now + timedelta(seconds=60)
            raise Rejected

    def _touch(self, obj: dict[str, Any]) -> None:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.dirty = True

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


def _users(obj: dict[str, Any]) -> bool:
    """Whether a route is the user's, and not ours."""
    return obj.get("kind") == "HTTPRoute" and "ownerReferences" not in obj["metadata"]


def _copy(value: Any) -> Any:
    """A deep copy of JSON, faster than `copy.deepcopy`."""
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    return [_copy(inner) for inner in value] if isinstance(value, list) else value
