"""Specs that the stories about rollouts start from, and a model that serves already."""

from __future__ import annotations

from typing import Any

from tests.rollout.world import World

LEAST = 0.0001
"""The share that a candidate begins with, until the gateway knows it, and that stable ends with, until the gateway has let it go."""

MLSERVER = {
    "formats": [{"name": "sklearn", "autoSelect": True}],
    "port": "http",
    "template": {
        "spec": {
            "containers": [
                {
                    "name": "model",
                    "image": "mlserver:1",
                    "ports": [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 8082}],
                }
            ]
        }
    },
    "metrics": {
        "port": "metrics",
        "path": "/metrics",
        "requests": {"counter": "requests_total", "failed": {"status_code": "5.."}},
        "latency": {"histogram": "duration_seconds"},
    },
}


def spec(**changes: Any) -> dict[str, Any]:
    """A ModelDeployment of four replicas behind a Gateway, with quick steps."""
    base: dict[str, Any] = {
        "model": {"version": "1", "format": {"name": "sklearn"}, "storageUri": "pvc://models/churn"},
        "replicas": 4,
        "traffic": {"parentRefs": [{"name": "models", "namespace": "gw"}], "hostnames": ["churn.example.com"]},
        "rollout": {
            "steps": [
                {"canary": {"percent": 5}, "hold": "30s"},
                {"canary": {"percent": 25}, "hold": "30s"},
                {"canary": {"percent": 50}, "hold": "30s"},
            ],
            "gates": [
                {"name": "errors", "signal": "Errors", "tolerance": {"ratio": "1.5", "points": "0.5"}},
                {"name": "latency", "signal": "Latency", "tolerance": {"ratio": "1.5"}, "quantiles": ["0.5", "0.9"]},
            ],
            "warmup": {"duration": "10s", "requests": 20},
            "progressDeadline": "2m",
            "keepPrevious": "5m",
            "deadline": "1h",
        },
    }
    return {**base, **changes}


def rollout(**changes: Any) -> dict[str, Any]:
    """The same with changes under `rollout`."""
    base = spec()
    return {**base, "rollout": {**base["rollout"], **changes}}


def serving(**options: Any) -> World:
    """A world whose first version serves."""
    world = World(**{"spec": spec(), "runtimes": {"mlserver": MLSERVER}, **options})
    assert world.run(30, until=lambda w: w.status.stable is not None and w.condition("UpToDate")[0] == "True")
    world.run(20)
    world.failed_requests = 0  # those before it was there
    world.writes.clear()
    return world
