"""The shape to bring about now: the candidate's share, and the pods of every revision."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pointsman.api import names
from pointsman.api.values import WHOLE, basis_points
from pointsman.rollout import capacity, readiness, scaling
from pointsman.rollout.capacity import Room, Split
from pointsman.rollout.draft import Draft
from pointsman.rollout.policy import Stage
from pointsman.rollout.policy import room as policy_room

LEAST = 1
"""Basis points with which the candidate's share begins and with which stable's ends. A gateway finds out where a backend is when that
gets its first share, and fails the requests that come before it knows; and it forgets a backend before it stops sending to it (ADR 0015)."""
ALL_BUT_THE_LEAST = WHOLE - LEAST


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What decide wants now.

    share      the candidate's, in basis points; behind a plain Service: whether it is selected at all (0 or not)
    stable, candidate   pods to ask for
    previous   pods of the previous revision that are kept
    most       with `autoscaling`: how many the HPAs of both arms may make of theirs; 0: that arm has no HPA
    lags       the route is lower than what was decided, and is raised to it only after a fresh look
    mirror     of the requests that the inspector gets a copy of, in basis points
    inspected  the revision that has an inspector
    """

    share: int
    stable: int
    candidate: int
    previous: int
    most: Split
    lags: bool = False
    mirror: int = 0
    inspected: str | None = None


def routed(draft: Draft) -> bool:
    """Whether weights split the traffic; else the pods behind a plain Service do."""
    return draft.facts.traffic is not None


def room(draft: Draft) -> Room:
    """Capacity in pods."""
    found = policy_room(draft.policy or draft.facts.policy, scaling.replicas(draft))
    autoscaling = draft.facts.autoscaling
    return found if autoscaling is None else replace(found, ceiling=autoscaling.max_replicas)


def goal_split(draft: Draft) -> Split:
    """The pods that the current phase wants in the end."""
    if draft.rollout is None:
        return Split(scaling.idle_pods(draft), 0)
    pods = room(draft)
    if draft.policy is None or draft.rollout.phase == "RollingBack":
        return Split(pods.replicas, 0)
    if draft.policy.approvals_only:
        return Split(pods.replicas, pods.replicas)
    if draft.rollout.phase == "Promoting":
        spare = min(pods.surge, pods.replicas) if draft.policy.keep_previous else 0
        return Split(spare, pods.replicas)
    split = split_at(draft, _next_share(draft))
    if goal_share(draft):
        return split
    # All traffic is stable's and needs its pods: more of the candidate's find room once it has a share.
    return Split(split.stable, min(split.candidate, pods.surge + pods.unavailable))


def split_at(draft: Draft, share: int) -> Split:
    """The pods of both arms at a share."""
    pods = room(draft)
    return capacity.at_share(pods, share) if routed(draft) else capacity.at_pod_ratio(pods, share)


def _next_share(draft: Draft) -> int:
    """The share whose pods are wanted: the current step's; before the first, that of the first that has one, or is mirrored."""
    if draft.policy is None or draft.rollout is None:
        return 0
    stages = draft.policy.stages
    shares = (*([stages[draft.rollout.step - 1].share] if draft.rollout.step else ()), *(one.share for one in stages))
    return next((share for share in shares if share), max((one.mirror for one in stages), default=0))


def _mirror(draft: Draft) -> int:
    """What is mirrored now: begun when inspector and candidate are ready for it, and kept while the candidate has a pod."""
    if draft.candidate is None:
        return _watched(draft)
    goal = draft.goal_mirror
    if not goal or draft.candidate is None or draft.facts.pods(draft.candidate).ready == 0:
        return 0
    switch, name = draft.facts.switch(draft.stable, draft.candidate), names.inspector(draft.candidate)
    live = switch.mirrored if switch.inspector == name else 0
    waits = draft.facts.pods(name).ready == 0 or draft.facts.pods(draft.candidate).warm < goal_split(draft).candidate
    return live if live != goal and (waits or draft.facts.asked.paused) else goal


def _watched(draft: Draft) -> int:
    """What is mirrored of a version that serves alone; a spec that is refused changes nothing of it."""
    if draft.stable is None or draft.facts.asked.paused or draft.facts.pods(draft.stable).ready == 0:
        return 0
    switch, name = draft.facts.switch(draft.stable, None), names.inspector(draft.stable)
    live = switch.mirrored if switch.inspector == name else 0
    goal = live if not draft.facts.accepted else 0 if draft.watching is None else draft.watching.mirror
    return live if goal and draft.facts.pods(name).ready == 0 else goal


def _inspected(draft: Draft) -> str | None:
    """The revision that needs an inspector, now or for the first step."""
    if draft.candidate is None:
        refused = not draft.facts.accepted and not draft.facts.asked.paused
        return draft.stable if _watched(draft) or draft.watching is not None or refused else None
    if draft.running() is None or draft.policy is None or draft.rollout is None:
        return None
    preparing = draft.rollout.phase in ("Preparing", "Warming")
    needed = draft.goal_mirror > 0 or (preparing and draft.policy.stages[0].mirror > 0)
    return draft.candidate if needed else None


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
        split = (switch.share(draft.candidate), switch.mirrored)
        return up and switch.accepted and split == (goal_share(draft), draft.goal_mirror)
    if not goal_share(draft):
        return up and switch.share(draft.candidate) == 0
    stable = draft.facts.pods(draft.stable)
    return (
        up and switch.share(draft.candidate) > 0 and stable.ready == goal.stable and candidate.asked == goal.candidate
    )


def shape(draft: Draft) -> Shape:
    """What to bring about now, on the way to the goal: within capacity, ready pods and what the gateway has accepted."""
    mirror = _mirror(draft)
    share = _before_copies_end(draft, _share(draft), mirror)
    candidate = _candidate_pods(draft, share)
    stable = _stable_pods(draft, candidate)
    return Shape(
        share=share,
        stable=stable,
        candidate=candidate,
        previous=_previous_pods(draft),
        most=_most(draft, share, Split(stable, candidate)),
        lags=_lags(draft, share),
        mirror=mirror,
        inspected=_inspected(draft),
    )


def _before_copies_end(draft: Draft, share: int, mirror: int) -> int:
    """The share, which rises only after the copies have ended: what takes them away waits for no status, what raises does."""
    live = live_share(draft)
    return live if share > live and mirror < draft.facts.switch(draft.stable, draft.candidate).mirrored else share


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
    share = max(min(live, most), raised if raised > live and _may_rise(draft, live) else 0)
    return _by_the_least(draft, live, share)


def _by_the_least(draft: Draft, live: int, share: int) -> int:
    """The share, with the least of the candidate's before any more, and the least of stable's before none."""
    if _unknown_to_gateway(draft, live):
        return min(share, LEAST)
    return ALL_BUT_THE_LEAST if share == WHOLE and _sends_to_stable(draft, live) else share


def _unknown_to_gateway(draft: Draft, live: int) -> bool:
    """Whether the gateway may not know yet where the candidate is: no share was decided on, or it has not taken the first."""
    if max(live, _decided(draft)) > LEAST:
        return False
    return live == 0 or not _obeyed_for_a_moment(draft)


def _sends_to_stable(draft: Draft, live: int) -> bool:
    """Whether the gateway's proxies may still send more than the least to stable."""
    if live == WHOLE:
        return False
    return live < ALL_BUT_THE_LEAST or not _obeyed_for_a_moment(draft)


def _obeyed_for_a_moment(draft: Draft) -> bool:
    """Whether the gateway obeys the last raise and has for a moment.

    It says so as soon as it has told its proxies, which take longer: to find the endpoints of a backend, to let one go.
    """
    if not draft.facts.switch(draft.stable, draft.candidate).accepted:
        return False
    begins = None if draft.rollout is None else draft.rollout.hold_started_at
    if begins is None or draft.now >= begins:
        return True
    draft.wakes.append(begins)
    return False


def _decided(draft: Draft) -> int:
    """The share that was decided on before, in this attempt."""
    before = draft.facts.observed.deployment.status.rollout
    same = before is not None and draft.rollout is not None and before.attempt == draft.rollout.attempt
    return basis_points(before.percent) if same and before is not None else 0


def _lags(draft: Draft, live: int) -> bool:
    """Whether the route is lower than status says although the candidate could carry that: somebody else lowered it.

    All but the least is not lower: status has said 100 % with it.
    """
    if draft.running() is None or not routed(draft) or draft.facts.pods(draft.candidate).ready == 0:
        return False
    return ALL_BUT_THE_LEAST != live == live_share(draft) < _decided(draft)


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
    if goal >= stable.least:
        # A candidate that goes on gives up its pods last of all writes, one that is taken back gives them up first.
        taken = max(candidate_pods, draft.facts.pods(draft.candidate).asked) if draft.running() else candidate_pods
        return max(stable.least, min(goal, n.limit - taken))
    return _given_up(draft, goal, stable.least)


def _given_up(draft: Draft, goal: int, pods: int) -> int:
    """What is left of so many pods of stable where the goal is less."""
    switch, ready = draft.facts.switch(draft.stable, draft.candidate), draft.facts.pods(draft.candidate).ready
    if not switch.accepted:
        return pods
    share = switch.share(draft.candidate)
    if share and not routed(draft):
        share = WHOLE  # behind a plain Service the traffic follows the pods: none of it needs pods of stable's
    return capacity.stable_now(room(draft), goal, share=share, pods=pods, candidate_ready=ready)


def _candidate_pods(draft: Draft, share: int) -> int:
    if draft.candidate is None or draft.rollout is None:
        return 0
    n, goal, mine = room(draft), goal_split(draft).candidate, draft.facts.pods(draft.candidate)
    if draft.rollout.phase == "RollingBack":
        if share:
            return min(mine.least, n.limit - 1)  # it serves until stable does, and leaves room for stable's first pod
        reached = live_share(draft) > 0 or not draft.facts.switch(draft.stable, draft.candidate).accepted
        return min(mine.asked, n.surge) if reached else 0
    if goal <= mine.least:
        return goal
    stable = draft.facts.pods(draft.stable).running
    return max(mine.least, capacity.candidate_now(n, goal, stable_pods=stable, other_pods=_others(draft)))


def _most(draft: Draft, share: int, pods: Split) -> Split:
    """How many pods the HPAs may make of those that the rule asks for; what is given up is given up as safely as those."""
    autoscaling = draft.facts.autoscaling
    if autoscaling is None or draft.stable is None:
        return Split(0, 0)
    if draft.candidate is None or draft.rollout is None:
        return Split(max(pods.stable, autoscaling.max_replicas), 0)
    n, goal, stable = room(draft), goal_split(draft), draft.facts.pods(draft.stable)
    wanted = Split(0, 0)  # behind a plain Service the pods are the share: an HPA would change it
    if routed(draft):
        wanted = capacity.most_at_share(n, live_share(draft))
    held = _given_up(draft, goal.stable, stable.asked) if goal.stable < stable.asked else 0
    room_left = n.limit - max(pods.candidate, goal.candidate)
    most = max(pods.stable, held, min(wanted.stable, room_left))
    others = max(most, stable.running) + _others(draft)
    candidate = max(pods.candidate, min(wanted.candidate, n.limit - others))
    serves = draft.running() is not None or share > 0
    return Split(most if pods.stable else 0, candidate if pods.candidate and serves else 0)


def _others(draft: Draft) -> int:
    """Pods of revisions that are no arm any more."""
    return sum(
        draft.facts.pods(name).running
        for name in draft.facts.observed.workloads
        if name not in (draft.stable, draft.candidate) and name not in draft.facts.inspectors
    )


def _previous_pods(draft: Draft) -> int:
    """The previous revision keeps the pods that maxSurge leaves room for."""
    if draft.previous is None:
        return 0
    stable = draft.facts.pods(draft.stable)
    n = room(draft)
    spare = max(0, n.most - max(stable.running, n.replicas))
    return min(draft.facts.pods(draft.previous).asked, spare)
