"""A gateway that only answers: it accepts or refuses HTTPRoutes and knows how it would split their requests."""

from __future__ import annotations

import threading
from typing import Any

from pointsman.api.names import DEPLOYMENT, REVISION
from pointsman.cluster.kinds import ROUTE, SERVICE
from tests.api.operator_server import Object, Server

_CONTROLLER = "test.pointsman.dev/gateway"


class Gateway:
    """Answers every HTTPRoute of a namespace, as of its newest generation."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._refused: dict[str, tuple[str, str]] = {}
        self._obeyed: dict[str, dict[str, int]] = {}
        self._models: dict[str, str] = {}

    def refuse(self, name: str, reason: str, message: str) -> None:
        """Refuse a route from now on, for a reason; it is served as it was obeyed last."""
        with self._lock:
            self._refused[name] = (reason, message)
        self._answer_again(name)

    def accept(self, name: str) -> None:
        """Refuse it no longer."""
        with self._lock:
            self._refused.pop(name, None)
        self._answer_again(name)

    def split(self) -> dict[str, dict[str, int]]:
        """By route, the weights of its backends as they are obeyed now; of the model's own Service, that of whom it leads to."""
        with self._lock:
            obeyed = {name: dict(weights) for name, weights in self._obeyed.items()}
            models = dict(self._models)
        for name, weights in obeyed.items():
            if (plain := weights.pop(models[name], 0)) and (behind := self._behind(models[name])) is not None:
                weights[behind] = weights.get(behind, 0) + plain
        return obeyed

    def _behind(self, model: str) -> str | None:
        """The revision that the Service of a ModelDeployment's name leads to."""
        service = self._server.get(SERVICE, model)
        return None if service is None else service["spec"]["selector"].get(REVISION)

    def seen(self, change: str, route: Object) -> None:
        """A route has changed."""
        if DEPLOYMENT not in route["metadata"].get("labels", {}):
            return
        name = route["metadata"]["name"]
        if change == "DELETED":
            with self._lock:
                self._obeyed.pop(name, None)
            return
        with self._lock:
            refusal = self._refused.get(name)
            if refusal is None:
                backends = route["spec"]["rules"][0].get("backendRefs", [])
                self._models[name] = route["metadata"]["labels"][DEPLOYMENT]
                self._obeyed[name] = {backend["name"]: backend.get("weight", 1) for backend in backends}
        parents = [_answer(ref, route["metadata"]["generation"], refusal) for ref in route["spec"]["parentRefs"]]
        if _said(route.get("status", {}).get("parents", [])) != _said(parents):
            path = ROUTE.path(self._server.namespace, name, "status")
            body = {**route, "status": {"parents": parents}}
            self._server.http.put(path, json=body)  # a conflict: the newer one is on its way to us

    def _answer_again(self, name: str) -> None:
        route = self._server.get(ROUTE, name)
        if route is not None:
            self.seen("MODIFIED", route)


def _answer(parent: Object, generation: int, refusal: tuple[str, str] | None) -> Object:
    def says(kind: str, status: str, reason: str, message: str) -> Object:
        return {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "observedGeneration": generation,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }

    accepted = says("Accepted", "True", "Accepted", "") if refusal is None else says("Accepted", "False", *refusal)
    return {
        "controllerName": _CONTROLLER,
        "parentRef": parent,
        "conditions": [accepted, says("ResolvedRefs", "True", "ResolvedRefs", "")],
    }


def _said(parents: list[Object]) -> Any:
    return [[(c["type"], c["reason"], c["observedGeneration"]) for c in parent["conditions"]] for parent in parents]
