"""The unit of all latencies: one server-side apply that changes an HTTPRoute, by a bare client on a warm connection."""

from __future__ import annotations

import random
import time

from bench.lab.api import Api, Credentials, Json
from bench.lab.figures import quantile

APPLIES = 500
_WARMUP = 20


def route(namespace: str, weight: int) -> Json:
    """An HTTPRoute as the operator's are, of a Gateway that nobody plays."""
    backends = [
        {"name": name, "port": 8080, "weight": share}
        for name, share in (("unit-stable", 10_000 - weight), ("unit-candidate", weight))
    ]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "unit", "namespace": namespace},
        "spec": {
            "parentRefs": [{"name": "unit"}],
            "hostnames": ["unit.example.com"],
            "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": backends}],
        },
    }


async def seconds(credentials: Credentials, namespace: str, *, seed: int, applies: int = APPLIES) -> list[float]:
    """How long each of so many changing applies took."""
    draw = random.Random(seed)
    taken: list[float] = []
    before = -1
    async with Api.open(credentials, connections=1) as api:
        for number in range(_WARMUP + applies):
            weight = draw.choice([one for one in range(0, 10_001, 100) if one != before])
            begun = time.perf_counter()
            await api.apply(route(namespace, weight))
            if number >= _WARMUP:
                taken.append(time.perf_counter() - begun)
            before = weight
    return taken


def median(taken: list[float]) -> float:
    """The unit."""
    return quantile(taken, 0.5)
