"""The way of a candidate: looks and their verdicts, the steps, approvals, the deadline, and the decision to promote."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pointsman.api.modeldeployment import RolloutStatus
from pointsman.api.values import percent
from pointsman.rollout import asking, ending, folding, outlook, readiness, scaling, wording
from pointsman.rollout.actions import attempt_value, recorded, step_value
from pointsman.rollout.draft import Draft
from pointsman.rollout.policy import Policy, Stage
from pointsman.rollout.record import Evidence
from pointsman.rollout.shape import (
    ALL_BUT_THE_LEAST,
    LEAST,
    at_its_share,
    following,
    goal_share,
    goal_split,
    live_share,
    real_share,
    routed,
)

GATEWAY_GRACE = timedelta(seconds=1)
"""So long a gateway may take to obey new weights before the hold waits for it; 40 ms are usual."""

FIRST_LOOKS = timedelta(seconds=2)
"""Looks at a candidate that waits only for its first data come at least so often: an interval can be minutes."""


def fold(drafts: Sequence[Draft]) -> None:
    """Fold the fresh looks at the attempts that run into their evidence."""
    looks = [(draft, look) for draft in drafts if (look := _look(draft)) is not None]
    for (draft, look), after in zip(looks, folding.fold_all([look for _, look in looks]), strict=True):
        draft.evidence, draft.proofs = after.evidence, after.proofs
        draft.fresh = after.evidence.looked_at != look.evidence.looked_at
        if folding.asked_anew(look.evidence, after.evidence):
            draft.update(hold_started_at=None)  # a step holds for evidence of one kind


def weigh(draft: Draft) -> None:
    """Weigh the evidence of the attempt that runs; proven harm ends it, in every phase."""
    if draft.running() is None or draft.policy is None:
        return
    draft.weigh()
    draft.fresh = draft.fresh and draft.balance.observed
    if draft.balance.harm:
        _roll_back_for_harm(draft)


def _look(draft: Draft) -> folding.Look | None:
    """What Prometheus said of a running attempt since the last decision; None: nothing."""
    reading, running = draft.facts.observed.reading, draft.running()
    if reading is None or running is None or draft.policy is None or draft.evidence is None:
        return None
    return folding.Look(
        evidence=draft.evidence,
        reading=reading,
        policy=draft.policy,
        asked=draft.questions(),
        elapsed=_elapsed(draft.policy, running[1], draft.now),
        now=draft.now,
    )


def _roll_back_for_harm(draft: Draft) -> None:
    named = [gate for gate in draft.balance.gates if gate.gate.name in draft.balance.harmful]
    ending.end(
        draft,
        "RolledBack",
        reason="Harm",
        gate=",".join(gate.gate.name for gate in named),
        message="; ".join(wording.explain(gate) for gate in named),
        decided_by="evidence",
    )


def advance(draft: Draft) -> None:
    """One decision further on the way, as far as readiness, evidence and people allow it."""
    running = draft.running()
    if running is None or draft.policy is None:
        return
    revision, rollout = running
    _clock(draft)
    waits = draft.facts.asked.paused or (rollout.phase == "AwaitingApproval" and not approved(draft))
    if readiness.stable_lost(draft) and not waits:
        if rollout.phase != "Promoting":
            _promote(
                draft,
                "StableUnavailable",
                "stable has no ready pod, so the candidate replaces it; nothing was compared",
            )
        return
    value = attempt_value(revision, rollout.attempt)
    if rollout.phase != "Promoting" and draft.facts.asked("promote", value):
        draft.actions = recorded(draft.actions, "promote", value, draft.now)
        _promote(draft, "PromotedByHand", "promoted by annotation: the remaining steps and open verdicts were left out")
        return
    if rollout.phase in ("Preparing", "Warming"):
        _prepare(draft, draft.policy)
    elif rollout.phase in ("Shadow", "Canary"):
        _canary(draft, draft.policy)
    elif rollout.phase == "AwaitingApproval":
        _approval(draft, draft.policy)
    elif draft.facts.asked.paused:
        draft.waiting = "paused by annotation"


def _prepare(draft: Draft, policy: Policy) -> None:
    """Up and warm at 0 %, and seen by Prometheus, before the first step."""
    seen, wanted = draft.facts.pods(draft.candidate), goal_split(draft).candidate
    if seen.ready < wanted or seen.asked < wanted:
        why = readiness.candidate_trouble(draft)
        draft.waiting = not_ready(seen.ready, wanted) + (f": {why}" if why else "")
        draft.update(phase="Preparing")
        return
    draft.update(phase="Warming")
    draft.waiting = "warming up at 0 %, until its pods are warm and every gate has data"
    if seen.warm < wanted:
        return
    if draft.facts.asked.paused:
        draft.waiting = "paused by annotation"
        return
    if draft.balance.pausing:
        draft.waiting = asking.stands_still(draft.balance)
        return
    if not draft.balance.observed:
        looked = draft.evidence is not None and draft.evidence.looked_at is not None
        draft.waiting += f": {asking.missing(draft.balance)}" if looked else ""
        draft.look_within = FIRST_LOOKS
        return
    _enter(draft, policy, 1)
    outlook.tell(draft, policy)


def foresee_hold(draft: Draft, share: int) -> None:
    """Let the hold begin with the write that brings a share, a moment ahead: it saves a write of its own.

    A gateway obeys within that moment; where it does not, the hold begins when it does, and until then it is unready.
    """
    rollout = draft.rollout
    if rollout is None or not routed(draft) or share <= live_share(draft):
        return
    least = rollout.hold_started_at is None or live_share(draft) == LEAST
    begins = rollout.phase == "Canary" and least and share in (LEAST, goal_share(draft))
    if begins or (rollout.phase == "Promoting" and live_share(draft) != ALL_BUT_THE_LEAST):
        draft.update(hold_started_at=draft.now + GATEWAY_GRACE)


def _reached(draft: Draft, step: int) -> bool:
    """Whether the step's share was on before: its own evidence runs."""
    return draft.evidence is not None and draft.evidence.step == step


def not_ready(ready: int, wanted: int) -> str:
    """What a rollout that prepares says."""
    return f"{ready} of {wanted} candidate pods are ready"


def _enter(draft: Draft, policy: Policy, step: int) -> None:
    stage = policy.stages[step - 1]
    rollout = draft.rollout
    if rollout is None:
        raise AssertionError("no rollout runs")
    scaling.for_step(draft)
    deadline = rollout.deadline_at or draft.now + policy.deadline
    if stage.kind == "Approval":
        draft.update(phase="AwaitingApproval", step=step, step_started_at=draft.now, deadline_at=deadline)
        _clock(draft)
        draft.waiting = "waiting for approval"
        draft.event(
            "AwaitingApproval",
            f"step {step} of {len(policy.stages)} waits for approval at {percent(stage.share)} %",
            action="Wait",
        )
        return
    draft.update(
        phase="Shadow" if stage.kind == "Shadow" else "Canary",
        step=step,
        step_started_at=draft.now,
        hold_started_at=None,
        percent=percent(stage.share),
        deadline_at=deadline,
    )
    draft.waiting = _bringing(stage)
    draft.event("StepStarted", f"step {step} of {len(policy.stages)}: {_named(stage)}", action="Advance")


def _canary(draft: Draft, policy: Policy) -> None:
    rollout = draft.rollout
    if rollout is None:
        raise AssertionError("no rollout runs")
    step = rollout.step
    stage = policy.stages[step - 1]
    if at_its_share(draft):
        if draft.evidence is not None:
            _count_anew(draft, draft.evidence, policy)
        if rollout.hold_started_at is None:
            rollout = draft.update(hold_started_at=draft.now)
    elif rollout.hold_started_at is not None and rollout.hold_started_at < draft.now and not _reached(draft, step):
        draft.update(hold_started_at=None)  # the gateway took longer than it was given
    coming = following(draft)
    open_questions = _unfinished(draft, stage) or _not_yet(draft, policy, coming)
    if open_questions is None and coming is not None:
        _enter(draft, policy, coming[0])
    elif open_questions is None:
        _promote(draft, "Proven", asking.proof(draft.balance))
    else:
        draft.waiting = open_questions
        _deadline(draft, policy)


def _count_anew(draft: Draft, known: Evidence, policy: Policy) -> None:
    """Start the evidence of a step that is on; what was resumed after a crash may be that of the step before."""
    rollout = draft.rollout
    if rollout is None or known.step == rollout.step:
        return
    at = _deadline_test_at(draft, policy, rollout.step)
    draft.evidence = folding.next_step(known, policy, rollout.step, deadline_test_at=at)
    draft.weigh()


def _deadline_test_at(draft: Draft, policy: Policy, step: int) -> datetime | None:
    """When the last canary step's deadline test is: with the last look before the deadline."""
    rollout = draft.rollout
    last = all(stage.kind == "Approval" for stage in policy.stages[step:])
    if not last or rollout is None or rollout.deadline_at is None:
        return None
    return rollout.deadline_at - policy.interval


def _approval(draft: Draft, policy: Policy) -> None:
    rollout = draft.rollout
    if rollout is None or draft.candidate is None:
        raise AssertionError("no rollout runs")
    value = step_value(draft.candidate, rollout.attempt, rollout.step)
    if draft.facts.asked("approve", value):
        draft.actions = recorded(draft.actions, "approve", value, draft.now)
        draft.event("Approved", f"step {rollout.step} is approved", action="Approve")
    if not approved(draft):
        draft.waiting = "waiting for approval"
        return
    _clock(draft)
    coming = following(draft)
    if draft.facts.asked.paused:
        draft.waiting = "paused by annotation"
        return
    lacking = _unready(draft, policy.stages[rollout.step - 1]) or _unsettled(draft, _hold_before(policy, rollout.step))
    lacking = lacking or _not_yet(draft, policy, coming)
    if lacking is not None:
        draft.waiting = f"approved; {lacking}"
        _deadline(draft, policy)
    elif coming is not None:
        _enter(draft, policy, coming[0])
    else:
        _promote(draft, "Approved", "approved by annotation" if policy.approvals_only else asking.proof(draft.balance))


def approved(draft: Draft) -> bool:
    """Whether the approval of the current step was given."""
    if draft.candidate is None or draft.rollout is None:
        return False
    value = step_value(draft.candidate, draft.rollout.attempt, draft.rollout.step)
    return any(action.name == "approve" and action.value == value for action in draft.actions)


def _unfinished(draft: Draft, stage: Stage) -> str | None:
    """What this step still waits for, whatever comes next; None: nothing."""
    rollout = draft.rollout
    if rollout is None:
        raise AssertionError("no rollout runs")
    if draft.facts.asked.paused:
        return "paused by annotation"
    unready = _unready(draft, stage)
    if unready is not None or rollout.hold_started_at is None:
        return unready or _bringing(stage)
    quiet_since = max(rollout.hold_started_at, rollout.restarted_at or rollout.hold_started_at)
    until = quiet_since + stage.hold
    if draft.now < until:
        draft.wakes.append(until)
        return _bringing(stage)
    if not draft.balance.observed:
        why = readiness.inspector_trouble(draft)
        return f"waiting for data: {f'{why}; ' if why else ''}{asking.missing(draft.balance)}"
    return None


def _unready(draft: Draft, stage: Stage) -> str | None:
    """Why the candidate does not carry this step's share; None: it does."""
    if at_its_share(draft):
        return None
    why = readiness.candidate_trouble(draft) or readiness.inspector_trouble(draft)
    return _bringing(stage) + (f": {why}" if why else "")


def _unsettled(draft: Draft, hold: timedelta) -> str | None:
    """Whether a container of the candidate died within `hold`: nothing is promoted then."""
    if draft.rollout is None or draft.rollout.restarted_at is None:
        return None
    until = draft.rollout.restarted_at + hold
    if draft.now >= until:
        return None
    draft.wakes.append(until)
    return f"a container of the candidate was restarted; waiting until {until:%H:%M:%S} UTC"


def _hold_before(policy: Policy, step: int) -> timedelta:
    """The hold of this step, or of the one that this approval follows."""
    return next((stage.hold for stage in reversed(policy.stages[:step]) if stage.kind != "Approval"), timedelta())


def _named(stage: Stage) -> str:
    if stage.kind == "Shadow":
        return f"shadow of {percent(stage.mirror)} %"
    return f"canary at {percent(stage.share)} %"


def _bringing(stage: Stage) -> str:
    return f"{_named(stage)} for at least {int(stage.hold.total_seconds())} s"


def _not_yet(draft: Draft, policy: Policy, coming: tuple[int, Stage] | None) -> str | None:
    """Which evidence the next step, or promotion, still waits for; None: none."""
    if draft.balance.pausing:
        return asking.stands_still(draft.balance)
    if coming is None:
        return asking.unproven(draft.balance)
    if coming[1].kind == "Approval" or not (goal_share(draft) or draft.goal_mirror):
        return None  # the first share starts the evidence
    if draft.goal_mirror and not coming[1].mirror and (open_ := asking.unproven_answers(draft.balance)) is not None:
        return open_
    return asking.no_room(draft.balance, policy, real_share(draft, coming[1].share))


def _promote(draft: Draft, reason: str, message: str) -> None:
    scaling.for_candidate(draft)
    draft.update(
        phase="Promoting", reason=reason, message=message[:2048], clock_stopped_at=None, step_started_at=draft.now
    )
    draft.waiting = message


def _deadline(draft: Draft, policy: Policy) -> None:
    """With the first look after the deadline `whenUndecided` rules; missing data always holds."""
    rollout = draft.rollout
    if rollout is None or rollout.deadline_at is None or rollout.clock_stopped_at is not None:
        return
    if draft.now < rollout.deadline_at:
        draft.wakes.append(rollout.deadline_at)
        return
    looked = draft.evidence.looked_at if draft.evidence else None
    if looked is None or looked < rollout.deadline_at:
        return  # Prometheus may be silent since before it
    since = rollout.hold_started_at
    held = since is not None and looked >= since + _hold_before(policy, rollout.step)
    overdue = asking.overdue(draft.balance, policy, held=held)
    if overdue is None:
        return
    if overdue.rules == "Rollback":
        ending.end(draft, "RolledBack", reason="Undecided", message=overdue.message, decided_by="evidence")
    elif overdue.rules == "Promote":
        _promote(draft, "Undecided", overdue.message)
    else:
        draft.waiting = overdue.message


def past_deadline(draft: Draft) -> bool:
    """Whether the rollout is over its deadline and holds."""
    rollout = draft.rollout
    return (
        rollout is not None
        and rollout.phase in ("Shadow", "Canary", "AwaitingApproval")
        and rollout.deadline_at is not None
        and rollout.clock_stopped_at is None
        and draft.now >= rollout.deadline_at
    )


def _clock(draft: Draft) -> None:
    """Let the deadline stand still while paused or waiting for approval, and go on after it."""
    rollout = draft.rollout
    if rollout is None or rollout.deadline_at is None:
        return
    waits = draft.facts.asked.paused or (rollout.phase == "AwaitingApproval" and not approved(draft))
    if waits and rollout.clock_stopped_at is None:
        draft.update(clock_stopped_at=draft.now)
    elif not waits and rollout.clock_stopped_at is not None:
        draft.update(clock_stopped_at=None, deadline_at=rollout.deadline_at + (draft.now - rollout.clock_stopped_at))


def _elapsed(policy: Policy, rollout: RolloutStatus, now: datetime) -> float:
    """Seconds of the deadline used up."""
    if rollout.deadline_at is None:
        return 0.0
    left: timedelta = rollout.deadline_at - (rollout.clock_stopped_at or now)
    return max(0.0, (policy.deadline - left).total_seconds())
