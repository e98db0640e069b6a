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
