"""Stands for a gateway controller: says of every HTTPRoute of its Gateway that the newest generation is obeyed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from bench.lab.answering import answering
from bench.lab.api import Api, Json, Mirror

NAME = "models"
CONTROLLER = "bench.pointsman.dev/gateway"


def gateway(namespace: str) -> Json:
    """The Gateway that routes name as their parent."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "gatewayClassName": "bench",
            "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}],
        },
    }


def accepted(route: Json, now: datetime) -> Json:
    """The status of a route that the gateway obeys."""
    generation = route["metadata"]["generation"]
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": kind,
            "message": "",
            "observedGeneration": generation,
            "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        for kind in ("Accepted", "ResolvedRefs")
    ]
    parents = [
        {"parentRef": parent, "controllerName": CONTROLLER, "conditions": conditions}
        for parent in route["spec"]["parentRefs"]
    ]
    return {"status": {"parents": parents}}


def weights(route: Json) -> dict[str, int]:
    """The weight of every Service of a route."""
    backends = [backend for rule in route["spec"].get("rules", ()) for backend in rule.get("backendRefs", ())]
    return {backend["name"]: backend.get("weight", 1) for backend in backends}


def percent(route: Json, service: str) -> float:
    """The percentage of the traffic that a route sends to a Service."""
    shares = weights(route)
    return 100 * shares.get(service, 0) / max(1, sum(shares.values()))


def unanswered(route: Json) -> bool:
    """Whether a route of our Gateway has changed since it was answered."""
    if not any(parent["name"] == NAME for parent in route["spec"].get("parentRefs", ())):
        return False
    seen = [
        condition.get("observedGeneration")
        for parent in route.get("status", {}).get("parents", ())
        for condition in parent["conditions"]
    ]
    return not seen or min(seen) < route["metadata"]["generation"]


@asynccontextmanager
async def obeying(api: Api, routes: Mirror, namespace: str) -> AsyncIterator[None]:
    """Answer every route of the mirror until the end of the block."""

    async def answer(route: Json) -> None:
        patch = accepted(route, datetime.now(UTC))
        await api.merge("HTTPRoute", namespace, route["metadata"]["name"], "status", patch=patch)

    async with answering(routes, unanswered, answer):
        yield
