"""What is seen of the two arms: their pods, and how the traffic is split between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pointsman.api import names
from pointsman.api.modeldeployment import Traffic
from pointsman.api.values import WHOLE
from pointsman.rollout.capacity import Split, pod_share

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Pods:
    """The pods of a revision, as its Deployment reports them."""

    exists: bool = False
    asked: int = 0  # spec.replicas
    running: int = 0  # asked for or still there
    ready: int = 0
    warm: int = 0  # ready for the warm-up's duration: the Deployment's minReadySeconds
    problem: str | None = None  # why pods cannot even be created


def pods(deployment: Json | None) -> Pods:
    """Read an apps/v1 Deployment."""
    if deployment is None:
        return Pods()
    asked = int(deployment["spec"].get("replicas", 1))
    status = deployment.get("status") or {}
    failure = next(
        (c for c in status.get("conditions", ()) if c["type"] == "ReplicaFailure" and c["status"] == "True"), None
    )
    return Pods(
        exists=True,
        asked=asked,
        running=max(asked, int(status.get("replicas", 0))),
        ready=min(asked, int(status.get("readyReplicas", 0))),
        warm=min(asked, int(status.get("availableReplicas", 0))),
        problem=None if failure is None else str(failure.get("message", failure.get("reason", ""))),
    )


@dataclass(frozen=True, kw_only=True)
class Switch:
    """How traffic is split now, by a route's weights or by what a plain Service selects."""

    exists: bool = False
    weights: Mapping[str, int] = field(default_factory=dict)  # by revision, in the switch's own units
    accepted: bool = False  # the gateway obeys what is written
    problem: str | None = None  # why it does not
    decided: str | None = None  # the final decision that was written with it
    resource_version: str | None = None

    def share(self, revision: str | None) -> int:
        """The share of a revision in basis points."""
        total = sum(self.weights.values())
        if revision is None or total == 0:
            return 0
        return WHOLE * self.weights.get(revision, 0) // total


def route_switch(route: Json | None, traffic: Traffic) -> Switch:
    """Read an HTTPRoute: weights from its one rule, acceptance from every parent it names."""
    if route is None:
        return Switch(problem="the HTTPRoute is not written yet")
    rules = route["spec"].get("rules") or [{}]
    weights: dict[str, int] = {}
    for backend in rules[0].get("backendRefs") or ():
        weights[backend["name"]] = weights.get(backend["name"], 0) + int(backend.get("weight", 1))
    problem = _refused(route, traffic)
    return Switch(
        exists=True,
        weights=weights,
        accepted=problem is None,
        problem=problem,
        decided=route["metadata"].get("annotations", {}).get(names.DECIDED),
        resource_version=route["metadata"].get("resourceVersion"),
    )


def _refused(route: Json, traffic: Traffic) -> str | None:
    """Why some parent does not obey the route as it is now; None: all of them do."""
    generation = route["metadata"].get("generation")
    namespace = route["metadata"].get("namespace")
    parents = (route.get("status") or {}).get("parents", ())
    for wanted in traffic.parent_refs:
        gateway = f"{wanted.namespace or namespace}/{wanted.name}"
        mine = [
            parent
            for parent in parents
            if parent["parentRef"]["name"] == wanted.name
            and parent["parentRef"].get("namespace", namespace) == (wanted.namespace or namespace)
            and parent["parentRef"].get("sectionName") == wanted.section_name
        ]
        if not mine:
            return f"no gateway controller has answered for Gateway {gateway} yet; does it exist, and is its class installed?"
        for condition in (c for parent in mine for c in parent.get("conditions", ())):
            if condition["type"] not in ("Accepted", "ResolvedRefs"):
                continue
            if condition.get("observedGeneration") != generation:
                return f"Gateway {gateway} has not taken the newest weights yet"
            if condition["status"] != "True":
                return f"Gateway {gateway} refuses the route: {condition['reason']}: {condition.get('message', '')}".rstrip(
                    ": "
                )
        if not any(c["type"] == "Accepted" for parent in mine for c in parent.get("conditions", ())):
            return f"Gateway {gateway} has not taken the newest weights yet"
    return None


def service_switch(service: Json | None, stable: tuple[str | None, Pods], candidate: tuple[str | None, Pods]) -> Switch:
    """Read the plain Service: it selects one revision, or all of the ModelDeployment's pods."""
    if service is None:
        return Switch(problem="the Service is not written yet")
    selected = (service["spec"].get("selector") or {}).get(names.REVISION)
    weights: dict[str, int] = {}
    for revision, arm in (stable, candidate):
        if revision is not None and selected in (None, revision):
            weights[revision] = arm.ready
    if selected is not None and not weights.get(selected):
        weights = {selected: 1}  # it stands for that revision even while none of its pods is ready
    return Switch(
        exists=True,
        weights=weights,
        accepted=True,
        decided=service["metadata"].get("annotations", {}).get(names.DECIDED),
        resource_version=service["metadata"].get("resourceVersion"),
    )


def reachable(split: Split) -> int:
    """The real share of a split behind a plain Service."""
    return pod_share(split)
