"""What tests against a real API server share: the clusters, and one way to ask the server what it thinks of an object."""

from __future__ import annotations

import base64
import ssl
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from hypothesis import settings

from hack.cluster.fixtures import Cluster, bare, cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["bare", "cluster"]

# How long an example takes says more of the machine than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

CRDS = Path(__file__).parent.parent / "crds"

Object = dict[str, Any]


@dataclass(frozen=True)
class Complaint:
    """One thing that the API server says is wrong."""

    field: str
    message: str


@dataclass(frozen=True)
class Admission:
    """The API server's judgement of our kinds, with unknown and duplicate fields refused."""

    http: httpx.Client
    namespace: str

    def complaints(self, obj: Object) -> list[Complaint]:
        """What the server has against creating it; nothing is created."""
        return _complaints(self.http.post(self._collection(obj), json=obj, params={"dryRun": "All"}))

    def complaints_about_change(self, obj: Object) -> list[Complaint]:
        """What the server has against an existing object becoming this one; nothing is changed."""
        path = f"{self._collection(obj)}/{obj['metadata']['name']}"
        return _complaints(self.http.put(path, json=obj, params={"dryRun": "All"}))

    def accepted(self, obj: Object) -> Object:
        """The object as the server would store it, with defaults; nothing is created."""
        answer = self.http.post(self._collection(obj), json=obj, params={"dryRun": "All"})
        assert answer.is_success, answer.text
        stored: Object = answer.json()
        return stored

    def create(self, obj: Object) -> Object:
        """Create it for real, in place of one that an earlier run left."""
        self.http.delete(f"{self._collection(obj)}/{obj['metadata']['name']}")
        answer = self.http.post(self._collection(obj), json=obj)
        assert answer.is_success, answer.text
        stored: Object = answer.json()
        return stored

    def update_status(self, obj: Object) -> Object:
        """Write the status of an existing object, whoever else has written it meanwhile; what is stored then."""
        answer = self.http.patch(
            f"{self._collection(obj)}/{obj['metadata']['name']}/status",
            json={"status": obj["status"]},
            headers={"Content-Type": "application/merge-patch+json"},
        )
        assert answer.is_success, answer.text
        stored: Object = answer.json()
        return stored

    def delete(self, obj: Object) -> None:
        """Delete it."""
        answer = self.http.delete(f"{self._collection(obj)}/{obj['metadata']['name']}")
        assert answer.is_success, answer.text

    def _collection(self, obj: Object) -> str:
        names = {
            "ModelDeployment": f"namespaces/{self.namespace}/modeldeployments",
            "ModelRevision": f"namespaces/{self.namespace}/modelrevisions",
            "ModelRuntime": "modelruntimes",
            "RolloutPolicy": "rolloutpolicies",
        }
        return f"/apis/{obj['apiVersion']}/{names[obj['kind']]}"


def _complaints(answer: httpx.Response) -> list[Complaint]:
    if answer.is_success:
        return []
    said = answer.json()
    causes = said.get("details", {}).get("causes", [])
    if not causes:  # strict decoding and the like: one message, no fields
        return [Complaint(field="", message=said["message"])]
    return [Complaint(field=cause.get("field", ""), message=cause["message"]) for cause in causes]


@pytest.fixture(scope="session")
def crds(bare: Cluster) -> Cluster:
    """The bare cluster with the CRDs of this checkout, established."""
    bare.kubectl("apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", CRDS)
    bare.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", CRDS)
    return bare


@pytest.fixture(scope="session")
def admission(crds: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admission]:
    """Asks the bare API server, in a namespace of its own: one that an earlier run deleted may still be going."""
    namespace = f"admission-{uuid.uuid4().hex[:8]}"
    crds.kubectl("create", "namespace", namespace)
    with connected(crds, tmp_path_factory.mktemp("tls")) as http:
        yield Admission(http, namespace)
    crds.kubectl("delete", "namespace", namespace, "--wait=false")


def connected(cluster: Cluster, folder: Path) -> httpx.Client:
    """A client of the cluster's API server, as its administrator; keeps certificates in `folder`."""
    context = _tls(cluster.kubeconfig, folder)
    return httpx.Client(base_url=cluster.server, verify=context, params={"fieldValidation": "Strict"}, timeout=30)


def _tls(kubeconfig: Path, folder: Path) -> ssl.SSLContext:
    """The kubeconfig's certificates; Python reads a client's certificate from files only."""
    said = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    user, cluster = said["users"][0]["user"], said["clusters"][0]["cluster"]
    for key in ("client-certificate-data", "client-key-data"):
        (folder / key).write_bytes(base64.b64decode(user[key]))
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    context.load_cert_chain(folder / "client-certificate-data", folder / "client-key-data")
    return context
