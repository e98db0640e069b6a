"""The course of rollouts: who becomes stable, who the candidate; starts, supersession, aborts and ends."""

from __future__ import annotations

from dataclasses import replace

from pointsman.api.modeldeployment import Outcome, RolloutStatus
from pointsman.api.modelrevision import Attempt
from pointsman.api.values import WHOLE
from pointsman.rollout import ending, record, scaling, wording
from pointsman.rollout.acceptance import Target
from pointsman.rollout.actions import attempt_value, recorded
from pointsman.rollout.draft import Draft
from pointsman.rollout.facts import Facts
from pointsman.rollout.policy import resolve
from pointsman.rollout.shape import goal_split
from pointsman.rollout.steps import not_ready


def adopt(facts: Facts) -> Draft:
    """The state of things as last written; a status that was lost is found again in the revisions."""
    status = facts.observed.deployment.status
    stable = status.stable.revision if status.stable else None
    if stable is None:
        known = [one for one in facts.observed.revisions.values() if one.status.state == "Stable"]
        stable = max(known, key=lambda one: one.created_at).name if known else None
    rollout = status.rollout if status.candidate and stable is not None else None
    draft = Draft(
        facts=facts,
        stable=stable,
        candidate=status.candidate.revision if status.candidate and rollout else None,
        previous=status.previous.revision if status.previous else None,
        previous_until=status.previous_until,
        rollout=rollout,
        kept_pods=status.kept_pods,
        history=list(status.history),
        actions=list(status.actions),
    )
    scaling.adopt(draft)
    _resume(draft)
    return draft


def _resume(draft: Draft) -> None:
    """The frozen policy and the evidence of the running attempt; a decision already on the route ends it."""
    running = draft.running()
    if draft.candidate is not None and draft.rollout is not None:
        draft.policy = draft.facts.running_policy(draft.candidate, draft.rollout.attempt) or draft.facts.policy
    if running is None:
        return
    revision, rollout = running
    _remember(draft, revision, rollout)
    kept = draft.facts.observed.evidence
    if kept is not None and (kept.revision, kept.attempt) == (revision, rollout.attempt):
        draft.evidence = kept
    else:
        status = draft.facts.record(revision)
        stored = (
            record.load(status.evidence, revision=revision, looked_at=status.looked_at) if status.evidence else None
        )
        same = stored is not None and stored.attempt == rollout.attempt
        draft.evidence = stored if same else record.Evidence(revision=revision, attempt=rollout.attempt)
    ended = next((one for one in draft.record(revision).attempts if one.attempt == rollout.attempt), None)
    if ended is not None and ended.outcome is not None and ended.outcome != "Promoted":
        if ended.outcome == "Aborted":
            draft.actions = recorded(draft.actions, "abort", attempt_value(revision, rollout.attempt), draft.now)
        ending.end(
            draft,
            ended.outcome,
            reason=ended.reason or "",
            gate=ended.gate,
            message=ended.message,
            decided_by=ended.decided_by or "",
        )
        return
    _keep_word(draft, revision, rollout)


def _keep_word(draft: Draft, revision: str, rollout: RolloutStatus) -> None:
    """A decision that stands on the route ends the attempt, whatever the evidence proves by now."""
    switch = draft.facts.switch(draft.stable, revision)
    decision = ending.committed(switch.decided, revision, rollout.attempt)
    if decision is None or draft.policy is None:
        return
    outcome, why = decision
    if outcome == "Aborted":
        draft.actions = recorded(draft.actions, "abort", attempt_value(revision, rollout.attempt), draft.now)
    draft.weigh()
    named = [replace(one, verdict="Harm") for one in draft.balance.gates if one.gate.name in why.split(",")]
    said = "; ".join(wording.explain(gate) for gate in named)
    ending.end(
        draft,
        outcome,
        reason="Harm" if named else why,
        gate=why if named else None,
        message=said or f"{why}, as the route says",
        decided_by="evidence" if named else _DECIDERS.get(why, "evidence"),
    )


def _remember(draft: Draft, revision: str, rollout: RolloutStatus) -> None:
    """A ModelRevision that was deleted by hand comes back with the attempt that runs: else it could be tried again."""
    attempts = draft.record(revision).attempts
    if draft.policy is not None and not any(one.attempt == rollout.attempt for one in attempts):
        lost = Attempt(attempt=rollout.attempt, started_at=rollout.started_at, policy=draft.policy.fields)
        draft.keep(revision, attempts=[*attempts, lost][-10:], state="Candidate")


def follow_spec(draft: Draft) -> None:
    """What the spec says about the arms: a first version, a newer candidate, or the serving version again."""
    facts = draft.facts
    for name, revision in facts.observed.revisions.items():
        if revision.status.state == "RolledBack" and name not in (facts.target, draft.candidate):
            draft.set_state(name, "Retired")  # the spec has named another one: it may be tried again
    if draft.stable is None:
        if facts.accepted:
            draft.stable = facts.target
            draft.set_state(facts.target, "Stable")
            draft.event(
                "FirstVersion",
                f"version {draft.version(facts.target)} is the first; it serves when ready",
                action="Deploy",
            )
        return
    draft.set_state(draft.stable, "Stable")
    running = draft.running()
    if running is None or running[0] == facts.target:
        return
    if facts.target == draft.stable:
        ending.end(
            draft,
            "Superseded",
            reason="SpecReverted",
            message=f"the spec names the serving version {draft.version(draft.stable)} again",
            decided_by="spec",
        )
    elif facts.accepted and facts.target not in facts.observed.workloads:
        draft.next = facts.target  # its template is tried first: what the API server rejects supersedes nothing
    elif facts.accepted:
        ending.end(
            draft,
            "Superseded",
            reason="SpecChanged",
            message=f"the spec names version {draft.version(facts.target)} now",
            decided_by="spec",
        )


def obey_abort(draft: Draft) -> None:
    """Abort the running attempt, or go back to the previous revision while it is kept."""
    running = draft.running()
    if running is not None:
        value = attempt_value(running[0], running[1].attempt)
        if draft.facts.asked("abort", value):
            draft.actions = recorded(draft.actions, "abort", value, draft.now)
            ending.end(draft, "Aborted", reason="Aborted", message="aborted by annotation", decided_by="annotation")
        return
    if draft.candidate is None and draft.previous is not None and draft.stable is not None:
        attempts = draft.record(draft.stable).attempts
        value = attempt_value(draft.stable, attempts[-1].attempt) if attempts else ""
        if value and draft.facts.asked("abort", value):
            draft.actions = recorded(draft.actions, "abort", value, draft.now)
            go_back(
                draft,
                attempts[-1],
                "Aborted",
                reason="Aborted",
                message="aborted by annotation after its promotion: back to the previous revision",
                decided_by="annotation",
            )


def go_back(draft: Draft, attempt: Attempt, outcome: Outcome, *, reason: str, message: str, decided_by: str) -> None:
    """Undo a promotion: the previous revision is stable again, the promoted one a candidate on its way out."""
    promoted, draft.stable = draft.stable, draft.previous
    draft.candidate, draft.previous, draft.previous_until = promoted, None, None
    draft.policy = resolve(attempt.policy)
    draft.rollout = RolloutStatus(
        attempt=attempt.attempt, phase="Promoting", percent=100, started_at=attempt.started_at
    )
    draft.set_state(draft.stable, "Stable")
    ending.end(draft, outcome, reason=reason, message=message, decided_by=decided_by)


def finish(draft: Draft) -> None:
    """Let a rollout go that has reached its end: all traffic is where it belongs, and the gateway says so."""
    if draft.candidate is None or draft.rollout is None:
        return
    switch = draft.facts.switch(draft.stable, draft.candidate)
    share = switch.share(draft.candidate)
    if draft.rollout.phase == "RollingBack":
        superseded = draft.record(draft.candidate).state == "Superseded"
        stable_serves = draft.facts.pods(draft.stable).ready > 0
        idle = share == 0 and (switch.accepted or not switch.exists)
        replaced = draft.facts.target != draft.candidate and share == 0  # a stable that is down does not block its fix
        if (stable_serves and (idle or superseded)) or replaced:
            scaling.keep(draft)
            draft.candidate, draft.rollout, draft.policy = None, None, None
    elif (
        draft.rollout.phase == "Promoting"
        and share == WHOLE
        and switch.accepted
        and draft.facts.pods(draft.candidate).ready >= scaling.replicas(draft)
    ):
        _promoted(draft)


def _promoted(draft: Draft) -> None:
    if draft.candidate is None or draft.rollout is None or draft.policy is None:
        raise AssertionError("nothing to promote")
    version, before = draft.version(draft.candidate), draft.stable
    reason = draft.rollout.reason or "Proven"
    message = draft.rollout.message
    draft.close("Promoted", reason=reason, message=message, decided_by=_DECIDERS.get(reason, "evidence"))
    draft.event(
        "Promoted", f"version {version} (revision {draft.candidate}) takes all traffic: {message}", action="Promote"
    )
    scaling.keep(draft)
    draft.stable, draft.candidate, draft.rollout, draft.evidence = draft.candidate, None, None, None
    draft.set_state(draft.stable, "Stable")
    draft.keep(draft.stable, served_at=draft.record(draft.stable).served_at or draft.now)
    if draft.policy.keep_previous:
        draft.previous, draft.previous_until = before, draft.now + draft.policy.keep_previous
        draft.set_state(before, "Previous")
    else:
        draft.set_state(before, "Retired")
    draft.policy = None


_DECIDERS = {
    "Aborted": "annotation",
    "Approved": "annotation",
    "CandidateCrashing": "readiness",
    "CandidateUnavailable": "readiness",
    "PromotedByHand": "annotation",
    "SpecChanged": "spec",
    "SpecReverted": "spec",
    "StableUnavailable": "readiness",
}
"""Who decides for a reason; for every other one it is the evidence."""


def start(draft: Draft) -> None:
    """Begin an attempt of the revision that the spec names, unless it serves, runs or was refused."""
    facts = draft.facts
    if draft.candidate is not None or draft.stable is None or not isinstance(facts.found, Target):
        return
    if facts.target == draft.stable:
        return
    attempts = draft.record(facts.target).attempts
    last = attempts[-1] if attempts else None
    if draft.record(facts.target).state == "RolledBack" and last is not None:
        value = attempt_value(facts.target, last.attempt)
        if not facts.asked("retry", value):
            return
        draft.actions = recorded(draft.actions, "retry", value, draft.now)
    if last is not None and last.ended_at is None:
        attempt = last  # begun before a crash: the same one goes on
    else:
        # A record that was deleted by hand does not give a number away twice: what names it is for the one before.
        told = [entry.attempt for entry in draft.history if entry.revision == facts.target]
        number = 1 + max([*told, 0 if last is None else last.attempt])
        attempt = Attempt(attempt=number, started_at=draft.now, policy=facts.found.fields)
        draft.keep(facts.target, attempts=[*attempts, attempt][-10:], evidence=None, looked_at=None)
    draft.set_state(facts.target, "Candidate")
    draft.policy = resolve(attempt.policy)
    counted = None if facts.autoscaling is None else scaling.replicas(draft)
    draft.candidate = facts.target
    draft.rollout = RolloutStatus(
        attempt=attempt.attempt, phase="Preparing", replicas=counted, started_at=attempt.started_at
    )
    draft.waiting = not_ready(facts.pods(facts.target).ready, goal_split(draft).candidate)
    draft.evidence = record.Evidence(revision=facts.target, attempt=attempt.attempt)
    drop_previous(draft)
    draft.event(
        "RolloutStarted",
        f"version {draft.version(facts.target)} (revision {facts.target}, attempt {attempt.attempt})"
        f" is compared with version {draft.version(draft.stable)}",
        action="Start",
    )


def expire_previous(draft: Draft) -> None:
    """Give up the previous revision's spare pods when their time is over."""
    if draft.previous is None or draft.previous_until is None:
        return
    if draft.now >= draft.previous_until:
        drop_previous(draft)
    else:
        draft.wakes.append(draft.previous_until)


def drop_previous(draft: Draft) -> None:
    """A kept previous revision is kept no longer."""
    if draft.previous is not None and draft.previous not in (draft.candidate, draft.stable):
        draft.set_state(draft.previous, "Retired")
    draft.previous, draft.previous_until = None, None
