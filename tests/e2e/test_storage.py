"""Where model files come from: a volume claim, an image, and a web server by way of KServe's own storage initializer."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from hack.cluster import archive, images
from hack.demo import models
from tests.e2e.conftest import NAMESPACE, Installed

pytestmark = pytest.mark.cluster

MODEL_IMAGE = f"{images.REGISTRY}/e2e-model:1"


def modeldeployment(name: str, uri: str) -> dict[str, Any]:
    return {
        "apiVersion": "pointsman.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {"model": {"version": "1", "format": {"name": "sklearn"}, "storageUri": uri}},
    }


def volume_claim(installed: Installed, folder: Path) -> str:
    size = {"storage": "1Mi"}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "e2e-models"},
        "spec": {
            "capacity": size,
            "accessModes": ["ReadOnlyMany"],
            "storageClassName": "",
            "persistentVolumeReclaimPolicy": "Delete",
            "hostPath": {"path": str(folder)},
            "claimRef": {"name": "models", "namespace": NAMESPACE},
        },
    }
    installed.cluster.kubectl("delete", "persistentvolume", "e2e-models", "--ignore-not-found")
    installed.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(volume))
    installed.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "models"},
            "spec": {
                "accessModes": ["ReadOnlyMany"],
                "storageClassName": "",
                "volumeName": "e2e-models",
                "resources": {"requests": size},
            },
        }
    )
    return "pvc://models"


def model_image(installed: Installed, folder: Path) -> str:
    made = folder.parent / "model-image.tar"
    contents = archive.Contents(files={"model.joblib": folder / "model.joblib"}, entrypoint=("/none",))
    archive.write(made, reference=MODEL_IMAGE, contents=contents)
    installed.cluster.load_image(made)
    return f"oci://{MODEL_IMAGE}"


def web_server(installed: Installed, folder: Path) -> str:
    """A web server with all files below the folder; the URI of the one at its top."""
    files = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.joblib")}
    keys = {path: path.replace("/", "-") for path in files}
    binary = {keys[path]: base64.b64encode(body).decode() for path, body in files.items()}
    items = [{"key": key, "path": path} for path, key in keys.items()]
    server = {
        "name": "server",
        "image": images.MLSERVER,
        "command": ["python", "-m", "http.server", "8000", "--directory", "/files"],
        "ports": [{"containerPort": 8000}],
        "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
        "volumeMounts": [{"name": "files", "mountPath": "/files"}],
    }
    installed.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "files"}, "binaryData": binary},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "files", "labels": {"app": "files"}},
            "spec": {
                "containers": [server],
                "volumes": [{"name": "files", "configMap": {"name": "files", "items": items}}],
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "files"},
            "spec": {"selector": {"app": "files"}, "ports": [{"port": 80, "targetPort": 8000}]},
        },
    )
    installed.cluster.kubectl("wait", "pod/files", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=60s")
    return f"http://files.{NAMESPACE}.svc.cluster.local/model.joblib"


@pytest.mark.parametrize(("name", "source"), [("pvc", volume_claim), ("oci", model_image), ("http", web_server)])
def test_a_model_serves_from(name: str, source: Any, installed: Installed, model_files: Path) -> None:
    installed.apply(modeldeployment(name, source(installed, model_files)))
    installed.until_ready(name)
    address = installed.get("service", name)["spec"]["clusterIP"]
    answer = httpx.post(
        f"http://{address}/v2/models/{name}/infer",
        content=models.requests()[0],
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == httpx.codes.OK, answer.text
    installed.cluster.kubectl("delete", "modeldeployment", name, "-n", NAMESPACE, "--timeout=60s")
