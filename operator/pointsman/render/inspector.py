"""The inspector of a rollout as Kubernetes objects: what it is told (docs/inspector.md), and the pod and Service it has."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pointsman.api import names
from pointsman.errors import Terminal
from pointsman.render.objects import PROGRESS_DEADLINE, SERVICE_PORT, Owner, http_service, object_meta
from pointsman.render.storage import literal, storage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pointsman.api.comparison import Comparator, Compare
    from pointsman.api.gates import Slices
    from pointsman.api.modeldeployment import Model
    from pointsman.render.schema import Json

CONTAINER: Final = "inspector"
PORT: Final = 8080
PROBES_PORT: Final = 8081
GRACE_SECONDS: Final = 20
REFERENCE_KEY: Final = "reference.json"  # of a ConfigMap

_VARIABLE: Final = "POINTSMAN_INSPECTOR"
_REFERENCE: Final = "/etc/pointsman/reference"
_VOLUME: Final = "reference"
_LINGER_SECONDS: Final = 10  # after the grace: connections that end, a thread that still compares
_RESOURCES: Final = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}}
"""It has 100 MB at 400 compared requests a second (make bench-inspector); bodies are bounded by 24 MiB together."""

_NUMBERS: Final = frozenset({"absolute", "relative", "atMost", "atLeast"})


@dataclass(frozen=True)
class Image:
    """The operator's own image, and the Secrets of the model's namespace that it is pulled with; none: the service account's."""

    reference: str
    pull_secrets: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What an inspector is for.

    candidate  the revision that is compared with stable; None: stable's own inputs and answers are watched
    model      whose reference has the scales: the candidate's, or stable's where it is watched
    compare    complete: with the protocol
    tolerance  how far a tail may move that is watched, a fraction
    warmup     requests replayed first that are not counted
    """

    namespace: str
    deployment: str
    attempt: int
    stable: str
    candidate: str | None = None
    model: Model
    compare: Compare
    slices: Slices | None = None
    tolerance: float | None = None
    warmup: int = 0

    @property
    def revision(self) -> str:
        """The revision that it is about, and named after."""
        return self.candidate or self.stable


def assignment(inspection: Inspection) -> Json:
    """What the inspector is told.

    Raises:
        Terminal: The reference is a file that cannot be mounted.
    """
    compare, slices = inspection.compare, inspection.slices
    return {
        "namespace": inspection.namespace,
        "deployment": inspection.deployment,
        "attempt": inspection.attempt,
        "stable": _arm(inspection.stable, inspection.namespace),
        **({} if inspection.candidate is None else {"candidate": _arm(inspection.candidate, inspection.namespace)}),
        "protocol": compare.protocol,
        "comparators": [_comparator(one) for one in compare.comparators or ()],
        "features": list(compare.features or ()),
        **({} if slices is None else {"slices": slices.dump()}),
        "forwardHeaders": list(compare.forward_headers or ()),
        **_told(inspection),
        "warmup": inspection.warmup,
    }


def deployment(inspection: Inspection, *, image: Image, owner: Owner) -> Json:
    """The Deployment of one inspector.

    Recreated when it is told something else: two with different orders would share the Service, and each mirrored request
    may be replayed by either. Whoever watches a rollout can do without it for the seconds that takes.

    Args:
        inspection: What it is for.
        image: What it runs.
        owner: Whom it is deleted with.

    Raises:
        Terminal: The reference is a file that cannot be mounted.
    """
    of = (inspection.deployment, inspection.revision)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta(inspection, owner),
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 0,
            "progressDeadlineSeconds": PROGRESS_DEADLINE,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": names.inspector_selector(*of)},
            "template": {
                "metadata": {
                    "labels": names.inspector_labels(*of),
                    "annotations": {
                        "prometheus.io/scrape": "true",
                        "prometheus.io/port": str(PROBES_PORT),
                        "prometheus.io/path": "/metrics",
                    },
                },
                "spec": _pod(inspection, image),
            },
        },
    }


def service(inspection: Inspection, *, owner: Owner) -> Json:
    """The Service that requests are mirrored to."""
    selector = names.inspector_selector(inspection.deployment, inspection.revision)
    return http_service(_meta(inspection, owner), port="http", selector=selector)


def _meta(inspection: Inspection, owner: Owner) -> Json:
    labels = names.inspector_labels(inspection.deployment, inspection.revision)
    return object_meta(names.inspector(inspection.revision), inspection.namespace, labels, owner)


def _pod(inspection: Inspection, image: Image) -> Json:
    """No user id: the image has one that is not root's, and OpenShift chooses its own."""
    mounted = reference(inspection.model)
    told = json.dumps(assignment(inspection), separators=(",", ":"), ensure_ascii=False)
    ports = {"http": PORT, "metrics": PROBES_PORT}
    container: Json = {
        "name": CONTAINER,
        "image": image.reference,
        "args": ["inspector", f"--port={PORT}", f"--probes-port={PROBES_PORT}", f"--grace={GRACE_SECONDS}"],
        "env": [{"name": _VARIABLE, "value": literal(told)}],
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports.items()],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "metrics"}, "periodSeconds": 2},
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "metrics"}, "periodSeconds": 10, "timeoutSeconds": 5},
        "resources": _RESOURCES,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # It says in a sentence what it cannot use.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    pod: Json = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS + _LINGER_SECONDS,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    if image.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in image.pull_secrets]
    if mounted.volume is not None:
        container["volumeMounts"] = [{"mountPath": _REFERENCE, "name": _VOLUME, "readOnly": True, **mounted.mount}]
        pod["volumes"] = [{"name": _VOLUME, **mounted.volume}]
    return pod


@dataclass(frozen=True, kw_only=True)
class Mounted:
    """Where the reference of a model comes from, how it is mounted, and what the inspector is told of it."""

    volume: Mapping[str, Any] | None = None
    mount: Mapping[str, Any]
    told: Mapping[str, Any]


def reference(model: Model) -> Mounted:
    """The reference file in the inspector's pod; empty where the model has none.

    Raises:
        Terminal: It is a file that cannot be mounted.
    """
    written = model.reference
    if written is None:
        return Mounted(mount={}, told={})
    if written.config_map is not None:
        # Optional: a pod that waits for a volume says nothing of why; the inspector says what is missing, and ends.
        items = [{"key": REFERENCE_KEY, "path": REFERENCE_KEY}]
        source = {"configMap": {"name": written.config_map, "items": items, "optional": True}}
        return Mounted(volume=source, mount={}, told={"reference": f"{_REFERENCE}/{REFERENCE_KEY}"})
    uri = str(model.storage_uri)
    if not uri.startswith(("pvc://", "oci://")):
        raise Terminal(
            f"spec.model.reference.path: the inspector can mount files beside a model at pvc:// and oci:// only, and this"
            f" model's storageUri is {uri.partition('://')[0]}://; write the file into a ConfigMap and name that in"
            " spec.model.reference.configMap"
        )
    part = storage(uri, initializer_image=None)["spec"]
    (volume,), (mount,) = part["volumes"], part["containers"][0]["volumeMounts"]
    source = {key: value for key, value in volume.items() if key != "name"}
    place = {"subPath": mount["subPath"]} if "subPath" in mount else {}
    return Mounted(volume=source, mount=place, told={"reference": f"{_REFERENCE}/{written.path}"})


def _told(inspection: Inspection) -> Mapping[str, Any]:
    """The reference, and how far what is watched may be from it."""
    told = reference(inspection.model).told
    return told if inspection.tolerance is None or not told else {**told, "tolerance": inspection.tolerance}


def _arm(revision: str, namespace: str) -> Json:
    return {"revision": revision, "url": f"http://{revision}.{namespace}:{SERVICE_PORT}"}


def _comparator(comparator: Comparator) -> Json:
    """With numbers as numbers: the API has them as strings."""
    return {field: float(value) if field in _NUMBERS else value for field, value in comparator.dump().items()}
