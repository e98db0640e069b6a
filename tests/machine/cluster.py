"""The model cluster: one ModelDeployment, its surroundings, and the operators that take care of it, one leader at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pointsman.api.names import ABORT, APPROVE, PAUSE, PROMOTE, RETRY
from pointsman.rollout.identity import revision_name
from pointsman.rollout.mirroring import MIRROR, MIRROR_PERCENT
from pointsman.signals.reading import NoData, Reading, Watch
from tests.machine.apiserver import ApiServer, Died, Object
from tests.machine.operators import Loop, Operator, Witness
from tests.rollout.examples import MLSERVER
from tests.rollout.surroundings import START, PodState, Surroundings

SECOND = timedelta(seconds=1)
LOOKBACK = timedelta(seconds=60)
KEYS = {"abort": ABORT, "promote": PROMOTE, "retry": RETRY, "approve": APPROVE, "pause": PAUSE}


@dataclass(kw_only=True)
class Cluster(Surroundings):
    """`spec` is the ModelDeployment's as first applied."""

    spec: dict[str, Any]
    witness: Witness
    kubelet: bool = True
    acting: list[Operator] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.loop = Loop(self._seconds)
        self.api = ApiServer(lambda: self.now, self._pod_objects)
        self.versions: dict[str, str] = {}  # revision -> version, of all that were ever asked for
        self.api.leads = lambda: not (self.acting and self.acting[-1].asleep)
        api_version = "pointsman.dev/v1alpha1"
        for obj in (
            {"apiVersion": api_version, "kind": "ModelRuntime", "metadata": {"name": "mlserver"}, "spec": MLSERVER},
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "Gateway",
                "metadata": {"name": "models", "namespace": "gw"},
                "spec": {"gatewayClassName": "eg"},
            },
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "GatewayClass",
                "metadata": {"name": "eg"},
                "status": {"supportedFeatures": [{"name": name} for name in (MIRROR, MIRROR_PERCENT)]},
            },
            {
                "apiVersion": api_version,
                "kind": "ModelDeployment",
                "metadata": {"name": "churn", "namespace": "ml", "annotations": {}},
                "spec": self.spec,
            },
        ):
            self.api.store(obj)
        self._remember()
        self.leader = Operator(self)

    def _seconds(self) -> float:
        return (self.now - START).total_seconds()

    # -- the objects

    def found(self, kind: str) -> Mapping[str, Object]:
        return self.api.of(kind)

    def say(self, kind: str, name: str, status: Object) -> None:
        live = self.api.live(kind, name)
        assert live is not None
        self.api.store({**live, "status": status})

    def version_of(self, revision: str) -> str:
        return self.versions.get(revision, "")

    @property
    def written(self) -> Object:
        """The ModelDeployment as it is."""
        live = self.api.live("ModelDeployment", "churn")
        assert live is not None
        return live

    @property
    def status(self) -> Object:
        """Its status, as JSON."""
        status: Object = self.written.get("status") or {}
        return status

    @property
    def rollout(self) -> Object | None:
        """The rollout that runs."""
        return self.status.get("rollout")

    def name_of(self, arm: str) -> str | None:
        """The revision of an arm: stable, candidate or previous."""
        found = self.status.get(arm)
        return None if found is None else str(found["revision"])

    @property
    def surge(self) -> int:
        """S, in pods."""
        return int(self.written["spec"]["rollout"]["capacity"]["maxSurge"])

    @property
    def gated(self) -> bool:
        """Whether a gate has to be Safe for a promotion."""
        return bool(self.written["spec"]["rollout"]["gates"])

    def fails(self, revision: str) -> float:
        """The share of requests that a revision fails."""
        return self._how(revision).failures

    def predicts(self, revision: str) -> tuple[object, ...]:
        """How a revision answers: what of it differs, and how its predictions are distributed."""
        how = self._how(revision)
        return how.differs, how.scores

    @property
    def mirrored(self) -> str | None:
        """The inspector that gets copies of requests."""
        route = self.found("HTTPRoute").get("churn")
        filters = route["spec"]["rules"][0].get("filters", ()) if route is not None else ()
        found = [str(one["requestMirror"]["backendRef"]["name"]) for one in filters]
        return found[0] if found else None

    @property
    def attempt(self) -> str | None:
        """`<revision>/<attempt>` of what runs; else of what ran last."""
        if self.rollout is not None:
            return f"{self.name_of('candidate')}/{self.rollout['attempt']}"
        last = next(iter(self.status.get("history", ())), None)
        return None if last is None else f"{last['revision']}/{last['attempt']}"

    def revision(self, version: str) -> str:
        """The revision that a version of this spec gets."""
        spec = self.written["spec"]
        return revision_name("churn", {**spec, "model": {**spec["model"], "version": version}})

    def _remember(self) -> None:
        spec = self.written["spec"]
        self.versions[revision_name("churn", spec)] = spec["model"]["version"]

    # -- what people do

    def change(self, kind: str, name: str, change: Callable[[Object], None]) -> None:
        """`kubectl edit`."""
        live = self.api.live(kind, name)
        if live is not None:
            obj = copy.deepcopy(live)
            change(obj)
            self.api.store(obj)
            self._remember()

    def specify(self, **fields: Any) -> None:
        """`kubectl apply` of the ModelDeployment with other fields; None removes one."""
        written = {key: value for key, value in {**self.written["spec"], **fields}.items() if value is not None}
        self.change("ModelDeployment", "churn", lambda obj: obj.update(spec=written))

    def annotate(self, verb: str, value: str | None) -> None:
        """`kubectl annotate`; None removes it."""

        def write(obj: Object) -> None:
            annotations = obj["metadata"].setdefault("annotations", {})
            annotations.pop(KEYS[verb], None)
            if value is not None:
                annotations[KEYS[verb]] = value

        self.change("ModelDeployment", "churn", write)

    # -- time

    def run(self, seconds: float, *, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass in steps of a second; True as soon as `until` holds."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            self.tick()
            if until():
                return True
        return until()

    def tick(self) -> None:
        """A second of pods, gateway, users and the leader."""
        self.pass_by()
        self.lead()

    def pass_by(self) -> None:
        """A second without any operator."""
        self.now += SECOND
        if self.kubelet:
            self.pods_live()
        self.gateway_answers()
        self.users(1.0)

    def lead(self) -> None:
        """The leader acts; where it dies, another one takes over."""
        leader = self.leader
        try:
            leader.act()
        except Died:
            if self.leader is leader:
                self.another_leads()

    def another_leads(self) -> None:
        """Who led is dead, or sleeps in the middle of whatever it does: of that one no write but the one in hand will land."""
        self.leader.asleep = True
        self.leader = Operator(self, self.leader.skew)

    # -- what is seen

    def read(self, watch: Watch, at: datetime) -> Reading:
        """What Prometheus answers; it has nothing yet for a time that is to come."""
        if at > self.now + LOOKBACK:
            return Reading(at=at, gates={q.gate: NoData("no samples that are so new") for q in watch.questions})
        return super().read(watch, at)

    def pods_live(self) -> None:
        gone = self.pods.keys() - self.api.of("Deployment").keys()
        for name in gone:
            del self.pods[name]
        super().pods_live()

    def _pod_objects(self, revision: str) -> list[Object]:
        return [self._pod_object(revision, pod) for pod in self.pods.get(revision, ())]

    def _pod_object(self, revision: str, pod: PodState) -> Object:
        container: Object = {"name": "model", "restartCount": pod.restarts}
        if pod.restarted_at is not None and pod.ran_for is not None:
            ended = {
                "startedAt": (pod.restarted_at - pod.ran_for).isoformat(),
                "finishedAt": pod.restarted_at.isoformat(),
                "exitCode": 1,
            }
            container["lastState"] = {"terminated": ended}
        ready: Object = {"type": "Ready", "status": "False"}
        if self.is_ready(revision, pod) and pod.ready_at is not None:
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": pod.ready_at.isoformat()}
        return {
            "metadata": {"name": pod.name, "creationTimestamp": pod.created.isoformat()},
            "status": {"conditions": [ready], "containerStatuses": [container]},
        }
