"""A ModelDeployment in its owner's hands: what they write, and what they are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pointsman.api.names import APPLIED, DEPLOYMENT, REVISION
from pointsman.api.values import API_VERSION, GROUP
from pointsman.cluster.kinds import AUTOSCALER, MODEL_DEPLOYMENT, MODEL_REVISION, POD, ROUTE, SERVICE, WORKLOAD, Kind
from tests.api.operator_server import PATIENCE, Object, Server, eventually

GATEWAY = "models"

QUICK: Object = {
    "steps": [{"canary": {"percent": 20}, "hold": "1s"}, {"canary": {"percent": 50}, "hold": "1s"}],
    "gates": [{"name": "errors", "signal": "Errors", "tolerance": {"ratio": "2", "points": "1"}}],
    "interval": "1s",
    "warmup": {"duration": "1s", "requests": 0},
    "capacity": {"maxSurge": 1},
    "confidence": {"falseRollback": "5", "falsePromotion": "20"},
    "progressDeadline": "30s",
    "keepPrevious": "0s",
}
"""A rollout of seconds."""

_CHILDREN = (WORKLOAD, AUTOSCALER, SERVICE, ROUTE)


@dataclass
class Model:
    """One ModelDeployment, by default behind a Gateway with a host name of its own."""

    server: Server
    name: str
    runtime: str
    spec: Object = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.spec = {
            "model": {"version": "1"},
            "runtime": self.runtime,
            "traffic": {"parentRefs": [{"name": GATEWAY}], "hostnames": [f"{self.name}.example.com"]},
            "rollout": QUICK,
        } | self.spec

    # -- what its owner does

    def apply(self, version: str | None = None, **spec: Any) -> None:
        """`kubectl apply` of this version, with these fields of the spec changed; None takes a field out."""
        written = self.spec | spec | ({} if version is None else {"model": self.spec["model"] | {"version": version}})
        self.spec = {key: value for key, value in written.items() if value is not None}
        self.server.apply(
            {
                "apiVersion": API_VERSION,
                "kind": "ModelDeployment",
                "metadata": {"name": self.name, "namespace": self.server.namespace},
                "spec": self.spec,
            }
        )

    def annotate(self, key: str, value: str | None) -> None:
        """`kubectl annotate`; None takes it away."""
        patch = {"metadata": {"annotations": {f"{GROUP}/{key}": value}}}
        self.server.merge(MODEL_DEPLOYMENT, self.name, patch)

    def delete(self) -> None:
        """`kubectl delete`."""
        self.server.delete(MODEL_DEPLOYMENT, self.name)

    # -- what its owner is told

    @property
    def status(self) -> Object:
        """Its status."""
        obj = self.server.get(MODEL_DEPLOYMENT, self.name)
        status: Object = (obj or {}).get("status") or {}
        return status

    def until(self, holds: Callable[[Object], Any], seconds: float = PATIENCE) -> Object:
        """Its status, once that holds."""
        return eventually(lambda: self.status, holds, seconds)

    def until_says(self, kind: str, status: str, reason: str, *words: str, seconds: float = PATIENCE) -> str:
        """The message of a condition, once it has this status and reason and contains these words."""

        def holds(found: Object) -> bool:
            said = condition(found, kind)
            return (said.get("status"), said.get("reason")) == (status, reason) and all(
                word in said.get("message", "") for word in words
            )

        message: str = condition(self.until(holds, seconds), kind)["message"]
        return message

    def until_serves(self, version: str, seconds: float = PATIENCE) -> Object:
        """Its status, once this version takes all traffic."""

        def holds(found: Object) -> bool:
            return found.get("stable", {}).get("version") == version and all(
                condition(found, kind).get("status") == "True" for kind in ("Ready", "UpToDate")
            )

        return self.until(holds, seconds)

    def until_ended(self, outcome: str, seconds: float = PATIENCE) -> Object:
        """The newest entry of its history, once that has this outcome and nothing runs any more."""
        found = self.until(lambda s: "rollout" not in s and outcome_of(s) == outcome, seconds)
        entry: Object = found["history"][0]
        return entry

    def until_percent(self, percent: int, seconds: float = PATIENCE) -> Object:
        """Its status, once the candidate has this share, decided and on the route."""
        status = self.until(lambda s: s.get("rollout", {}).get("percent") == percent, seconds)
        candidate = status["candidate"]["revision"]
        eventually(lambda: self.share(candidate), lambda share: share == percent, seconds)
        return status

    def until_on_its_way(self) -> str:
        """Version 1 serves, version 2 has 20 %; its revision."""
        self.apply("1")
        self.until_serves("1")
        self.apply("2")
        candidate: str = self.until_percent(20)["candidate"]["revision"]
        return candidate

    def until_event(self, reason: str, *words: str) -> str:
        """The note of an Event with this reason and these words."""

        def notes() -> list[str]:
            found = [e for e in self.server.events(self.name) if e["reason"] == reason]
            return [e["note"] for e in found if all(word in e["note"] for word in words)]

        return eventually(notes, bool)[-1]

    def story(self) -> list[tuple[str, str]]:
        """Type and reason of the Events about it, in their order."""
        return [(event["type"], event["reason"]) for event in self.server.events(self.name)]

    # -- what is there

    def revision(self, arm: str = "stable") -> str:
        """The revision of an arm."""
        name: str = self.status[arm]["revision"]
        return name

    def attempt(self, arm: str = "candidate") -> Object:
        """The newest attempt in the record of an arm's revision."""
        return self.record(self.revision(arm))["attempts"][-1]  # type: ignore[no-any-return]

    def record(self, revision: str) -> Object:
        """The status of a ModelRevision."""
        obj = self.server.get(MODEL_REVISION, revision)
        assert obj is not None, revision
        status: Object = obj["status"]
        return status

    def weights(self) -> dict[str, int]:
        """The route's weights by revision."""
        route = self.server.get(ROUTE, self.name)
        assert route is not None
        return {b["name"]: b.get("weight", 1) for b in route["spec"]["rules"][0]["backendRefs"]}

    def share(self, revision: str) -> float:
        """The percentage of users' requests that a revision gets."""
        weights = self.weights()
        return 100 * weights.get(revision, 0) / sum(weights.values())

    def pods(self, revision: str) -> set[str]:
        """The uids of a revision's pods."""
        return {pod["metadata"]["uid"] for pod in self.server.every(POD, {REVISION: revision})}

    def children(self) -> dict[tuple[str, str], Object]:
        """Everything that serves it or ever did, by kind and name."""
        found: dict[tuple[str, str], Object] = {}
        for kind in (*_CHILDREN, MODEL_REVISION):
            listed = self.server.every(kind, {DEPLOYMENT: self.name})
            found.update({(kind.name, obj["metadata"]["name"]): obj for obj in listed})
        return found

    def serving(self) -> dict[tuple[str, str], Any]:
        """What its users depend on: uid and content of stable's Deployment and Services and of the route."""
        stable = self.revision()
        return {
            key: (obj["metadata"]["uid"], obj["metadata"]["annotations"].get(APPLIED), obj["spec"])
            for key, obj in self.children().items()
            if key[0] != MODEL_REVISION.name and key[1] in (stable, self.name)
        }

    def edit(self, kind: Kind, name: str, patch: Object) -> None:
        """Somebody changes a child by hand."""
        self.server.merge(kind, name, patch)


def condition(status: Object, kind: str) -> Object:
    """A condition of a status; empty where there is none."""
    return next((c for c in status.get("conditions", ()) if c["type"] == kind), {})


def outcome_of(status: Object) -> str | None:
    """How the newest attempt that ended did so."""
    return next((entry["outcome"] for entry in status.get("history", ())), None)
