"""Which statuses are written at once, and which wait a moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pointsman.api.modeldeployment import ModelDeploymentStatus
from pointsman.controller.news import PAUSE, is_news, next_time

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TIME = "2026-01-01T12:00:00Z"


def status(
    *,
    ready: int = 1,
    said: str = "holding",
    arm: dict[str, Any] | None = None,
    rollout: dict[str, Any] | None = None,
    condition: dict[str, Any] | None = None,
    **fields: Any,
) -> ModelDeploymentStatus:
    kept = {"type": "Ready", "status": "True", "reason": "Serving", "message": said, "lastTransitionTime": TIME}
    return ModelDeploymentStatus.model_validate(
        {
            "observedGeneration": 2,
            "stable": {"revision": "churn-1", "version": "1", "replicas": 4, "readyReplicas": 4},
            "candidate": {"revision": "churn-2", "version": "2", "replicas": 2, "readyReplicas": ready, **(arm or {})},
            "rollout": {
                "attempt": 1,
                "phase": "Canary",
                "step": 1,
                "percent": 5,
                "startedAt": TIME,
                "message": said,
                **(rollout or {}),
            },
            "conditions": [{**kept, **(condition or {})}],
            **fields,
        }
    )


@pytest.mark.parametrize(
    "after",
    [
        status(),
        status(ready=2),
        status(said="other words"),
        status(ready=0, said="both"),
    ],
)
def test_counts_and_words_are_no_news(after: ModelDeploymentStatus) -> None:
    assert not is_news(status(), after)


@pytest.mark.parametrize(
    "after",
    [
        status(observedGeneration=3),
        status(arm={"revision": "churn-3"}),
        status(arm={"replicas": 3}),
        status(rollout={"phase": "Promoting"}),
        status(rollout={"percent": 25}),
        status(rollout={"holdStartedAt": TIME}),
        status(condition={"status": "False", "reason": "NoReadyPod"}),
        status(condition={"reason": "Other"}),
        status(conditions=[]),
        status(candidate=None),
        status(actions=[{"name": "abort", "value": "churn-2/1", "at": TIME}]),
    ],
)
def test_everything_else_is(after: ModelDeploymentStatus) -> None:
    assert is_news(status(), after)


@pytest.mark.parametrize(
    ("told_at", "waits_until"),
    [
        (None, None),
        (NOW, NOW + PAUSE),
        (NOW - timedelta(seconds=2), NOW + PAUSE - timedelta(seconds=2)),
        (NOW - PAUSE, None),
        (NOW + timedelta(hours=1), None),  # the clock was set back
    ],
)
def test_what_is_no_news_waits_for_a_pause_after_the_last_status(
    told_at: datetime | None, waits_until: datetime | None
) -> None:
    assert next_time(told_at, NOW) == waits_until
