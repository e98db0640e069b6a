"""What the demo reads out of the cluster's answers: the state of the rollout, its end, and the gateway's counters. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

_COUNTER = re.compile(
    r'^envoy_cluster_upstream_rq_total\{[^}]*envoy_cluster_name="service/([^/]+)/([^/]+)/[^"]*"[^}]*\} (\d+)'
)


@dataclass(frozen=True)
class Arm:
    """One arm of a rollout."""

    version: str
    revision: str
    replicas: int
    ready: int


@dataclass(frozen=True)
class Gate:
    """What a gate of the running attempt says."""

    name: str
    verdict: str
    message: str


@dataclass(frozen=True)
class State:
    """A ModelDeployment at one moment, as far as the demo shows it."""

    stable: Arm | None = None
    candidate: Arm | None = None
    attempt: int = 0
    phase: str = ""
    step: int = 0
    percent: float = 0.0
    mirrored: float = 0.0  # of the requests, percent, that the candidate answers copies of
    message: str = ""
    ready: bool = False
    blind: str = ""  # why not every required gate has fresh data, where that is so
    drifted: str = ""  # what left its norm, in the operator's words
    gates: tuple[Gate, ...] = ()


@dataclass(frozen=True)
class End:
    """How a version's attempt ended, in the operator's own words."""

    outcome: str
    gate: str
    reason: str
    message: str


def state(deployment: Json, revision: Json | None) -> State:
    """The state of a ModelDeployment and, where it has a candidate, of the candidate's ModelRevision."""
    status: Json = deployment.get("status") or {}
    rollout: Json = status.get("rollout") or {}
    return State(
        stable=_arm(status.get("stable")),
        candidate=_arm(status.get("candidate")),
        attempt=rollout.get("attempt", 0),
        phase=rollout.get("phase", ""),
        step=rollout.get("step", 0),
        percent=float(rollout.get("percent", 0)),
        mirrored=float(rollout.get("shadowPercent", 0)),
        message=rollout.get("message", "") or _words(status, "UpToDate"),
        ready=_condition(status, "Ready").get("status") == "True",
        blind=_words(status, "Observed") if _condition(status, "Observed").get("status") == "False" else "",
        drifted=_words(status, "Drifted") if _condition(status, "Drifted").get("status") == "True" else "",
        gates=_gates(revision),
    )


def end(deployment: Json, version: str) -> End | None:
    """How the newest attempt of a version ended; None while it has not."""
    status: Json = deployment.get("status") or {}
    for entry in status.get("history") or ():
        if entry["version"] == version:
            return End(entry["outcome"], entry.get("gate") or "", entry["reason"], entry.get("message", ""))
    return None


def requests_by_service(text: str, namespace: str) -> dict[str, int]:
    """Envoy's metrics -> how many requests it has sent to each Service of a namespace since the Service is known."""
    found = (_COUNTER.match(line) for line in text.splitlines())
    return {match[2]: int(match[3]) for match in found if match and match[1] == namespace}


def _arm(arm: Json | None) -> Arm | None:
    if not arm:
        return None
    return Arm(arm["version"], arm["revision"], arm.get("replicas", 0), arm.get("readyReplicas", 0))


def _gates(revision: Json | None) -> tuple[Gate, ...]:
    attempts = ((revision or {}).get("status") or {}).get("attempts") or ()
    running: Json = max(attempts, key=lambda attempt: int(attempt["attempt"]), default={})
    return tuple(Gate(gate["name"], gate["verdict"], gate.get("message", "")) for gate in running.get("gates") or ())


def _condition(status: Json, name: str) -> Json:
    return next((it for it in status.get("conditions") or () if it["type"] == name), {})


def _words(status: Json, name: str) -> str:
    return str(_condition(status, name).get("message", ""))
