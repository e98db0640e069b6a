"""What a written status says was decided: one line of the log for each decision, with its reason, from where and to where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pointsman.api.modeldeployment import ModelDeploymentStatus, Outcome, RolloutStatus
from pointsman.rollout import turns


@dataclass(frozen=True, kw_only=True)
class Decided:
    """One decision.

    what     Events of the same reason say the same
    reason   why, for what has ended
    outcome  of an attempt that this decision ends
    """

    what: str
    before: str
    after: str
    revision: str
    message: str
    reason: str | None = None
    outcome: Outcome | None = None


def decided(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Iterator[Decided]:
    """What was decided between two statuses of a ModelDeployment, in its order."""
    if before.stable is None and after.stable is not None:
        yield Decided(
            what="FirstVersion",
            before="nothing",
            after="stable",
            revision=after.stable.revision,
            message="it serves when ready",
        )
    for entry in turns.ended(before, after):
        yield Decided(
            what=entry.outcome,
            before=_place(before.rollout),
            after=entry.outcome,
            revision=entry.revision,
            message=entry.message,
            reason=entry.reason if entry.gate is None else f"{entry.reason}: {entry.gate}",
            outcome=entry.outcome,
        )
    now, candidate = after.rollout, after.candidate
    if now is None or candidate is None or now.phase == "RollingBack":
        return
    then = before.rollout
    if then is None or not turns.goes_on(before, after):
        what, place = "RolloutStarted", "nothing"
    elif (place := _place(then)) != _place(now):
        what = _moved(then, now)
    else:
        return
    yield Decided(what=what, before=place, after=_place(now), revision=candidate.revision, message=now.message)


def _moved(then: RolloutStatus, now: RolloutStatus) -> str:
    if now.phase not in (then.phase, "Canary"):
        return now.phase
    return "StepStarted" if now.step != then.step else "ShareChanged"


def _place(rollout: RolloutStatus | None) -> str:
    if rollout is None:
        return "nothing"
    step = f" step {rollout.step}" if rollout.step else ""
    return f"{rollout.phase}{step} at {rollout.percent} %"
