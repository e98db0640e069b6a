"""What a pod says about itself, read from the API's object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from pointsman.cluster.kinds import Json
from pointsman.rollout.observed import Pod

_HARMLESS = frozenset({"ContainerCreating", "PodInitializing"})  # says only that it is not done yet


def pod(obj: Json) -> Pod:
    """A pod as a decision sees it."""
    meta, status = obj["metadata"], obj.get("status") or {}
    containers = status.get("containerStatuses") or ()
    last = max(_deaths(containers), default=None)
    ready = _condition(status, "Ready")
    is_ready = ready.get("status") == "True"
    return Pod(
        name=meta["name"],
        created_at=_time(meta["creationTimestamp"]),
        ready_since=_time(ready["lastTransitionTime"]) if is_ready else None,
        problem=None if is_ready else next(_problems(status), None),
        restarts=sum(int(container.get("restartCount") or 0) for container in containers),
        restarted_at=None if last is None else last[0],
        ran_for=None if last is None else last[1],
    )


def _deaths(containers: Iterable[Json]) -> Iterator[tuple[datetime, timedelta]]:
    """When each container died last, and how long it had run; with exit code 0 it died too: a server does not end."""
    for container in containers:
        for state in ("state", "lastState"):
            ended = (container.get(state) or {}).get("terminated") or {}
            if ended.get("finishedAt"):
                at = _time(ended["finishedAt"])
                yield at, at - _time(ended["startedAt"]) if ended.get("startedAt") else timedelta()


def _problems(status: Json) -> Iterator[str]:
    """Why it is not ready, the most telling first."""
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    for container in containers:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") and waiting["reason"] not in _HARMLESS:
            yield _sentence(waiting["reason"], _last_words(container) or waiting.get("message"))
    for container in containers:
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended and ended.get("exitCode") != 0:
            yield _sentence(ended.get("reason") or "Terminated", ended.get("message") or _exit(ended))
    scheduled = _condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        yield _sentence(scheduled.get("reason") or "Unschedulable", scheduled.get("message"))
    if status.get("reason"):  # Evicted, NodeLost
        yield _sentence(status["reason"], status.get("message"))
    for container in containers:
        if (container.get("state") or {}).get("running") and not container.get("ready", True):
            yield _sentence("NotReady", f"container {container['name']} runs, and its readiness probe does not succeed")


def _last_words(container: Json) -> str | None:
    """What a container that is started again and again said when it ended."""
    ended = (container.get("lastState") or {}).get("terminated") or {}
    return (ended.get("message") or _exit(ended)) if ended else None


def _exit(ended: Json) -> str:
    reason = ended.get("reason")
    return f"exit code {ended.get('exitCode')}" + (f", {reason}" if reason and reason != "Error" else "")


def _sentence(reason: str, message: str | None) -> str:
    return f"{reason}: {message.strip()}" if message else reason


def _condition(status: Json, type_: str) -> dict[str, Any]:
    return next((c for c in status.get("conditions") or () if c["type"] == type_), {})


def _time(written: str) -> datetime:
    return datetime.fromisoformat(written)
