"""What the end-to-end tests share: the operator installed by Helm from this checkout, a namespace with models, and users."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hack.cluster import clients, containerfile, images
from hack.cluster.fixtures import WholeCluster
from hack.demo import load, models, place, sight

CHART = place.ROOT / "charts" / "pointsman"
NAMESPACE = "e2e"

Json = dict[str, Any]


@dataclass(frozen=True)
class Installed:
    """A cluster with the operator in it."""

    cluster: WholeCluster

    def apply(self, *objects: Json) -> None:
        """`kubectl apply` of objects in the tests' namespace."""
        for one in objects:
            one["metadata"].setdefault("namespace", NAMESPACE)
            self.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(one))

    def get(self, kind: str, name: str) -> Json:
        """An object of the tests' namespace."""
        found: Json = json.loads(self.cluster.kubectl("get", kind, name, "-n", NAMESPACE, "-o", "json"))
        return found

    def pods(self, **labels: str) -> dict[str, str]:
        """Names and uids of the pods with these labels."""
        selector = ",".join(f"pointsman.dev/{key}={value}" for key, value in labels.items())
        found = json.loads(self.cluster.kubectl("get", "pods", "-n", NAMESPACE, "-l", selector, "-o", "json"))
        return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in found["items"]}

    def until(self, name: str, holds: Callable[[Json], bool], *, seconds: float) -> Json:
        """The ModelDeployment as soon as something holds of it."""
        end = time.monotonic() + seconds
        while True:
            found = self.get("modeldeployment", name)
            if holds(found):
                return found
            if time.monotonic() > end:
                pytest.fail(f"{name} after {seconds:g} s: {json.dumps(found.get('status'), indent=1)}")
            time.sleep(0.5)

    def until_ready(self, name: str) -> Json:
        """The ModelDeployment as soon as its version serves."""
        return self.until(name, lambda found: condition(found, "UpToDate")["status"] == "True", seconds=120)

    def gateway_requests(self) -> dict[str, int]:
        """How many requests the gateway has sent to each Service of the tests' namespace that it knows now."""
        where, which = "envoy-gateway-system", "gateway.envoyproxy.io/owning-gateway-name=models"
        found = json.loads(self.cluster.kubectl("get", "pods", "-n", where, "-l", which, "-o", "json"))
        (envoy,) = [pod["metadata"]["name"] for pod in found["items"]]
        stats = f"/api/v1/namespaces/{where}/pods/{envoy}:19001/proxy/stats/prometheus?filter=upstream_rq_total"
        return sight.requests_by_service(self.cluster.kubectl("get", "--raw", stats), NAMESPACE)

    async def while_users_ask(
        self, name: str, work: Callable[[], Awaitable[None]], *, rate: float, bodies: Sequence[bytes] = ()
    ) -> load.Generator:
        """Do something while users ask a model so many times a second; what they got."""
        url = f"http://{self.cluster.gateway_address}/v2/models/{name}/infer"
        async with load.client() as client:
            users = load.Generator(client, url=url, host=host(name), bodies=bodies or models.requests(), rate=rate)
            asking = asyncio.create_task(users.run())
            try:
                await work()
            finally:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
        return users


def host(name: str) -> str:
    """The host name of a model behind the gateway."""
    return f"{name}.e2e.example.com"


def condition(deployment: Json, kind: str) -> Json:
    """A condition; Unknown where it was not written yet."""
    written = deployment.get("status", {}).get("conditions", [])
    unknown: Json = {"status": "Unknown", "reason": "", "message": ""}
    return next((one for one in written if one["type"] == kind), unknown)


@pytest.fixture(scope="session")
def installed(cluster: WholeCluster) -> Iterator[Installed]:
    """The operator, its image built and its chart installed as the README says."""
    reference = place.operator_reference()
    recipe = containerfile.Recipe(reference, place.ROOT / "Containerfile", place.ROOT)
    cluster.load_image(containerfile.build(recipe, base=images.build(images.python_base())))
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", CHART / "crds")
    values = [word for path, value in place.values(reference).items() for word in ("--set-string", f"{path}={value}")]
    where = ("--namespace=pointsman", "--create-namespace", "--wait", "--timeout=2m")
    clients.helm(cluster.kubeconfig, "upgrade", "--install", "pointsman", CHART, *where, *values)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
    yield Installed(cluster)
    cluster.kubectl("delete", "namespace", NAMESPACE, "--timeout=120s")
    clients.helm(cluster.kubeconfig, "uninstall", "pointsman", "--namespace=pointsman", "--wait")


@pytest.fixture(scope="session")
def trained() -> dict[str, models.Model]:
    """The demo's models, by version."""
    return {model.version: model for model in models.train()}


@pytest.fixture(scope="session")
def model_files(tmp_path_factory: pytest.TempPathFactory, trained: dict[str, models.Model]) -> Path:
    """A folder on this machine, which is the cluster's node: a model file, and others below it.

    `failing` fails on some rows; `wrong` answers some otherwise than `right`, of which `retrained` is an equal.
    """
    folder = tmp_path_factory.mktemp("models")
    folder.chmod(0o755)
    folder.parent.chmod(0o755)
    folder.parent.parent.chmod(0o755)
    (folder / "model.joblib").write_bytes(trained["v1"].file)
    others = {
        "failing": trained["v4"],
        "right": trained["v2"],
        "wrong": trained["v7"],
        "retrained": models.retrained("v8", models.Cells.load()),
    }
    for name, model in others.items():
        (folder / name).mkdir()
        (folder / name / "model.joblib").write_bytes(model.file)
    return folder
