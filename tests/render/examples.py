"""The inputs that the golden files are rendered from: three models as users write them, and every object of theirs."""

from __future__ import annotations

from typing import Any

from pointsman.api import names
from pointsman.api.autoscaling import MetricSpec
from pointsman.api.comparison import Compare
from pointsman.api.gates import Slices
from pointsman.api.modeldeployment import Model, ModelDeploymentSpec
from pointsman.api.modelrevision import ModelRevisionSpec, RuntimeRef
from pointsman.api.modelruntime import ModelRuntimeSpec
from pointsman.render import inspector, objects
from pointsman.render.inspector import Inspection
from pointsman.render.objects import Backend, Bounds, Mirror, Owner
from pointsman.render.template import finished_template

Json = dict[str, Any]

NAMESPACE = "ml"
INITIALIZER_IMAGE = "registry.example/storage-initializer:v1"

MLSERVER: Json = {
    "formats": [{"name": "sklearn", "autoSelect": True}],
    "template": {
        "metadata": {"annotations": {"platform.example/owner": "serving"}},
        "spec": {
            "containers": [
                {
                    "name": "model",
                    "image": "registry.example/mlserver:1.7.1",
                    "env": [
                        {"name": "MLSERVER_MODEL_NAME", "value": "$(MODEL_NAME)"},
                        {"name": "MLSERVER_MODEL_URI", "value": "$(MODEL_PATH)"},
                    ],
                    "ports": [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 8082}],
                    "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": "http"}, "periodSeconds": 1},
                    "resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}},
                }
            ],
            # Only used where files are fetched.
            "initContainers": [{"name": "storage-initializer", "envFrom": [{"secretRef": {"name": "bucket"}}]}],
        },
    },
    "port": "http",
    "metrics": {
        "port": "metrics",
        "requests": {"counter": "rest_server_requests_total", "failed": {"status_code": "5.."}},
    },
}

CHURN: Json = {
    "model": {"version": "7", "format": {"name": "sklearn"}, "storageUri": "pvc://models/churn/7"},
    "template": {
        "spec": {
            "nodeSelector": {"disk": "fast"},
            "containers": [
                {
                    "name": "model",
                    "env": [{"name": "MLSERVER_MODEL_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                    "resources": {"requests": {"cpu": None}, "limits": {"cpu": "1.5"}},
                }
            ],
        }
    },
    "traffic": {"parentRefs": [{"name": "models", "namespace": "gateways"}], "hostnames": ["churn.example.com"]},
}

PRICES: Json = {
    "model": {"version": "2026-11", "format": {"name": "sklearn"}, "storageUri": "s3://models/prices/$(date)"},
    "template": {
        "spec": {
            "initContainers": [{"name": "storage-initializer", "resources": {"limits": {"memory": "8Gi"}}}],
            "volumes": [{"name": "model-files", "emptyDir": {"sizeLimit": "20Gi"}}],
        }
    },
}

SPEECH: Json = {
    "model": {"version": "large", "storageUri": "oci://registry.example/speech:large"},
    "port": 9000,
    "template": {
        "spec": {
            "serviceAccountName": "speech",
            "terminationGracePeriodSeconds": 10,
            "runtimeClassName": "nvidia",
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}
            ],
            "containers": [
                {
                    "name": "model",
                    "image": "registry.example/speech:1",
                    "args": ["--model=$(MODEL_PATH)"],
                    "ports": [{"containerPort": 9000}],
                    "resources": {"limits": {"nvidia.com/gpu": 1}},
                    "securityContext": {"privileged": True},
                    "stdin": False,
                },
                {
                    "name": "cache",
                    "image": "registry.example/cache:1",
                    "lifecycle": {"preStop": {"exec": {"command": ["flush"]}}},
                },
            ],
        }
    },
}


def owner(name: str) -> Owner:
    """A ModelDeployment with a made-up uid."""
    return Owner(kind="ModelDeployment", name=name, uid="0b4f4a5e-6a1c-4b8e-9a43-8f1f5d1c2e3a")


def revision(name: str, spec: Json, runtime: Json | None) -> ModelRevisionSpec:
    """The spec of the revision `<name>-5f3a9c1b`."""
    parsed = ModelDeploymentSpec.model_validate(spec)
    finished = finished_template(
        deployment=name,
        revision=f"{name}-5f3a9c1b",
        spec=parsed,
        runtime=None if runtime is None else ModelRuntimeSpec.model_validate(runtime),
        initializer_image=INITIALIZER_IMAGE,
    )
    return ModelRevisionSpec(
        deployment=name,
        model=parsed.model,
        runtime=None if runtime is None else RuntimeRef(name="mlserver", generation=3),
        template=finished.template,
        port=finished.port,
        metrics=finished.metrics,
    )


def _of_revision(name: str, spec: Json, runtime: Json | None) -> dict[str, Json]:
    frozen = revision(name, spec, runtime)
    mine = f"{name}-5f3a9c1b"
    by = owner(name)
    return {
        f"{name}-revision": objects.model_revision(name=mine, namespace=NAMESPACE, spec=frozen, owner=by),
        f"{name}-deployment": objects.deployment(
            revision=mine, namespace=NAMESPACE, spec=frozen, replicas=4, min_ready=30, owner=by
        ),
        f"{name}-revision-service": objects.revision_service(revision=mine, namespace=NAMESPACE, spec=frozen, owner=by),
    }


def _of_churn() -> dict[str, Json]:
    traffic = ModelDeploymentSpec.model_validate(CHURN).traffic
    assert traffic is not None
    by = owner("churn")
    stable, candidate = "churn-5f3a9c1b", "churn-81d0aa37"
    requests = {
        "type": "Pods",
        "pods": {
            "metric": {"name": "requests_per_second"},
            "target": {"type": "AverageValue", "averageValue": "2500m"},
        },
    }
    scaled = {"revision": stable, "deployment": "churn", "namespace": NAMESPACE, "owner": by}
    return {
        "churn-autoscaler": objects.autoscaler(
            bounds=Bounds(2, 12), metrics=[MetricSpec.model_validate(requests)], **scaled
        ),
        "churn-autoscaler-cpu": objects.autoscaler(bounds=Bounds(1, 4), metrics=[], **scaled),
        "churn-stable-service": objects.stable_service(
            deployment="churn", namespace=NAMESPACE, port="http", selector=names.selector("churn", stable), owner=by
        ),
        "churn-both-arms-service": objects.stable_service(
            deployment="churn", namespace=NAMESPACE, port="http", selector=names.selector("churn"), owner=by
        ),
        "churn-route-alone": objects.route(
            deployment="churn", namespace=NAMESPACE, traffic=traffic, backends=[Backend(stable, 10_000)], owner=by
        ),
        "churn-route-fraction": objects.route(
            deployment="churn",
            namespace=NAMESPACE,
            traffic=traffic,
            backends=[Backend(stable, 9_950), Backend(candidate, 50)],
            owner=by,
        ),
        **{
            f"churn-route-mirrored-{called}": objects.route(
                deployment="churn",
                namespace=NAMESPACE,
                traffic=traffic,
                backends=[Backend(stable, 10_000), Backend(candidate, 0)],
                mirror=Mirror(names.inspector(candidate), share),
                owner=by,
            )
            for called, share in (("percent", 2_000), ("fraction", 50), ("whole", 10_000))
        },
        "churn-route-decided": objects.route(
            deployment="churn",
            namespace=NAMESPACE,
            traffic=traffic,
            backends=[Backend(stable, 10_000), Backend(candidate, 0)],
            decided=f"{candidate}/1/RolledBack/latency",
            owner=by,
        ),
    }


COMPARE: Json = {
    "protocol": "OpenInference",
    "comparators": [
        {"kind": "Label", "output": "predict"},
        {"kind": "Numeric", "output": "price", "absolute": "0.01", "relative": "0"},
        {"kind": "Vector", "output": "embedding", "distance": "Cosine", "atMost": "0.001"},
        {"kind": "TopK", "output": "ranks", "k": 5, "atLeast": "80"},
        {"kind": "Text", "output": "/outputs/0/data/$(HOME)", "form": "Normalised"},
        {"kind": "Bytes"},
    ],
    "features": ["/inputs/0/data/3"],
    "forwardHeaders": ["authorization"],
}

SHADOW = Inspection(
    namespace=NAMESPACE,
    deployment="churn",
    attempt=2,
    stable="churn-5f3a9c1b",
    candidate="churn-81d0aa37",
    model=Model.model_validate({"version": "8", "reference": {"configMap": "churn-8-reference"}}),
    compare=Compare.model_validate(COMPARE),
    slices=Slices.model_validate({"header": "x-tenant", "max": 20}),
    warmup=50,
)
"""An inspector of everything that can be asked of one."""

WATCH = Inspection(
    namespace=NAMESPACE,
    deployment="churn",
    attempt=2,
    stable="churn-81d0aa37",
    model=Model.model_validate(
        {"version": "8", "storageUri": "pvc://models/churn/8", "reference": {"path": "docs/reference.json"}}
    ),
    compare=Compare(protocol="Json"),
)
"""An inspector after the promotion: the serving version alone, its reference beside the model."""


def _of_inspectors() -> dict[str, Json]:
    image, by = inspector.Image("registry.example/pointsman:1", ("registry",)), owner("churn")
    return {
        "churn-inspector": inspector.deployment(SHADOW, image=image, owner=by),
        "churn-inspector-service": inspector.service(SHADOW, owner=by),
        "churn-inspector-watching": inspector.deployment(WATCH, image=image, owner=by),
    }


EXAMPLES: dict[str, Json] = {
    **_of_revision("churn", CHURN, MLSERVER),
    **_of_revision("prices", PRICES, MLSERVER),
    **_of_revision("speech", SPEECH, None),
    **_of_churn(),
    **_of_inspectors(),
}
"""Name of the golden file -> the object."""
