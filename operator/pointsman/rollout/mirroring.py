"""Whether requests can be mirrored to an inspector where a policy asks for it: a Gateway that cannot may do nothing in silence."""

from __future__ import annotations

from typing import Final, NamedTuple

from pointsman.api.modeldeployment import Model, ParentRef
from pointsman.api.rolloutpolicy import RolloutFields
from pointsman.api.values import WHOLE, basis_points
from pointsman.errors import Terminal
from pointsman.render import inspector
from pointsman.rollout import arms
from pointsman.rollout.observed import Gateway, Observed

MIRROR: Final = "HTTPRouteRequestMirror"
MIRROR_PERCENT: Final = "HTTPRouteRequestPercentageMirror"
"""Features, by their names in the conformance tests of the Gateway API."""

_GATEWAY: Final = "Gateway"


class Asked(NamedTuple):
    """What of a policy mirrors requests, and how many: basis points."""

    what: str
    share: int


def asked(fields: RolloutFields) -> tuple[Asked, ...]:
    """Everything in a complete policy that mirrors requests."""
    steps = [
        Asked(f"steps[{number}].shadow", basis_points(step.shadow.percent))
        for number, step in enumerate(fields.steps or ())
        if step.shadow is not None
    ]
    watched = None if fields.watch is None else fields.watch.percent
    return (*steps, *(() if watched is None else (Asked("watch", basis_points(watched)),)))


def unable(observed: Observed, fields: RolloutFields) -> str | None:
    """Why a policy cannot mirror what it asks for, in a sentence; None: it can, or asks for nothing."""
    mirrors = asked(fields)
    if not mirrors:
        return None
    found = (
        _unrouted(observed, mirrors),
        _without_inspector(observed, mirrors),
        _reference(observed.deployment.spec.model),
        _slices(fields),
    )
    return next((fault for fault in found if fault is not None), None)


def _unrouted(observed: Observed, mirrors: tuple[Asked, ...]) -> str | None:
    traffic, asks = observed.deployment.spec.traffic, mirrors[0].what
    if traffic is None:
        return _in_force(
            f"{asks} mirrors requests at a Gateway, and without spec.traffic none passes one: write spec.traffic, or leave"
            " it out"
        )
    users = observed.users_route
    for parent in traffic.parent_refs if traffic.route_ref is None or users is None else arms.parents(users):
        fault = _parent(parent, observed, mirrors)
        if fault is not None:
            return _in_force(fault)
    return None


def _parent(parent: ParentRef, observed: Observed, mirrors: tuple[Asked, ...]) -> str | None:
    asks, name = mirrors[0].what, f"{parent.namespace or observed.deployment.namespace}/{parent.name}"
    if (kind := parent.kind or _GATEWAY) != _GATEWAY:
        return f"{asks} mirrors requests at a Gateway, and {kind} {name} is none: leave one of the two out"
    gateway = observed.gateways.get(name)
    return None if gateway is None else _class(name, gateway, mirrors)


def _class(name: str, gateway: Gateway, mirrors: tuple[Asked, ...]) -> str | None:
    asks = mirrors[0].what
    at = f"mirrors requests at Gateway {name}, and its GatewayClass {gateway.gateway_class!r}"
    if gateway.features is None:
        return (
            f"{asks} {at} is not there or has no status.supportedFeatures, which its controller writes (with the CRDs of"
            f" Gateway API 1.4 or newer): use a class that lists {MIRROR} there, or leave {asks} out"
        )
    if MIRROR not in gateway.features:
        return f"{asks} {at} does not list {MIRROR} in status.supportedFeatures: use a class that does, or leave {asks} out"
    partial = next((mirror.what for mirror in mirrors if mirror.share < WHOLE), None)
    if partial is not None and MIRROR_PERCENT not in gateway.features:
        return (
            f"{partial} {at} does not list {MIRROR_PERCENT} in status.supportedFeatures: write `percent: 100` in {partial},"
            " or use a class that does"
        )
    return None


def _without_inspector(observed: Observed, mirrors: tuple[Asked, ...]) -> str | None:
    if observed.settings.inspector_image is not None:
        return None
    asks = mirrors[0].what
    return _in_force(
        f"{asks} needs an inspector, and this operator was not told its image: start it with --inspector-image (the Helm"
        f" chart does), or leave {asks} out"
    )


def _reference(model: Model) -> str | None:
    try:
        inspector.reference(model)
    except Terminal as error:
        return str(error)
    return None


def _slices(fields: RolloutFields) -> str | None:
    """Which two gates tell requests apart in different ways: an inspector does it in one."""
    sliced = [gate for gate in fields.gates or () if gate.slices is not None]
    for gate in sliced[1:]:
        if gate.slices != sliced[0].slices:
            return _in_force(
                f"gates {sliced[0].name!r} and {gate.name!r} have different `slices`, and an inspector tells requests apart"
                " in one way: write the same in both"
            )
    return None


def _in_force(fault: str) -> str:
    return f"the rollout policy in force: {fault}"
