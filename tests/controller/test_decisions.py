"""Which lines a written status gives: one for each decision, none for what only changes with time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from pointsman.api.modeldeployment import ModelDeploymentStatus
from pointsman.controller.decisions import decided

AT = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
STABLE = {"revision": "churn-1", "version": "1"}
CANDIDATE = {"revision": "churn-2", "version": "2"}
HARM = {
    "version": "2",
    "revision": "churn-2",
    "attempt": 1,
    "outcome": "RolledBack",
    "reason": "Harm",
    "gate": "errors",
    "at": AT,
    "message": "errors: Harm",
}
PROMOTED = HARM | {"outcome": "Promoted", "reason": "Safe", "gate": None, "message": "every gate is Safe"}


def idle(*history: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"stable": STABLE, "history": list(history), **more}


def rolling(phase: str = "Canary", step: int = 1, percent: int = 5, **more: Any) -> dict[str, Any]:
    rollout = {"attempt": 1, "phase": phase, "step": step, "percent": percent, "startedAt": AT, "message": "waiting"}
    return {"stable": STABLE, "candidate": CANDIDATE, "rollout": rollout | more}


@dataclass(frozen=True)
class Case:
    before: dict[str, Any]
    after: dict[str, Any]
    lines: list[tuple[str, str, str]] = field(default_factory=list)
    reasons: list[str | None] = field(default_factory=list)


CASES = {
    "nothing": Case(idle(), idle()),
    "the first version": Case({}, idle(), [("FirstVersion", "nothing", "stable")]),
    "a rollout starts": Case(idle(), rolling("Preparing", 0, 0), [("RolloutStarted", "nothing", "Preparing at 0 %")]),
    "pods become warm": Case(
        rolling("Preparing", 0, 0), rolling("Warming", 0, 0), [("Warming", "Preparing at 0 %", "Warming at 0 %")]
    ),
    "the first step": Case(
        rolling("Warming", 0, 0), rolling(), [("StepStarted", "Warming at 0 %", "Canary step 1 at 5 %")]
    ),
    "a step": Case(
        rolling(), rolling(step=2, percent=25), [("StepStarted", "Canary step 1 at 5 %", "Canary step 2 at 25 %")]
    ),
    "a share that follows the pods": Case(
        rolling(step=2, percent=25),
        rolling(step=2, percent=50),
        [("ShareChanged", "Canary step 2 at 25 %", "Canary step 2 at 50 %")],
    ),
    "words": Case(rolling(), rolling(message="still waiting")),
    "an approval is waited for": Case(
        rolling(),
        rolling("AwaitingApproval", 2),
        [("AwaitingApproval", "Canary step 1 at 5 %", "AwaitingApproval step 2 at 5 %")],
    ),
    "promoted": Case(
        rolling("Promoting", 2, 100),
        idle(PROMOTED),
        [("Promoted", "Promoting step 2 at 100 %", "Promoted")],
        ["Safe"],
    ),
    "harm": Case(
        rolling(step=2, percent=25),
        rolling("RollingBack", 2, 0) | {"history": [HARM]},
        [("RolledBack", "Canary step 2 at 25 %", "RolledBack")],
        ["Harm: errors"],
    ),
    "the end of rolling back": Case(rolling("RollingBack", 2, 0) | {"history": [HARM]}, idle(HARM)),
    "superseded": Case(
        rolling(),
        rolling("Preparing", 0, 0)
        | {"candidate": {"revision": "churn-3", "version": "3"}}
        | {"history": [HARM | {"outcome": "Superseded", "reason": "NewSpec", "gate": None}]},
        [("Superseded", "Canary step 1 at 5 %", "Superseded"), ("RolloutStarted", "nothing", "Preparing at 0 %")],
        ["NewSpec", None],
    ),
    "tried again": Case(
        idle(HARM),
        rolling("Preparing", 0, 0, attempt=2) | {"history": [HARM]},
        [("RolloutStarted", "nothing", "Preparing at 0 %")],
    ),
    "an old entry leaves the history": Case(idle(PROMOTED, HARM), idle(PROMOTED)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_one_line_a_decision(case: Case) -> None:
    before, after = (ModelDeploymentStatus.model_validate(one) for one in (case.before, case.after))
    lines = list(decided(before, after))
    assert [(line.what, line.before, line.after) for line in lines] == case.lines
    if case.reasons:
        assert [line.reason for line in lines] == case.reasons
