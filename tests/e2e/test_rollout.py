"""A rollout that the gateway's own metrics decide, under load: no user sees a failure of the switching, no model loads twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import NAMESPACE, Installed, host
from tests.e2e.test_storage import web_server

pytestmark = pytest.mark.cluster

NAME = "cells"
RATE = 60.0  # requests a second


def modeldeployment(version: str, uri: str) -> dict[str, Any]:
    return {
        "apiVersion": "pointsman.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": NAME},
        "spec": {
            "model": {"version": version, "format": {"name": "sklearn"}, "storageUri": uri},
            "replicas": 2,
            "traffic": {
                "parentRefs": [{"name": "models", "namespace": "envoy-gateway-system"}],
                "hostnames": [host(NAME)],
            },
            "rollout": {
                "steps": [{"canary": {"percent": 50}, "hold": "10s"}],
                "gates": [
                    {
                        "name": "failures",
                        "signal": "Errors",
                        "source": "Gateway",
                        "tolerance": {"ratio": "1.5", "points": "2"},
                    }
                ],
                "interval": "5s",
                "warmup": {"duration": "3s", "requests": 10},
                "capacity": {"maxSurge": 1},
                "progressDeadline": "60s",
                "keepPrevious": "0s",
            },
        },
    }


async def _until(installed: Installed, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    return await asyncio.to_thread(installed.until, NAME, holds, seconds=150)


def _ended(found: dict[str, Any], version: str) -> bool:
    history = found["status"].get("history", [])
    return bool(history) and history[0]["version"] == version


async def test_a_good_version_is_promoted_and_a_bad_one_taken_back(installed: Installed, model_files: Path) -> None:
    uri = web_server(installed, model_files)
    installed.apply(modeldeployment("1", uri))
    installed.until_ready(NAME)

    async def promote() -> None:
        installed.apply(modeldeployment("2", uri))
        halfway = await _until(installed, lambda found: found["status"].get("rollout", {}).get("percent") == 50)
        revision = halfway["status"]["candidate"]["revision"]
        loaded = installed.pods(revision=revision)
        found = await _until(installed, lambda found: _ended(found, "2"))
        assert found["status"]["history"][0]["outcome"] == "Promoted", found["status"]
        assert found["status"]["stable"]["revision"] == revision
        assert loaded.items() <= installed.pods(revision=revision).items(), "a pod that had the model loaded is gone"

    users = await installed.while_users_ask(NAME, promote, rate=RATE)
    assert users.traffic.answered > 0
    assert users.traffic.failed == 0, users.failures

    async def take_back() -> None:
        installed.apply(modeldeployment("3", uri.replace("/model.joblib", "/failing/model.joblib")))
        found = await _until(installed, lambda found: _ended(found, "3"))
        last = found["status"]["history"][0]
        assert (last["outcome"], last.get("gate")) == ("RolledBack", "failures"), found["status"]
        assert found["status"]["stable"]["version"] == "2"
        assert "requests to the candidate failed" in last["message"]

    await installed.while_users_ask(NAME, take_back, rate=RATE)
    installed.cluster.kubectl("delete", "modeldeployment", NAME, "-n", NAMESPACE, "--timeout=60s")
