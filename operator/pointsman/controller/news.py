"""What of a status is news: other counts of ready pods or other words alone can wait a moment, and are often overtaken in it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from pointsman.api.modeldeployment import ModelDeploymentStatus

PAUSE = timedelta(seconds=5)
"""So long after a status that was written the next one waits, if it is no news."""

_UNREADY = ("unreadySince", "unreadySeconds")  # follow from the ready pods; a crash counts from the next decision on
_ARMS = ("stable", "candidate", "previous")


def is_news(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> bool:
    """Whether anything differs but words, counts of ready pods, and what webhooks need not be told any more."""
    return _gist(before) != _gist(after) or any(one not in before.notifications for one in after.notifications)


def next_time(told_at: datetime | None, now: datetime) -> datetime | None:
    """When what is no news may be written; None: now."""
    if told_at is None or not now - PAUSE < told_at <= now:  # a clock that was set back holds nothing up
        return None
    return told_at + PAUSE


def _gist(status: ModelDeploymentStatus) -> dict[str, Any]:
    gist: dict[str, Any] = status.dump()
    gist.pop("notifications", None)
    for arm in _ARMS:
        if arm in gist:
            gist[arm] = {key: value for key, value in gist[arm].items() if key != "readyReplicas"}
    if "rollout" in gist:
        counted = _wordless(gist["rollout"])
        gist["rollout"] = {key: value for key, value in counted.items() if key not in _UNREADY}
    gist["conditions"] = [_wordless(condition) for condition in gist.get("conditions", ())]
    return gist


def _wordless(said: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in said.items() if key != "message"}
