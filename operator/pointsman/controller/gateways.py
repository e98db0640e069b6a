"""What is known of Gateways: the class of each, and what that class can."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pointsman.cluster.cache import Cache, Name
from pointsman.cluster.kinds import GATEWAY, GATEWAY_CLASS, Json
from pointsman.rollout.mirroring import MIRROR, MIRROR_PERCENT
from pointsman.rollout.observed import Gateway

_SILENT: Final = {"gateway.envoyproxy.io/gatewayclass-controller": frozenset({MIRROR, MIRROR_PERCENT})}
"""What controllers can that write no supportedFeatures, by their names: Envoy Gateway 1.9 has switched that off."""


def gateways(cache: Cache, names: Iterable[Name]) -> Mapping[str, Gateway]:
    """Those of these Gateways that exist, by namespace/name."""
    found = {name: cache.get(GATEWAY, *name) for name in names}
    return {"/".join(name): _gateway(obj, cache) for name, obj in found.items() if obj is not None}


def _gateway(obj: Json, cache: Cache) -> Gateway:
    name = class_of(obj)
    found = cache.get(GATEWAY_CLASS, "", name)
    return Gateway(gateway_class=name, features=None if found is None else features_of(found))


def class_of(gateway: Json) -> str:
    """The name of a Gateway's class."""
    return str((gateway.get("spec") or {}).get("gatewayClassName", ""))


def features_of(gateway_class: Json) -> frozenset[str] | None:
    """The features that a GatewayClass says it supports, or is known to; None: it says nothing, and nobody knows.

    Objects with a name since Gateway API 1.2, plain strings before; what is neither is no feature.
    """
    listed = (gateway_class.get("status") or {}).get("supportedFeatures")
    if not isinstance(listed, list):
        return _SILENT.get(str((gateway_class.get("spec") or {}).get("controllerName")))
    names = (one.get("name") if isinstance(one, dict) else one for one in listed)
    return frozenset(name for name in names if isinstance(name, str))
