"""The objects of a benchmark: complete ModelDeployments (2 replicas, HTTPRoute, policy with Errors and Latency) and their surroundings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.lab import gateway
from bench.lab.api import Json

API_VERSION = "pointsman.dev/v1alpha1"
PORT = 8080
REQUESTS = "bench_requests_total"
LATENCY = "bench_request_seconds"


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How quickly a rollout goes."""

    hold: str
    interval: str
    warmup: str
    keep: str = "30m"


def runtime(name: str) -> Json:
    """A ModelRuntime whose pods only need to be pretended, and whose metrics are those of the exporter."""
    container = {
        "name": "model",
        "image": "example.invalid/model:1",
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
        "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}},
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelRuntime",
        "metadata": {"name": name},
        "spec": {
            "formats": [{"name": "bench"}],
            "template": {"spec": {"containers": [container]}},
            "port": "http",
            "metrics": {
                "port": "http",
                "requests": {"counter": REQUESTS, "failed": {"code": "5.."}},
                "latency": {"histogram": LATENCY, "unit": "s"},
            },
        },
    }


ERRORS: Json = {"name": "errors", "signal": "Errors", "tolerance": {"ratio": "1.5", "points": "0.5"}}
LATENCY_GATE: Json = {
    "name": "latency",
    "signal": "Latency",
    "tolerance": {"ratio": "1.5"},
    "quantiles": ["0.5", "0.95"],
}
TAIL: Json = {"name": "tail", "signal": "Latency", "tolerance": {"ratio": "2"}, "quantiles": ["0.99"]}


def policy(name: str, pace: Pace, gates: Sequence[Json] = (ERRORS, LATENCY_GATE)) -> Json:
    """A RolloutPolicy of three canary steps, with Errors and Latency unless other gates are given."""
    return {
        "apiVersion": API_VERSION,
        "kind": "RolloutPolicy",
        "metadata": {"name": name},
        "spec": {
            "steps": [{"canary": {"percent": share}, "hold": pace.hold} for share in (5, 25, 50)],
            "gates": list(gates),
            "interval": pace.interval,
            "warmup": {"duration": pace.warmup, "requests": 50},
            "keepPrevious": pace.keep,
        },
    }


def deployment(name: str, namespace: str, *, runtime: str, policy: str, version: str = "1") -> Json:
    """A complete ModelDeployment."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "model": {"version": version},
            "runtime": runtime,
            "replicas": 2,
            "traffic": {
                "parentRefs": [{"name": gateway.NAME, "namespace": namespace}],
                "hostnames": [f"{name}.example.com"],
            },
            "rollout": {"policy": policy},
        },
    }


def version(number: int) -> Json:
    """The patch that asks for another version."""
    return {"spec": {"model": {"version": str(number)}}}


def abort(revision: str, attempt: int) -> Json:
    """The patch that aborts an attempt."""
    return {"metadata": {"annotations": {"pointsman.dev/abort": f"{revision}/{attempt}"}}}


def condition(obj: Json, kind: str) -> Json:
    """A condition of an object; empty where it has none yet, or only of an older spec."""
    for one in obj.get("status", {}).get("conditions", ()):
        if one["type"] == kind and one.get("observedGeneration") == obj["metadata"]["generation"]:
            found: Json = one
            return found
    return {}


def settled(obj: Json) -> bool:
    """Whether the version of the spec serves alone."""
    return all(condition(obj, kind).get("status") == "True" for kind in ("UpToDate", "Ready"))


def serves(obj: Json, number: int) -> bool:
    """Whether this version serves alone; `settled` alone may still be the answer to the spec before."""
    stable = obj.get("status", {}).get("stable") or {}
    return settled(obj) and stable.get("version") == str(number)
