"""KServe's model server under load: its own metrics time the versions, the gateway counts what failed, and no probe is an inference."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from hack.cluster import images
from hack.demo import load, models
from tests.e2e.conftest import CHART, NAMESPACE, Installed
from tests.e2e.test_storage import web_server
from tests.sizes import FULL

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(not FULL, reason="an image of its own to build: make test-full")]

NAME = "kserved"
HOST = "kserved.e2e.example.com"
RATE = 60.0  # requests a second

Json = dict[str, Any]

RUNTIME: Json = yaml.safe_load((CHART / "runtimes" / "kserve-sklearn.yaml").read_text(encoding="utf-8"))["spec"]
PROFILE: Json = RUNTIME["metrics"]


def modeldeployment(version: str, uri: str) -> Json:
    errors = {"name": "failures", "signal": "Errors", "source": "Gateway", "tolerance": {"ratio": "1.5", "points": "2"}}
    latency = {
        "name": "latency",
        "signal": "Latency",
        "tolerance": {"ratio": "4"},
        "harm": {"ratio": "4"},
        "quantiles": ["0.5"],
    }
    return {
        "apiVersion": "pointsman.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": NAME},
        "spec": {
            "model": {"version": version, "storageUri": uri},
            "runtime": "kserve-sklearn",
            "replicas": 2,
            "traffic": {"parentRefs": [{"name": "models", "namespace": "envoy-gateway-system"}], "hostnames": [HOST]},
            "rollout": {
                "steps": [{"canary": {"percent": 50}, "hold": "10s"}],
                "gates": [errors, latency],
                "interval": "5s",
                "warmup": {"duration": "3s", "requests": 10},
                "capacity": {"maxSurge": 1},
                "progressDeadline": "90s",
                "keepPrevious": "0s",
            },
        },
    }


def bodies() -> list[bytes]:
    """The demo's requests as version 1 of the protocol writes them."""
    rows = [json.loads(body)["inputs"][0]["data"] for body in models.requests()]
    return [json.dumps({"instances": [row]}).encode() for row in rows]


def timed(address: str) -> float:
    """How many inferences a pod has in the histogram of its profile."""
    histogram = PROFILE["latency"]["histogram"]
    text = httpx.get(f"http://{address}:8080{PROFILE['path']}").text
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(f"{histogram}_count{{"))


def probe(address: str) -> None:
    """Everything that asks a pod without asking its model."""
    (container,) = RUNTIME["template"]["spec"]["containers"]
    paths = {container[kind]["httpGet"]["path"] for kind in ("startupProbe", "readinessProbe", "livenessProbe")}
    for path in (*paths, f"/v1/models/{NAME}", f"/v2/models/{NAME}/ready"):
        assert httpx.get(f"http://{address}:8080{path}").status_code == httpx.codes.OK


async def test_a_version_is_promoted_by_its_own_histogram_and_the_gateways_counters(
    installed: Installed, model_files: Path
) -> None:
    await asyncio.to_thread(installed.cluster.load_image, images.build(images.kserve()))
    uri = web_server(installed, model_files)
    installed.apply(modeldeployment("1", uri))
    await asyncio.to_thread(installed.until_ready, NAME)
    url = f"http://{installed.cluster.gateway_address}/v1/models/{NAME}:predict"

    async def until(holds: Callable[[Json], bool]) -> Json:
        found = await asyncio.to_thread(installed.until, NAME, holds, seconds=150)
        status: Json = found["status"]
        return status

    async with load.client() as client:
        users = load.Generator(client, url=url, host=HOST, bodies=bodies(), rate=RATE)
        asking = asyncio.create_task(users.run())
        try:
            installed.apply(modeldeployment("2", uri))
            status = await until(lambda found: bool(found["status"].get("history")))
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
    assert status["history"][0]["outcome"] == "Promoted", status
    assert users.traffic.answered > 0
    assert users.traffic.failed == 0, (users.traffic, users.failures, users.last_failure, status["history"])

    selector = f"pointsman.dev/revision={status['stable']['revision']}"
    pods = json.loads(installed.cluster.kubectl("get", "pods", "-n", NAMESPACE, "-l", selector, "-o", "json"))["items"]
    for address in (pod["status"]["podIP"] for pod in pods):
        before = timed(address)
        assert before > 0
        probe(address)
        assert timed(address) == before
    installed.cluster.kubectl("delete", "modeldeployment", NAME, "-n", NAMESPACE, "--timeout=60s")
