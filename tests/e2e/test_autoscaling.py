"""A model under growing load: its HPA counts the pods by a metric from Prometheus, and a rollout in the middle loses no request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hack.cluster import addons, images
from hack.demo import load, models
from pointsman.rollout import capacity
from pointsman.rollout.capacity import Room
from tests.e2e.conftest import NAMESPACE, Installed
from tests.e2e.test_storage import web_server

pytestmark = pytest.mark.cluster

NAME = "elastic"
HOST = "elastic.e2e.example.com"
EACH = 7  # requests a second that the HPA keeps a pod at
RATE = 16.0
MOST, SURGE = 3, 1
SHARE = 50

Json = dict[str, Any]


def modeldeployment(version: str, uri: str) -> Json:
    requests = {"metric": {"name": "requests_per_second"}, "target": {"type": "AverageValue", "averageValue": EACH}}
    return {
        "apiVersion": "pointsman.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": NAME},
        "spec": {
            "model": {"version": version, "format": {"name": "sklearn"}, "storageUri": uri},
            "autoscaling": {"minReplicas": 1, "maxReplicas": MOST, "metrics": [{"type": "Pods", "pods": requests}]},
            "traffic": {"parentRefs": [{"name": "models", "namespace": "envoy-gateway-system"}], "hostnames": [HOST]},
            "rollout": {
                "steps": [{"canary": {"percent": SHARE}, "hold": "10s"}],
                "gates": [{"name": "errors", "signal": "Errors", "tolerance": {"ratio": "1.5", "points": "5"}}],
                "interval": "5s",
                "warmup": {"duration": "2s", "requests": 10},
                "capacity": {"maxSurge": SURGE},
                "progressDeadline": "120s",
                "keepPrevious": "0s",
            },
        },
    }


@pytest.fixture(scope="module")
def adapter(installed: Installed) -> None:
    """Metrics from Prometheus for HPAs, as long as the cluster lives."""
    installed.cluster.load_image(images.build(images.adapter()))
    addons.install_adapter(installed.cluster.kubeconfig)


def autoscalers(installed: Installed) -> dict[str, tuple[int, int]]:
    """minReplicas and maxReplicas of every HPA of the namespace."""
    found = json.loads(installed.cluster.kubectl("get", "hpa", "-n", NAMESPACE, "-o", "json"))["items"]
    return {one["metadata"]["name"]: (one["spec"]["minReplicas"], one["spec"]["maxReplicas"]) for one in found}


def owners_of_replicas(installed: Installed, revision: str) -> set[str]:
    """The field managers that have a Deployment's number of pods by server-side apply."""
    words = ("get", "deployment", revision, "-n", NAMESPACE, "--show-managed-fields", "-o", "json")
    entries = json.loads(installed.cluster.kubectl(*words))["metadata"]["managedFields"]
    return {
        entry["manager"]
        for entry in entries
        if entry["operation"] == "Apply" and "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    }


def pods_asked(installed: Installed) -> int:
    """What all Deployments of the model ask for together."""
    words = ("get", "deployments", "-n", NAMESPACE, "-l", f"pointsman.dev/deployment={NAME}", "-o", "json")
    return sum(one["spec"]["replicas"] for one in json.loads(installed.cluster.kubectl(*words))["items"])


@pytest.mark.usefixtures("adapter")
async def test_a_rollout_while_the_load_grows(installed: Installed, model_files: Path) -> None:
    uri = web_server(installed, model_files)
    installed.apply(modeldeployment("1", uri))
    stable = (await asyncio.to_thread(installed.until_ready, NAME))["status"]["stable"]["revision"]
    assert autoscalers(installed) == {stable: (1, MOST)}
    counts: list[int] = []

    async def count() -> None:
        while True:
            counts.append(await asyncio.to_thread(pods_asked, installed))
            await asyncio.sleep(1)

    async def until(holds: Callable[[Json], bool]) -> Json:
        return (await asyncio.to_thread(installed.until, NAME, holds, seconds=240))["status"]  # type: ignore[no-any-return]

    async def roll_out() -> Json:
        await until(lambda found: found["status"]["stable"]["replicas"] > 1)  # it scales up, and meanwhile:
        installed.apply(modeldeployment("2", uri))
        halfway = await until(lambda found: found["status"].get("rollout", {}).get("percent") == SHARE)
        room = Room(replicas=halfway["rollout"]["replicas"], surge=SURGE, unavailable=0, ceiling=MOST)
        rule, most = capacity.at_share(room, 100 * SHARE), capacity.most_at_share(room, 100 * SHARE)
        both = {
            stable: (rule.stable, max(rule.stable, most.stable)),
            halfway["candidate"]["revision"]: (rule.candidate, max(rule.candidate, most.candidate)),
        }
        await until(lambda _: autoscalers(installed) == both)
        assert "pointsman" not in owners_of_replicas(installed, stable)
        return await until(lambda found: bool(found["status"].get("history")))

    url = f"http://{installed.cluster.gateway_address}/v2/models/{NAME}/infer"
    async with load.client() as client:
        users = load.Generator(client, url=url, host=HOST, bodies=models.requests(), rate=RATE)
        aside = [asyncio.create_task(work) for work in (users.run(), count())]
        try:
            found = await roll_out()
        finally:
            for task in aside:
                task.cancel()
            await asyncio.gather(*aside, return_exceptions=True)
    assert found["history"][0]["outcome"] == "Promoted", found
    assert autoscalers(installed) == {found["stable"]["revision"]: (found["keptPods"]["replicas"], MOST)}
    assert max(counts) <= MOST + SURGE
    assert min(counts) >= 1
    assert users.traffic.answered > 0
    assert users.traffic.failed == 0, (users.traffic, users.failures)
    installed.cluster.kubectl("delete", "modeldeployment", NAME, "-n", NAMESPACE, "--timeout=60s")
