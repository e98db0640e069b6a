"""What is seen of the two arms: their pods, and how the traffic is split between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pointsman.api import names
from pointsman.api.modeldeployment import ParentRef, Traffic
from pointsman.api.values import WHOLE
from pointsman.render import users_route
from pointsman.render.users_route import Place

Json = Mapping[str, Any]


def is_inspector(live: Json) -> bool:
    """Whether a Deployment or Service is an inspector's, not a model's."""
    labels = live["metadata"].get("labels") or {}
    return bool(labels.get(names.ROLE) == names.INSPECTOR)


def is_users(route: Json) -> bool:
    """Whether a route is none of those that we make: they say so, and are deleted with their ModelDeployment."""
    return (route["metadata"].get("labels") or {}).get(names.MANAGED_BY) != names.MANAGER


@dataclass(frozen=True, kw_only=True)
class Pods:
    """The pods of a revision, as its Deployment and its HPA report them."""

    exists: bool = False
    asked: int = 0  # spec.replicas
    least: int = 0  # of those, the ones that we ask for: the HPA's minReplicas; without an HPA all
    running: int = 0  # asked for or still there
    ready: int = 0
    warm: int = 0  # ready for the warm-up's duration: the Deployment's minReadySeconds
    problem: str | None = None  # why pods cannot even be created


def pods(deployment: Json | None, autoscaler: Json | None) -> Pods:
    """Read an apps/v1 Deployment, and the HPA that counts its pods."""
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
        least=asked if autoscaler is None else int(autoscaler["spec"].get("minReplicas", 1)),
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
    mirrored: int = 0  # of the requests that are copied to an inspector, in basis points
    inspector: str | None = None  # its Service
    accepted: bool = False  # the gateway obeys what is written
    pending: bool = False  # the gateway has not answered to the newest weights yet
    problem: str | None = None  # why it does not obey
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
        return Switch(pending=True, problem="the HTTPRoute is not written yet")
    rules = route["spec"].get("rules") or [{}]
    weights: dict[str, int] = {}
    for backend in rules[0].get("backendRefs") or ():
        weights[backend["name"]] = weights.get(backend["name"], 0) + int(backend.get("weight", 1))
    return _of_route(route, traffic, weights=weights, mirror=_mirror(rules[0]))


def users_switch(route: Json | None, traffic: Traffic, place: Place) -> Switch:
    """Read an HTTPRoute of the user's: what its rules give the model's revisions, acceptance from every parent it names."""
    if route is None:
        return Switch(problem="the HTTPRoute that spec.traffic.routeRef names is not there")
    rules = route["spec"].get("rules") or ()
    weights = users_route.shares(rules, place)
    return _of_route(route, traffic, weights=weights, mirror=users_route.copies(rules, place))


def parents(route: Json) -> list[ParentRef]:
    """What a route is attached to."""
    return [ParentRef.model_validate(parent) for parent in route["spec"].get("parentRefs") or ()]


def _of_route(route: Json, traffic: Traffic, *, weights: Mapping[str, int], mirror: Json | None) -> Switch:
    inspector, mirrored = (None, 0) if mirror is None else _mirrored(mirror)
    pending, problem = _answer(route, traffic)
    return Switch(
        exists=True,
        weights=weights,
        mirrored=mirrored,
        inspector=inspector,
        accepted=problem is None,
        pending=pending,
        problem=problem,
        decided=route["metadata"].get("annotations", {}).get(names.DECIDED),
        resource_version=route["metadata"].get("resourceVersion"),
    )


def _mirror(rule: Json) -> Json | None:
    """The filter that copies a rule's requests."""
    return next((applied for applied in rule.get("filters") or () if applied["type"] == "RequestMirror"), None)


def _mirrored(applied: Json) -> tuple[str, int]:
    """The Service that requests are copied to, and how many of them in basis points."""
    copies = applied["requestMirror"]
    fraction = copies.get("fraction") or {"numerator": copies.get("percent", 100)}
    share = WHOLE * int(fraction["numerator"]) // int(fraction.get("denominator", 100))
    return str(copies["backendRef"]["name"]), share


def _answer(route: Json, traffic: Traffic) -> tuple[bool, str | None]:
    """What the Gateways say to the route as it is now: still to come, and why it is not obeyed; None: all of them obey."""
    generation = route["metadata"].get("generation")
    namespace = route["metadata"].get("namespace")
    parents = (route.get("status") or {}).get("parents", ())
    for wanted in traffic.parent_refs:
        gateway = f"{wanted.namespace or namespace}/{wanted.name}"
        said = {
            condition["type"]: condition
            for parent in parents
            if _same_parent(parent["parentRef"], wanted, namespace)
            for condition in parent.get("conditions", ())
        }
        if "Accepted" not in said:
            return True, f"no controller has answered for Gateway {gateway} yet; does its GatewayClass have one?"
        for condition in (said["Accepted"], said.get("ResolvedRefs", said["Accepted"])):
            if condition.get("observedGeneration") != generation:
                return True, f"Gateway {gateway} has not taken the newest weights yet"
            if condition["status"] != "True":
                why = ": ".join(part for part in (condition["reason"], condition.get("message", "")) if part)
                return False, f"Gateway {gateway} refuses the route: {why}"
    return False, None


def _same_parent(ref: Json, wanted: ParentRef, namespace: str) -> bool:
    return (
        ref["name"] == wanted.name
        and ref.get("namespace", namespace) == (wanted.namespace or namespace)
        and ref.get("sectionName") == wanted.section_name
    )


def service_switch(service: Json | None, stable: tuple[str | None, Pods], candidate: tuple[str | None, Pods]) -> Switch:
    """Read the plain Service: it selects one revision, or all of the ModelDeployment's pods."""
    if service is None:
        return Switch(pending=True, problem="the Service is not written yet")
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
