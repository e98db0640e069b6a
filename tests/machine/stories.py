"""Policies that are quick to go through."""

from __future__ import annotations

from typing import Any

ERRORS = {"name": "errors", "signal": "Errors", "tolerance": {"ratio": "1.5", "points": "1"}}
LATENCY = {"name": "latency", "signal": "Latency", "tolerance": {"ratio": "1.5"}, "quantiles": ["0.5", "0.9"]}
QUICK: dict[str, Any] = {
    "warmup": {"duration": "3s", "requests": 10},
    "interval": "5s",
    "progressDeadline": "60s",
    "deadline": "3m",
}
APPROVAL: dict[str, Any] = {"approval": {}}


def canary(percent: int) -> dict[str, Any]:
    """A step of ten seconds."""
    return {"canary": {"percent": percent}, "hold": "10s"}


TWO_STEPS: dict[str, Any] = {"steps": [canary(25), canary(50)], "gates": [ERRORS], "keepPrevious": "60s"}
ANSWERS = {"name": "answers", "signal": "Agreement", "atLeast": "90"}
SHADOW: dict[str, Any] = {"shadow": {"percent": 50}, "hold": "10s"}
READ = {"protocol": "OpenInference"}
WATCH = {
    "percent": 20,
    "interval": "5s",
    "meanTimeBetweenFalseAlarms": "24h",
    "onPredictionDrift": "Rollback",
}
MIRRORED: dict[str, dict[str, Any]] = {
    "shadow": {"steps": [SHADOW, canary(50)], "gates": [ERRORS, ANSWERS], "compare": READ, "keepPrevious": "60s"},
    "shadow and approval": {"steps": [SHADOW, APPROVAL], "gates": [ANSWERS], "compare": READ, "keepPrevious": "0s"},
    "watched": {**TWO_STEPS, "watch": WATCH, "compare": READ},
    "shadow, then watched": {
        "steps": [SHADOW, APPROVAL, canary(50)],
        "gates": [ERRORS, ANSWERS],
        "compare": READ,
        "watch": WATCH,
        "keepPrevious": "60s",
    },
}
"""Policies that mirror requests, which takes a Gateway."""
COURSES: dict[str, dict[str, Any]] = {
    "two steps": TWO_STEPS,
    "approval": {"steps": [canary(25), APPROVAL, canary(50)], "gates": [ERRORS], "keepPrevious": "0s"},
    "latency": {"steps": [canary(50)], "gates": [ERRORS, LATENCY], "whenUndecided": "Promote", "keepPrevious": "60s"},
    "last word": {
        "steps": [canary(10), APPROVAL],
        "gates": [ERRORS],
        "whenUndecided": "Rollback",
        "keepPrevious": "0s",
    },
    "no gates": {"steps": [canary(20), canary(60)], "gates": [], "keepPrevious": "60s"},
}
