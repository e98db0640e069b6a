"""The models: which pods run, and what each would have counted of the requests that the gateway sends it."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass

from pointsman.api.names import CONTAINER, REVISION
from tests.api.operator_gateway import Gateway
from tests.api.operator_server import Object

REQUESTS = 4000
"""Users' requests to each model between two readings of its counters."""

FAILURES = {"bad": 0.2}
"""By a word in the version's name: the share of requests that fails."""
USUAL = 0.005


@dataclass
class Pod:
    """A ready pod of a model server, and its counters since it started."""

    name: str
    revision: str
    version: str
    requests: int = 0

    @property
    def failed(self) -> int:
        """How many of its requests failed."""
        return int(self.requests * next((share for word, share in FAILURES.items() if word in self.version), USUAL))


class Models:
    """All pods of all models in a namespace. A pod that is gone takes its counters with it."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._lock = threading.Lock()
        self._pods: dict[str, Pod] = {}
        self._totals: dict[str, list[int]] = defaultdict(list)

    def seen(self, change: str, obj: Object) -> None:
        """A pod has changed."""
        name, labels = obj["metadata"]["name"], obj["metadata"].get("labels", {})
        conditions = obj.get("status", {}).get("conditions", [])
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
        with self._lock:
            if change == "DELETED" or not ready or REVISION not in labels:
                self._pods.pop(name, None)
            elif name not in self._pods:
                self._pods[name] = Pod(name, labels[REVISION], _version(obj))

    def serve(self) -> list[Pod]:
        """Let users send some requests, then read everybody's counters."""
        split = self._gateway.split()
        with self._lock:
            for weights in split.values():
                for revision, weight in weights.items():
                    self._send(revision, REQUESTS * weight // max(1, sum(weights.values())))
            served: dict[str, int] = defaultdict(int)
            for pod in self._pods.values():
                served[pod.revision] += pod.requests
            for revision, total in served.items():
                self._totals[revision].append(total)
            return [Pod(p.name, p.revision, p.version, p.requests) for p in self._pods.values()]

    def pods(self) -> list[Pod]:
        """Who runs now."""
        with self._lock:
            return list(self._pods.values())

    def totals(self, revision: str) -> list[int]:
        """What a revision's counters came to, at each reading."""
        with self._lock:
            return list(self._totals[revision])

    def _send(self, revision: str, requests: int) -> None:
        pods = [pod for pod in self._pods.values() if pod.revision == revision]
        for index, pod in enumerate(pods):
            pod.requests += requests // len(pods) + (1 if index < requests % len(pods) else 0)


def _version(pod: Object) -> str:
    container = next(c for c in pod["spec"]["containers"] if c["name"] == CONTAINER)
    version: str = next(env["value"] for env in container["env"] if env["name"] == "MODEL_VERSION")
    return version
