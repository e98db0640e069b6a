"""The kinds of objects that Pointsman talks to the API server about: where each lives and what of it is watched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pointsman.api.names import DEPLOYMENT, MANAGED_BY, MANAGER
from pointsman.api.values import API_VERSION

Json = Mapping[str, Any]
"""A Kubernetes object as it came from the API server."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of object. `selector` is the label selector of what is watched, `optional` that it may not be installed."""

    api_version: str
    name: str
    plural: str
    namespaced: bool = True
    selector: str | None = None
    optional: bool = False

    @property
    def group(self) -> str:
        """The API group; empty for the core's."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """The version within the group."""
        return self.api_version.rpartition("/")[2]

    def path(self, namespace: str | None = None, *more: str) -> str:
        """The URL path of all objects (of one namespace), or with `more` of one of them or its subresource."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return "/".join((f"{root}{scope}/{self.plural}", *more))


_OURS = f"{MANAGED_BY}={MANAGER}"
_GATEWAY_API = "gateway.networking.k8s.io/v1"

MODEL_DEPLOYMENT = Kind(api_version=API_VERSION, name="ModelDeployment", plural="modeldeployments")
MODEL_REVISION = Kind(api_version=API_VERSION, name="ModelRevision", plural="modelrevisions")
MODEL_RUNTIME = Kind(api_version=API_VERSION, name="ModelRuntime", plural="modelruntimes", namespaced=False)
ROLLOUT_POLICY = Kind(api_version=API_VERSION, name="RolloutPolicy", plural="rolloutpolicies", namespaced=False)
WORKLOAD = Kind(api_version="apps/v1", name="Deployment", plural="deployments", selector=_OURS)
AUTOSCALER = Kind(
    api_version="autoscaling/v2", name="HorizontalPodAutoscaler", plural="horizontalpodautoscalers", selector=_OURS
)
SERVICE = Kind(api_version="v1", name="Service", plural="services", selector=_OURS)
# Those of users that a ModelDeployment may switch have its label, too.
ROUTE = Kind(api_version=_GATEWAY_API, name="HTTPRoute", plural="httproutes", selector=DEPLOYMENT, optional=True)
GATEWAY_CLASS = Kind(
    api_version=_GATEWAY_API, name="GatewayClass", plural="gatewayclasses", namespaced=False, optional=True
)
GATEWAY = Kind(api_version=_GATEWAY_API, name="Gateway", plural="gateways", optional=True)

POD = Kind(api_version="v1", name="Pod", plural="pods")
SECRET = Kind(api_version="v1", name="Secret", plural="secrets")
LEASE = Kind(api_version="coordination.k8s.io/v1", name="Lease", plural="leases")
EVENT = Kind(api_version="events.k8s.io/v1", name="Event", plural="events")
CUSTOM_RESOURCE = Kind(
    api_version="apiextensions.k8s.io/v1",
    name="CustomResourceDefinition",
    plural="customresourcedefinitions",
    namespaced=False,
)

WATCHED = (
    MODEL_RUNTIME,
    ROLLOUT_POLICY,
    GATEWAY_CLASS,
    GATEWAY,
    MODEL_DEPLOYMENT,
    MODEL_REVISION,
    WORKLOAD,
    AUTOSCALER,
    SERVICE,
    ROUTE,
)
"""What the cache holds."""

_BY_NAME = {(kind.api_version, kind.name): kind for kind in (*WATCHED, POD, LEASE, EVENT, CUSTOM_RESOURCE)}


def named(api_version: str, name: str) -> Kind:
    """The kind of `apiVersion` and `kind`; KeyError where it is none of ours."""
    return _BY_NAME[api_version, name]


def kind_of(obj: Json) -> Kind:
    """The kind of an object."""
    return named(obj["apiVersion"], obj["kind"])
