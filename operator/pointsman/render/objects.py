"""The Kubernetes objects of a ModelDeployment and its revisions, as plain dicts for server-side apply.

Each names an owner, which it is deleted with: the ModelDeployment, whose uid is known before anything is written, so that
a revision's Deployment need not wait for the answer to its ModelRevision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from pointsman.api import names
from pointsman.api.values import API_VERSION, WHOLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pointsman.api.autoscaling import MetricSpec
    from pointsman.api.modeldeployment import Traffic
    from pointsman.api.modelrevision import ModelRevisionSpec
    from pointsman.render.schema import Json

SERVICE_PORT: Final = 80
SERVICE_PORT_NAME: Final = "http"

PROGRESS_DEADLINE: Final = 600
"""Seconds; Kubernetes' own default for a Deployment."""

CPU: Final = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
}
"""Kubernetes' own default for an HPA without metrics."""

_PER_PERCENT: Final = WHOLE // 100


@dataclass(frozen=True)
class Owner:
    """The object of ours that another one belongs to and is deleted with."""

    kind: str
    name: str
    uid: str

    @classmethod
    def of(cls, live: Json) -> Owner:
        """From a ModelDeployment or ModelRevision as the API server returns it, `kind` included."""
        return cls(kind=live["kind"], name=live["metadata"]["name"], uid=live["metadata"]["uid"])

    def reference(self) -> Json:
        """An entry of `ownerReferences`: the controller, deleted only after what it owns where that is asked for."""
        return {
            "apiVersion": API_VERSION,
            "kind": self.kind,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }


class Backend(NamedTuple):
    """A Service that a route sends requests to; `weight` in basis points."""

    service: str
    weight: int


class Mirror(NamedTuple):
    """A Service that gets copies of requests, whose answers nobody sees; `share` of the requests in basis points."""

    service: str
    share: int


def model_revision(*, name: str, namespace: str, spec: ModelRevisionSpec, owner: Owner) -> Json:
    """The ModelRevision `name`."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelRevision",
        "metadata": object_meta(name, namespace, names.labels(spec.deployment, name), owner),
        "spec": spec.dump(),
    }


def deployment(
    *,
    revision: str,
    namespace: str,
    spec: ModelRevisionSpec,
    replicas: int | None,
    min_ready: int = 0,
    owner: Owner,
) -> Json:
    """The Deployment that runs a revision.

    Pointsman never changes a revision's pod template, so this Deployment rolls nothing out and needs no old ReplicaSets.
    Its strategy matters only when somebody's hand changes the template or asks for a restart: then one pod more, never
    one less, because pods that serve are worth more than a moment's spare capacity, and where there is none the extra
    pod waits while the others go on.

    Args:
        revision: Name of the revision and of the Deployment.
        namespace: Where.
        spec: Spec of the revision.
        replicas: Pods; None where an HPA counts them: then the field is not ours.
        min_ready: Seconds of being ready after which a pod counts as available: to Pointsman, as warm. Changing it
            replaces no pod.
        owner: Whom it is deleted with.
    """
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": object_meta(revision, namespace, names.labels(spec.deployment, revision), owner),
        "spec": {
            **({} if replicas is None else {"replicas": replicas}),
            "revisionHistoryLimit": 0,
            "minReadySeconds": min_ready,
            # The API server wants it above minReadySeconds; only dashboards read it.
            "progressDeadlineSeconds": min_ready + PROGRESS_DEADLINE,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": names.selector(spec.deployment, revision)},
            "template": spec.template,
        },
    }


def deployment_count(*, revision: str, namespace: str, replicas: int) -> Json:
    """The number of pods alone, to be applied as `names.COUNTER`: the HPA takes the field over with its next change."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": revision, "namespace": namespace},
        "spec": {"replicas": replicas},
    }


class Bounds(NamedTuple):
    """Between which numbers of pods an HPA counts."""

    fewest: int
    most: int


def autoscaler(
    *, revision: str, deployment: str, namespace: str, bounds: Bounds, metrics: Sequence[MetricSpec], owner: Owner
) -> Json:
    """The HPA of a revision's Deployment.

    Args:
        revision: Name of the revision, of its Deployment and of the HPA.
        deployment: Name of the ModelDeployment.
        namespace: Where.
        bounds: The numbers of pods between which it counts.
        metrics: What it counts by; empty: CPU at 80 % of what is requested, as Kubernetes would fill in.
        owner: Whom it is deleted with.
    """
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": object_meta(revision, namespace, names.labels(deployment, revision), owner),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": revision},
            "minReplicas": bounds.fewest,
            "maxReplicas": bounds.most,
            "metrics": [metric.dump() for metric in metrics] or [CPU],
        },
    }


def revision_service(*, revision: str, namespace: str, spec: ModelRevisionSpec, owner: Owner) -> Json:
    """The Service of a revision's pods, which routes point at."""
    metadata = object_meta(revision, namespace, names.labels(spec.deployment, revision), owner)
    return http_service(metadata, port=spec.port, selector=names.selector(spec.deployment, revision))


def stable_service(
    *,
    deployment: str,
    namespace: str,
    port: int | str,
    selector: Mapping[str, str],
    decided: str | None = None,
    owner: Owner,
) -> Json:
    """The Service named as the ModelDeployment: stable's pods, or without a gateway those of both arms.

    Args:
        deployment: Name of the ModelDeployment.
        namespace: Where.
        port: The serving port of stable's revision. A name means each pod's own port of that name, so the arms' numbers
            may differ.
        selector: From `names.selector`: one revision's pods or all.
        decided: What the selector follows from, for the annotation; None where nothing was decided.
        owner: Whom it is deleted with.
    """
    metadata = object_meta(deployment, namespace, names.labels(deployment), owner, decided)
    return http_service(metadata, port=port, selector=selector)


def route(
    *,
    deployment: str,
    namespace: str,
    traffic: Traffic,
    backends: Sequence[Backend],
    mirror: Mirror | None = None,
    decided: str | None = None,
    owner: Owner,
) -> Json:
    """The HTTPRoute that shares all requests among revisions' Services.

    Weights are percentages where all of them are whole, basis points otherwise. A backend with weight 0 stays listed,
    so that raising it changes a number and adds nothing that a gateway has to resolve first.

    Args:
        deployment: Name of the ModelDeployment and of the route.
        namespace: Of the route and its Services.
        traffic: The Gateways and host names.
        backends: Services that exist (a gateway answers the share of a missing one with 500) and their weights.
        mirror: Where copies of requests go; a gateway may refuse a route whose mirror does not exist.
        decided: What the weights follow from, for the annotation; None where nothing was decided.
        owner: Whom it is deleted with.

    Raises:
        ValueError: The weights are not shares of a whole, or the mirror's is none.
    """
    weights = [backend.weight for backend in backends]
    if sum(weights) != WHOLE or min(weights) < 0:
        raise ValueError(f"weights {weights} are not shares of {WHOLE} basis points")
    unit = _PER_PERCENT if all(weight % _PER_PERCENT == 0 for weight in weights) else 1
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": object_meta(deployment, namespace, names.labels(deployment), owner, decided),
        "spec": {
            # Defaults of the CRD are spelled out in lists that are compared whole (see drift).
            "parentRefs": [
                {"group": "gateway.networking.k8s.io", "kind": "Gateway", **parent.dump()}
                for parent in traffic.parent_refs
            ],
            "hostnames": list(traffic.hostnames),
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    **({} if mirror is None else {"filters": [mirroring(mirror)]}),
                    "backendRefs": [
                        {**_service_ref(backend.service), "weight": backend.weight // unit} for backend in backends
                    ],
                }
            ],
        },
    }


def mirroring(mirror: Mirror) -> Json:
    """The filter of a rule. All requests without a percentage: gateways that know none take that; a part of a percent is a fraction."""
    if not 0 < mirror.share <= WHOLE:
        raise ValueError(f"{mirror.share} basis points of the requests cannot be mirrored")
    copies: Json = {"backendRef": _service_ref(mirror.service)}
    percent, rest = divmod(mirror.share, _PER_PERCENT)
    if rest:
        copies["fraction"] = {"numerator": mirror.share, "denominator": WHOLE}
    elif mirror.share < WHOLE:
        copies["percent"] = percent
    return {"type": "RequestMirror", "requestMirror": copies}


def _service_ref(name: str) -> Json:
    return {"group": "", "kind": "Service", "name": name, "port": SERVICE_PORT}


def http_service(metadata: Json, *, port: int | str, selector: Mapping[str, str]) -> Json:
    """A Service for HTTP on SERVICE_PORT; `port` is the pods'."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "selector": dict(selector),
            "ports": [{"name": SERVICE_PORT_NAME, "port": SERVICE_PORT, "protocol": "TCP", "targetPort": port}],
        },
    }


def object_meta(name: str, namespace: str, labels: dict[str, str], owner: Owner, decided: str | None = None) -> Json:
    """The metadata of an object of ours."""
    return {
        "name": name,
        "namespace": namespace,
        "labels": labels,
        **({} if decided is None else {"annotations": {names.DECIDED: decided}}),
        "ownerReferences": [owner.reference()],
    }
