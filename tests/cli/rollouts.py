"""Rollouts as the API server holds them, at moments that people look at them: what the views of the command line are tested with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pointsman.api.names import DEPLOYMENT
from pointsman.api.values import API_VERSION
from pointsman.cli.model import Model, model
from pointsman.rollout.identity import revision_name

Object = dict[str, Any]

NOW = datetime(2026, 11, 21, 14, 0, 0, tzinfo=UTC)
METRICS: Object = {
    "port": 8080,
    "requests": {"counter": "requests_total", "failed": {"code": "5.."}},
    "latency": {"histogram": "request_seconds"},
}
POLICY: Object = {
    "steps": [
        {"shadow": {"percent": 20}, "hold": "5m"},
        {"canary": {"percent": 5}, "hold": "5m"},
        {"approval": {}},
        {"canary": {"percent": 50}, "hold": "5m"},
    ],
    "gates": [
        {"name": "errors", "signal": "Errors", "tolerance": {"ratio": "1.5", "points": "0.1"}, "required": True},
        {
            "name": "latency",
            "signal": "Latency",
            "tolerance": {"ratio": "1.2"},
            "quantiles": ["0.99"],
            "required": False,
        },
    ],
    "interval": "10s",
    "confidence": {"falseRollback": "1", "falsePromotion": "5"},
    "deadline": "2h",
    "whenUndecided": "Hold",
}
ERRORS: Object = {
    "name": "errors",
    "signal": "Errors",
    "verdict": "Undecided",
    "candidateRequests": 5230,
    "candidateBad": 27,
    "stableRequests": 99370,
    "stableBad": 490,
    "estimate": "1.05",
    "interval": ["0.69", "1.6"],
    "harmEvidence": "-0.84",
    "safetyEvidence": "1.3",
    "neededRequests": 8400,
    "calibration": {
        "seconds": 3600,
        "pods": 4,
        "requests": 360000,
        "bad": 1800,
        "baseRate": "0.5",
        "dispersion": "1.4",
    },
    "message": "errors: Undecided: 27 of 5,230 requests to the candidate failed (0.52 %), 490 of 99,370 to stable (0.49 %);"
    " 1.05x as often, between 0.69x and 1.6x (95 %): not yet proven to stay within 1.5x stable's rate + 0.1 points; if both"
    " are equal, about 8,400 more requests to the candidate (14 min)",
}
HARM = ERRORS | {
    "verdict": "Harm",
    "candidateBad": 131,
    "message": "errors: Harm: 131 of 5,230 requests to the candidate failed (2.5 %), 490 of 99,370 to stable (0.49 %); 5.08x as"
    " often, between 3.9x and 6.6x (95 %): proven to be over 1.25x stable's rate",
}


def at(clock: str) -> str:
    """A time of the day of NOW."""
    return f"2026-11-21T{clock}Z"


def condition(kind: str, status: str, reason: str, message: str = "") -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": at("13:50:00"),
        "observedGeneration": 2,
    }


def spec(version: str) -> Object:
    """Of the ModelDeployment that names this version."""
    return {"model": {"version": version, "format": {"name": "sklearn"}}, "runtime": "mlserver", "replicas": 4}


def arm(version: str, replicas: int, ready: int) -> Object:
    revision = revision_name("churn", spec(version))
    return {"revision": revision, "version": version, "replicas": replicas, "readyReplicas": ready}


def deployment(version: str, **status: Any) -> Object:
    """The ModelDeployment `ml/churn`, which names this version."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelDeployment",
        "metadata": {"namespace": "ml", "name": "churn", "creationTimestamp": "2026-11-09T10:00:00Z", "generation": 2},
        "spec": spec(version),
        "status": {"observedGeneration": 2, **status},
    }


def revision(version: str, state: str, *attempts: Object) -> Object:
    """The ModelRevision of a version."""
    name = revision_name("churn", spec(version))
    served = {} if attempts else {"servedAt": at("09:00:00")}
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelRevision",
        "metadata": {"namespace": "ml", "name": name, "labels": {DEPLOYMENT: "churn"}},
        "spec": {
            "deployment": "churn",
            "model": {"version": version},
            "template": {},
            "port": "http",
            "metrics": METRICS,
        },
        "status": {"state": state, "attempts": list(attempts), **served, "lookedAt": at("13:59:40")},
    }


def attempt(*gates: Object, **more: Any) -> Object:
    return {"attempt": 1, "startedAt": at("13:45:00"), "policy": POLICY, "gates": list(gates), **more}


def rollout(phase: str, step: int, percent: int, message: str, **more: Any) -> Object:
    return {
        "attempt": 1,
        "phase": phase,
        "step": step,
        "percent": percent,
        "startedAt": at("13:45:00"),
        "stepStartedAt": at("13:52:00"),
        "holdStartedAt": at("13:53:00"),
        "deadlineAt": at("15:47:00"),
        "message": message,
        **more,
    }


SERVES = (condition("Accepted", "True", "Accepted"), condition("Ready", "True", "Serving", "version 6 serves"))


def canary() -> Model:
    """Version 7 has 5 % and is not proven yet."""
    waits = "canary at 5 %: waiting for proof: errors is Undecided"
    return model(
        deployment(
            "7",
            url="http://churn.example.com",
            stable=arm("6", 4, 4),
            candidate=arm("7", 1, 1),
            rollout=rollout("Canary", 2, 5, waits),
            conditions=[*SERVES, condition("UpToDate", "False", "InProgress", waits)],
        ),
        [revision("6", "Stable"), revision("7", "Candidate", attempt(ERRORS))],
    )


def shadowed() -> Model:
    """Version 7 answers copies of requests, and Prometheus says nothing about it."""
    lost = "errors: no data: no series has the label pointsman_dev_revision"
    waits = f"shadow at 20 %: waiting for data: {lost}"
    return model(
        deployment(
            "7",
            stable=arm("6", 4, 4),
            candidate=arm("7", 1, 0),
            rollout=rollout("Shadow", 1, 0, waits, shadowPercent=20),
            conditions=[
                *SERVES,
                condition("UpToDate", "False", "InProgress", waits),
                condition("Observed", "False", "NoData", lost),
            ],
        ),
        [
            revision("6", "Stable"),
            revision(
                "7",
                "Candidate",
                attempt({"name": "errors", "signal": "Errors", "verdict": "NoData", "message": "errors: NoData"}),
            ),
        ],
    )


def awaiting() -> Model:
    """Version 7 waits for somebody to say yes, and somebody has paused it, too."""
    name = revision_name("churn", spec("7"))
    waits = f"step 3 at 5 % waits for approval: kubectl annotate ... pointsman.dev/approve={name}/1/3"
    return model(
        deployment(
            "7",
            stable=arm("6", 4, 4),
            candidate=arm("7", 1, 1),
            rollout=rollout("AwaitingApproval", 3, 5, waits, clockStoppedAt=at("13:58:00")),
            conditions=[
                *SERVES,
                condition("UpToDate", "False", "Paused", waits),
                condition("Paused", "True", "Annotation", "steps and deadline stand still"),
            ],
        ),
        [revision("6", "Stable"), revision("7", "Candidate", attempt(ERRORS))],
    )


def rolled_back() -> Model:
    """Version 7 was harmful; version 6 serves."""
    name = revision_name("churn", spec("7"))
    ended = {
        "endedAt": at("13:57:30"),
        "outcome": "RolledBack",
        "reason": "Harm",
        "gate": "errors",
        "decidedBy": "evidence",
        "message": HARM["message"],
    }
    entry = {"version": "7", "revision": name, "attempt": 1, "at": at("13:57:30"), **ended}
    return model(
        deployment(
            "7",
            stable=arm("6", 4, 4),
            history=[{key: value for key, value in entry.items() if key not in ("endedAt", "decidedBy")}],
            conditions=[*SERVES, condition("UpToDate", "False", "RolledBack", f"version 7: {HARM['message']}")],
        ),
        [revision("6", "Stable"), revision("7", "RolledBack", attempt(HARM, **ended))],
    )


def kept() -> Model:
    """Version 7 was promoted ten minutes ago; version 6 keeps pods."""
    name = revision_name("churn", spec("7"))
    ended = {"outcome": "Promoted", "reason": "Proven", "message": "errors: Safe: ..."}
    entry = {"version": "7", "revision": name, "attempt": 1, "at": at("13:50:00"), **ended}
    return model(
        deployment(
            "7",
            stable=arm("7", 4, 4),
            previous=arm("6", 1, 1),
            previousUntil=at("14:20:00"),
            history=[entry],
            conditions=[*SERVES, condition("UpToDate", "True", "UpToDate", "version 7 takes all traffic")],
        ),
        [revision("6", "Previous"), revision("7", "Stable", attempt(endedAt=at("13:50:00"), **ended))],
    )


def refused() -> Model:
    """The spec names a runtime that is not there, and nothing serves."""
    said = "spec.runtime: no ModelRuntime is named 'mlserver'; there are: triton"
    return model(
        deployment(
            "7",
            conditions=[
                condition("Accepted", "False", "RuntimeNotFound", said),
                condition("Ready", "False", "NotAccepted", "nothing serves: the spec is not accepted"),
                condition("UpToDate", "False", "NotAccepted", "the spec is not accepted"),
            ],
        )
    )


def unseen() -> Model:
    """No operator has looked at it."""
    return model({key: value for key, value in deployment("7").items() if key != "status"})
