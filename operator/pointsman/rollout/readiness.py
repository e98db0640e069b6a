"""Readiness is not evidence; it acts by itself: on a candidate that cannot serve, and on a stable that is down."""

from __future__ import annotations

from datetime import datetime, timedelta

from pointsman.api import names
from pointsman.api.modeldeployment import RolloutStatus
from pointsman.rollout import ending
from pointsman.rollout.draft import Draft
from pointsman.rollout.observed import Pod

STABLE_GRACE = timedelta(seconds=60)
"""So long may stable be without a ready pod before a warm candidate takes the traffic."""
RETURNS = 2
"""So often a candidate that lost its last ready pod may come back to its step."""
RESTARTS = 3
"""At so many restarts of warm candidate pods, and more per pod than stable's, it is rolled back."""
_TRAFFIC = ("Shadow", "Canary", "AwaitingApproval", "Promoting")


def judge(draft: Draft) -> None:
    """Follow the readiness of both arms; ends the attempt where the candidate cannot serve."""
    running = draft.running()
    if running is None or draft.policy is None:
        return
    _watch_stable(draft)
    for rule in (_restarted, _lost, _unready):
        if draft.running() is not None:
            rule(draft)


def trouble(pods: tuple[Pod, ...]) -> str:
    """Why pods are not ready, in their own words: each reason once, with the pods it is true for."""
    reasons: dict[str, list[str]] = {}
    for pod in pods:
        if pod.problem:
            reasons.setdefault(pod.problem, []).append(pod.name)
    return "; ".join(f"{reason} ({', '.join(sorted(who)[:3])})" for reason, who in reasons.items())


def candidate_trouble(draft: Draft) -> str:
    """Why the candidate does not serve as it should; empty: nothing is known."""
    if draft.candidate is None:
        return ""
    return _trouble_of(draft, draft.candidate) or _route_trouble(draft) or ""


def inspector_trouble(draft: Draft) -> str:
    """Why what is mirrored does not reach the candidate's inspector; empty: it does, or nothing is to be mirrored."""
    if draft.candidate is None or draft.rollout is None or not draft.goal_mirror:
        return ""
    said = unready_inspector(draft, draft.candidate, "its")
    if said:
        since = draft.rollout.step_started_at or draft.rollout.started_at
        draft.wakes.append(draft.now + patience(draft.now - since))
    return said


def unready_inspector(draft: Draft, revision: str, whose: str) -> str:
    """That a revision's inspector is not ready, and why, if that is known; empty: it is. `whose` is what it is called by."""
    name = names.inspector(revision)
    if draft.facts.pods(name).ready:
        return ""
    why = _trouble_of(draft, name)
    return f"{whose} inspector is not ready" + (f": {why}" if why else "")


def _trouble_of(draft: Draft, name: str) -> str | None:
    """What the pods of a Deployment say themselves, or else the Deployment."""
    return trouble(draft.facts.observed.pods.get(name, ())) or draft.facts.pods(name).problem


def stable_down(draft: Draft) -> bool:
    """Whether a warm candidate has to take the traffic because stable has had no ready pod for too long."""
    running = draft.running()
    if running is None or draft.facts.pods(draft.candidate).warm == 0 or draft.facts.pods(draft.stable).ready > 0:
        return False
    since = running[1].stable_unready_since
    return never_served(draft) or (since is not None and draft.now - since >= STABLE_GRACE)


def never_served(draft: Draft) -> bool:
    """Whether stable is a first version that has never had a ready pod: there is nothing to be compared with."""
    return (
        draft.stable is not None
        and draft.record(draft.stable).served_at is None
        and draft.facts.pods(draft.stable).ready == 0
    )


def stable_lost(draft: Draft) -> bool:
    """Whether stable is down for good, so that a warm candidate replaces it without a comparison."""
    running = draft.running()
    if running is None or draft.policy is None or not stable_down(draft):
        return False
    if never_served(draft):
        return True
    since = running[1].stable_unready_since
    return since is not None and draft.now - since >= draft.policy.progress_deadline


def _watch_stable(draft: Draft) -> None:
    running = draft.running()
    if running is None or draft.policy is None:
        return
    since = running[1].stable_unready_since
    if draft.facts.pods(draft.stable).ready > 0:
        if since is not None:
            draft.update(stable_unready_since=None)
        return
    if since is None:
        since = draft.now
        draft.update(stable_unready_since=since)
    draft.wakes += [at for at in (since + STABLE_GRACE, since + draft.policy.progress_deadline) if at > draft.now]


def _lost(draft: Draft) -> None:
    """The candidate lost its last ready pod while it had traffic: to 0 %, and back at most twice."""
    if draft.candidate is None or draft.rollout is None or draft.facts.pods(draft.candidate).ready > 0:
        return
    if draft.facts.switch(draft.stable, draft.candidate).share(draft.candidate) == 0:
        return
    rollout = draft.update(returns=draft.rollout.returns + 1, hold_started_at=None)
    why = candidate_trouble(draft)
    text = f"the candidate has no ready pod, so it gets no traffic{': ' + why if why else ''}"
    if rollout.returns > RETURNS:
        _unavailable(
            draft, f"it lost its last ready pod {rollout.returns} times while it had traffic{': ' + why if why else ''}"
        )
        return
    draft.event("CandidateNotReady", text, action="TakeBack", warning=True)


def _restarted(draft: Draft) -> None:
    """Count restarts of warm candidate containers; the third, where stable's pods do better, rolls back."""
    if draft.candidate is None or draft.rollout is None or draft.policy is None:
        return
    rollout = draft.rollout
    seen = draft.facts.observed.pods.get(draft.candidate, ())
    new = _restarts(seen, since=rollout.restarted_at or rollout.started_at, warm=draft.policy.warmup)
    if new:
        rollout = draft.update(restarts=rollout.restarts + len(new), restarted_at=max(new))
        draft.event(
            "CandidateRestarted",
            f"a container of the candidate died and was restarted ({rollout.restarts} in this attempt): no step ends within its hold of it",
            action="Wait",
            warning=True,
        )
    if rollout.restarts < RESTARTS:
        return
    stable = draft.facts.observed.pods.get(draft.stable or "", ())
    mine = rollout.restarts / max(1, draft.facts.pods(draft.candidate).asked)
    theirs = _restarts_since(stable, rollout.started_at, draft.now) / max(1, draft.facts.pods(draft.stable).asked)
    if mine > theirs:
        why = trouble(seen)
        ending.end(
            draft,
            "RolledBack",
            reason="CandidateCrashing",
            message=f"its containers died and were restarted {rollout.restarts} times ({mine:.1f} a pod, stable {theirs:.1f})"
            f"{': ' + why if why else ''}",
            decided_by="readiness",
        )


def _restarts(pods: tuple[Pod, ...], *, since: datetime, warm: timedelta) -> list[datetime]:
    """When containers were restarted after `since`; those that died while they were still cold are left out."""
    return [
        pod.restarted_at
        for pod in pods
        if pod.restarted_at is not None and pod.restarted_at > since and (pod.ran_for or timedelta()) >= warm
    ]


def _restarts_since(pods: tuple[Pod, ...], since: datetime, now: datetime) -> float:
    """About how often containers were restarted since then: pods say how often in their life, and when last."""
    return sum(
        max(1.0, pod.restarts * min(1.0, (now - since) / (now - pod.created_at)))
        for pod in pods
        if pod.restarted_at is not None and pod.restarted_at > since
    )


def _unready(draft: Draft) -> None:
    """Not ready for `progressDeadline` in total: rolled back, with the pods' own reason."""
    if draft.candidate is None or draft.rollout is None or draft.policy is None:
        return
    rollout = draft.rollout
    if not _is_unready(draft, rollout):
        if rollout.unready_since is not None:
            draft.update(unready_since=None, unready_seconds=_unready_for(rollout, draft.now))
        return
    if rollout.unready_since is None:
        rollout = draft.update(unready_since=draft.now)
    total = timedelta(seconds=_unready_for(rollout, draft.now))
    left = draft.policy.progress_deadline - total
    if left > timedelta():
        draft.wakes += [draft.now + left, draft.now + patience(draft.now - (rollout.unready_since or draft.now))]
        return
    silence = draft.facts.switch(draft.stable, draft.candidate).problem
    why = candidate_trouble(draft) or silence or "its pods are not ready"
    _unavailable(draft, f"it was not ready for {_spoken(draft.policy.progress_deadline)} in total: {why}")


def asked_for_more(draft: Draft, pods: int) -> None:
    """Start the clock of `progressDeadline` in the decision that asks for pods, not in the one that misses them.

    New pods have all of that time for themselves: a promotion that brings them up one after the other makes progress.
    """
    running = draft.running()
    if running is None or draft.policy is None or running[1].unready_since is not None:
        return
    if pods > draft.facts.pods(draft.candidate).ready:
        draft.update(unready_since=draft.now, unready_seconds=0)
        draft.wakes.append(draft.now + patience(timedelta()))


def _is_unready(draft: Draft, rollout: RolloutStatus) -> bool:
    seen = draft.facts.pods(draft.candidate)
    if not seen.exists or seen.ready < seen.least:  # those that an HPA adds are not the rollout's
        return seen.least > 0 or seen.problem is not None
    switch = draft.facts.switch(draft.stable, draft.candidate)
    if rollout.phase not in _TRAFFIC or switch.share(draft.candidate) == 0 or switch.accepted:
        return False
    if switch.pending and rollout.hold_started_at is not None and draft.now < rollout.hold_started_at:
        draft.wakes.append(rollout.hold_started_at)  # the gateway has its moment
        return False
    return True


def _route_trouble(draft: Draft) -> str | None:
    """Why the gateway does not obey a route that gives the candidate a share."""
    switch = draft.facts.switch(draft.stable, draft.candidate)
    return switch.problem if switch.share(draft.candidate) and not switch.accepted and not switch.pending else None


def _unready_for(rollout: RolloutStatus, now: datetime) -> int:
    running = 0.0 if rollout.unready_since is None else (now - rollout.unready_since).total_seconds()
    return rollout.unready_seconds + max(0, int(running))


def _unavailable(draft: Draft, message: str) -> None:
    ending.end(draft, "RolledBack", reason="CandidateUnavailable", message=message, decided_by="readiness")


def patience(waited: timedelta) -> timedelta:
    """How long to wait before asking pods again why they are not ready: reasons change without an event of ours."""
    if waited < timedelta(minutes=1):
        return timedelta(seconds=5)
    return timedelta(seconds=15) if waited < timedelta(minutes=10) else timedelta(seconds=60)


def _spoken(duration: timedelta) -> str:
    total = int(duration.total_seconds())
    return f"{total // 60} min" if total % 60 == 0 and total >= 60 else f"{total} s"  # noqa: PLR2004  seconds in a minute
