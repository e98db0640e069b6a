"""The shape to bring about now: the candidate's share, and the pods of every revision."""

from __future__ import annotations

from dataclasses import dataclass

from pointsman.api.values import WHOLE, basis_points
from pointsman.rollout import capacity, readiness
from pointsman.rollout.capacity import Room, Split
from pointsman.rollout.draft import Draft
from pointsman.rollout.policy import Stage
from pointsman.rollout.policy import room as policy_room


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What decide wants now.

    share      the candidate's, in basis points; behind a plain Service: whether it is selected at all (0 or not)
    stable, candidate   pods to ask for
    previous   pods of the previous revision that are kept
    lags       the route is lower than what was decided, and is raised to it only after a fresh look
    """

    share: int
    stable: int
    candidate: int
    previous: int
    lags: bool = False


def routed(draft: Draft) -> bool:
    """Whether weights split the traffic; else the pods behind a plain Service do."""
    return draft.facts.traffic is not None


def room(draft: Draft) -> Room:
    """Capacity in pods."""
    return policy_room(draft.policy or draft.facts.policy, draft.facts.replicas)


def goal_split(draft: Draft) -> Split:
    """The pods that the current phase wants in the end."""
    pods = room(draft)
    if draft.rollout is None or draft.policy is None:
        return Split(draft.facts.replicas, 0)
    if draft.rollout.phase == "RollingBack":
        return Split(draft.facts.replicas, 0)
    if draft.policy.approvals_only:
        return Split(draft.facts.replicas, draft.facts.replicas)
    if draft.rollout.phase == "Promoting":
        spare = min(pods.surge, draft.facts.replicas) if draft.policy.keep_previous else 0
        return Split(spare, draft.facts.replicas)
    stage = _stage(draft)
    split = split_at(draft, stage.share if stage is not None else 0)
    if goal_share(draft):
        return split
    # All traffic is stable's and needs its pods: more of the candidate's find room once it has a share.
    return Split(split.stable, min(split.candidate, pods.surge + pods.unavailable))


def split_at(draft: Draft, share: int) -> Split:
    """The pods of both arms at a share."""
    pods = room(draft)
    return capacity.at_share(pods, share) if routed(draft) else capacity.at_pod_ratio(pods, share)


def _stage(draft: Draft) -> Stage | None:
    """The stage whose pods are wanted: the current one; before the first, the first that has a share."""
    if draft.policy is None or draft.rollout is None:
        return None
    current = draft.policy.stages[draft.rollout.step - 1] if draft.rollout.step else None
    if current is not None and current.share:
        return current
    return next((stage for stage in draft.policy.stages if stage.share), None)


def goal_share(draft: Draft) -> int:
    """The share that the current phase wants in the end."""
    if draft.rollout is None or draft.policy is None:
        return 0
    if draft.rollout.phase == "Promoting":
        return WHOLE
    if draft.rollout.phase in ("Canary", "AwaitingApproval") and draft.rollout.step:
        return draft.policy.stages[draft.rollout.step - 1].share
    return 0


def real_share(draft: Draft, share: int) -> int:
    """The share that a step comes to: behind a plain Service, that of the nearest split of pods."""
    if routed(draft) or share in (0, WHOLE):
        return share
    return capacity.pod_share(capacity.at_pod_ratio(room(draft), share))


def following(draft: Draft) -> tuple[int, Stage] | None:
    """The number and stage of the next step; behind a plain Service those are left out that the same pods make up."""
    if draft.policy is None or draft.rollout is None:
        return None
    current = real_share(draft, goal_share(draft))
    for number, stage in enumerate(draft.policy.stages[draft.rollout.step :], draft.rollout.step + 1):
        if stage.kind == "Approval" or routed(draft) or real_share(draft, stage.share) != current:
            return number, stage
    return None


def at_its_share(draft: Draft) -> bool:
    """Whether the step's own share is on, the gateway obeys it, and the candidate is ready and warm for it."""
    if draft.candidate is None:
        return False
    switch = draft.facts.switch(draft.stable, draft.candidate)
    candidate, goal = draft.facts.pods(draft.candidate), goal_split(draft)
    up = candidate.ready >= goal.candidate and candidate.warm >= goal.candidate
    if routed(draft):
        return up and switch.accepted and switch.share(draft.candidate) == goal_share(draft)
    if not goal_share(draft):
        return up and switch.share(draft.candidate) == 0
    stable = draft.facts.pods(draft.stable)
    return (
        up and switch.share(draft.candidate) > 0 and stable.ready == goal.stable and candidate.asked == goal.candidate
    )


def shape(draft: Draft) -> Shape:
    """What to bring about now, on the way to the goal: within capacity, ready pods and what the gateway has accepted."""
    share = _share(draft)
    candidate = _candidate_pods(draft, share)
    return Shape(
        share=share,
        stable=_stable_pods(draft, candidate),
        candidate=candidate,
        previous=_previous_pods(draft),
        lags=_lags(draft, share),
    )


def live_share(draft: Draft) -> int:
    """The candidate's share as the route or Service has it."""
    return draft.facts.switch(draft.stable, draft.candidate).share(draft.candidate)


def _share(draft: Draft) -> int:
    if draft.candidate is None or draft.rollout is None:
        return 0
    live, pods = live_share(draft), draft.facts.pods(draft.candidate)
    if draft.rollout.phase == "RollingBack":
        waits = draft.facts.pods(draft.stable).ready == 0 and pods.ready > 0
        return live if waits else 0
    if pods.ready == 0:
        return 0
    if readiness.stable_down(draft):
        return WHOLE
    goal = goal_share(draft)
    if not routed(draft):
        return goal
    n = room(draft)
    wanted = goal_split(draft).candidate
    most = min(goal, capacity.carried(n, wanted, pods.ready))
    raised = min(goal, capacity.carried(n, wanted, pods.warm))
    if draft.facts.asked.paused:
        raised = min(raised, basis_points(draft.rollout.percent))
    return max(min(live, most), raised if raised > live and _may_rise(draft, live) else 0)


def _lags(draft: Draft, live: int) -> bool:
    """Whether the route is lower than status says although the candidate could carry that: somebody else lowered it."""
    before = draft.facts.observed.deployment.status.rollout
    if before is None or draft.running() is None or not routed(draft) or draft.facts.pods(draft.candidate).ready == 0:
        return False
    same = draft.rollout is not None and before.attempt == draft.rollout.attempt
    return same and live == live_share(draft) < basis_points(before.percent)


def _may_rise(draft: Draft, live: int) -> bool:
    """A share that this decision raises may rise; one that is lower than status says only after a fresh look without harm."""
    lags = _lags(draft, live)
    by_hand = (
        draft.rollout is not None and draft.rollout.reason == "PromotedByHand"
    )  # a person answers for missing data
    return not lags or draft.fresh or by_hand or not draft.balance.required


def _stable_pods(draft: Draft, candidate_pods: int) -> int:
    n, goal, stable = room(draft), goal_split(draft).stable, draft.facts.pods(draft.stable)
    if draft.candidate is None:
        return goal
    if goal >= stable.asked:
        return max(stable.asked, min(goal, n.most - candidate_pods))
    switch, ready = draft.facts.switch(draft.stable, draft.candidate), draft.facts.pods(draft.candidate).ready
    if not switch.accepted:
        return stable.asked
    share = switch.share(draft.candidate)
    if share and not routed(draft):
        share = WHOLE  # behind a plain Service the traffic follows the pods: none of it needs pods of stable's
    return capacity.stable_now(n, goal, share=share, pods=stable.asked, candidate_ready=ready)


def _candidate_pods(draft: Draft, share: int) -> int:
    if draft.candidate is None or draft.rollout is None:
        return 0
    n, goal, mine = room(draft), goal_split(draft).candidate, draft.facts.pods(draft.candidate)
    if draft.rollout.phase == "RollingBack":
        if share:
            return mine.asked  # it serves until stable does
        reached = live_share(draft) > 0 or not draft.facts.switch(draft.stable, draft.candidate).accepted
        return min(mine.asked, n.surge) if reached else 0
    if goal <= mine.asked:
        return goal
    others = sum(
        draft.facts.pods(name).running
        for name in draft.facts.observed.workloads
        if name not in (draft.stable, draft.candidate)
    )
    stable = draft.facts.pods(draft.stable).running
    return max(mine.asked, capacity.candidate_now(n, goal, stable_pods=stable, other_pods=others))


def _previous_pods(draft: Draft) -> int:
    """The previous revision keeps the pods that maxSurge leaves room for."""
    if draft.previous is None:
        return 0
    stable = draft.facts.pods(draft.stable)
    spare = max(0, room(draft).most - max(stable.running, draft.facts.replicas))
    return min(draft.facts.pods(draft.previous).asked, spare)
