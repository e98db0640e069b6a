"""What two statuses of a ModelDeployment tell of its attempts: which have ended between them, and whether the one that runs ran before."""

from __future__ import annotations

from pointsman.api.modeldeployment import HistoryEntry, ModelDeploymentStatus


def ended(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> list[HistoryEntry]:
    """The attempts that have ended, the oldest first; the history has the newest first."""
    known = {(entry.revision, entry.attempt, entry.at) for entry in before.history}
    return [entry for entry in reversed(after.history) if (entry.revision, entry.attempt, entry.at) not in known]


def goes_on(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> bool:
    """Whether the attempt that runs now is the one that ran before."""
    now = _running(after)
    return now is not None and now == _running(before)


def _running(status: ModelDeploymentStatus) -> tuple[str, int] | None:
    if status.candidate is None or status.rollout is None:
        return None
    return status.candidate.revision, status.rollout.attempt
