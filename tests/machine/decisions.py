"""The promises that every single decision keeps, whatever it sees: each function is one of them."""

from __future__ import annotations

from pointsman.api import names
from pointsman.api.modeldeployment import RolloutStatus
from pointsman.rollout import asking
from pointsman.rollout.plan import Apply
from pointsman.rollout.policy import Policy
from tests.machine.sight import Sight, running


def percentages_are_percentages(sight: Sight) -> None:
    rollout = sight.after.rollout
    if rollout is not None:
        assert sight.after.candidate is not None
        assert 0 <= float(rollout.percent) <= 100


def harm_and_abort_end_the_attempt(sight: Sight) -> None:
    if sight.attempt is not None:
        value = "/".join(map(str, sight.attempt))
        if sight.facts.asked("abort", value) or sight.harmful:
            assert running(sight.after) != sight.attempt, "harm or abort, and the attempt goes on"


def what_is_over_has_no_traffic_left_by_this_plan(sight: Sight) -> None:
    """Where stable has a ready pod; else the plan that sees its first one takes the traffic back."""
    rollout, candidate, stable = sight.after.rollout, sight.after.candidate, sight.after.stable
    if rollout is None or rollout.phase != "RollingBack" or candidate is None or stable is None:
        return
    if sight.facts.pods(stable.revision).ready > 0:
        assert sight.share_left(candidate.revision) == 0, "the attempt is over, and its candidate keeps traffic"


def what_is_over_stays_over(sight: Sight) -> None:
    before, after = sight.before.rollout, sight.after.rollout
    if (
        before is not None
        and before.phase == "RollingBack"
        and after is not None
        and sight.before.candidate is not None
    ):
        over = (sight.before.candidate.revision, before.attempt)
        assert running(sight.after) != over, "an attempt that was over runs again"


def a_step_ends_with_a_verdict_that_allows_it(sight: Sight) -> None:
    """No harm, data, the hold, an approval where one is asked for, and room for the next share."""
    before, after, policy = sight.before.rollout, sight.after.rollout, sight.policy
    if before is None or after is None or policy is None or running(sight.after) != sight.attempt:
        return
    if after.phase not in ("Shadow", "Canary", "AwaitingApproval") or after.step <= before.step:
        return
    coming = policy.stages[after.step - 1]
    assert not sight.facts.asked.paused, "paused, and a step ends"
    assert not sight.balance.harm
    if before.phase == "AwaitingApproval":
        assert approved(sight), "nobody has approved"
    else:
        assert sight.balance.observed, "a step begins or ends without data"
    if before.phase in ("Shadow", "Canary"):
        assert before.hold_started_at is not None
        assert sight.now >= before.hold_started_at + policy.stages[before.step - 1].hold, "a step ends before its hold"
    if sight.mirrors(policy) and not coming.mirror:
        assert asking.unproven_answers(sight.balance) is None, "nobody asks about the answers any more"
    if coming.kind == "Canary" and before.step and policy.stages[before.step - 1].share:
        assert sight.balance.room_for(coming.share), "a share that is not known to be safe"


def a_promotion_has_a_reason(sight: Sight) -> None:
    before, after, policy = sight.before.rollout, sight.after.rollout, sight.policy
    if before is None or after is None or policy is None or running(sight.after) != sight.attempt:
        return
    if after.phase == "Promoting" != before.phase:
        match after.reason:
            case "PromotedByHand":
                assert sight.attempt is not None
                assert sight.facts.asked("promote", "/".join(map(str, sight.attempt)))
            case "StableUnavailable":
                assert sight.ready("stable") == 0 < sight.ready("candidate")
                assert not sight.facts.asked.paused
            case "Undecided":
                assert policy.when_undecided == "Promote"
                assert sight.balance.observed
                assert is_overdue(before, sight)
            case reason:
                assert reason in ("Proven", "Approved")
                is_proven(sight, policy)


def is_proven(sight: Sight, policy: Policy) -> None:
    """Safe on the evidence of this step, its hold over, and approved where the last step is an approval."""
    before = sight.before.rollout
    assert before is not None
    assert not sight.facts.asked.paused
    assert not sight.balance.harm
    assert sight.balance.safe, "promoted without proof"
    if policy.stages[before.step - 1].kind == "Approval":
        assert approved(sight)


def is_overdue(before: RolloutStatus, sight: Sight) -> bool:
    """Whether the deadline is over."""
    return before.deadline_at is not None and sight.now >= before.deadline_at


def approved(sight: Sight) -> bool:
    """Whether somebody has approved the current step, now or before."""
    assert sight.attempt is not None
    assert sight.before.rollout is not None
    value = "/".join(map(str, (*sight.attempt, sight.before.rollout.step)))
    asked = sight.observed.deployment.annotations.get(names.APPROVE) == value
    return asked or any(action.name == "approve" and action.value == value for action in sight.before.actions)


def as_many_as_needed_stay_ready(sight: Sight) -> None:
    """What is scaled down leaves N - U ready pods that get requests in both arms together, as far as they were there."""
    status = sight.after
    if status.stable is None or (status.rollout is not None and status.rollout.phase == "RollingBack"):
        return  # taking back is not done by halves: the candidate's pods make room for stable's
    arms = [arm.revision for arm in (status.stable, status.candidate, status.previous) if arm is not None]
    candidate = status.candidate.revision if status.candidate is not None else None
    switch = sight.facts.switch(status.stable.revision, candidate)
    left = {name: sight.facts.pods(name).ready for name in arms if switch.share(name)}
    had, shrinks = sum(left.values()), False
    for write in sight.plan.after:
        if (
            isinstance(write, Apply)
            and write.object["kind"] == "Deployment"
            and write.object["metadata"]["name"] in left
        ):
            name, wanted = write.object["metadata"]["name"], write.object["spec"]["replicas"]
            shrinks = shrinks or wanted < sight.facts.pods(name).asked
            left[name] = min(left[name], wanted)
    if shrinks:
        assert sum(left.values()) >= min(had, sight.room.fewest), ("too few stay ready", left, sight.room)


def stable_gives_up_pods_only_once_the_gateway_obeys(sight: Sight) -> None:
    if sight.attempt is None or sight.before.stable is None or running(sight.after) != sight.attempt:
        return
    stable = sight.before.stable.revision
    for write in sight.plan.after:
        if not isinstance(write, Apply) or write.object["kind"] != "Deployment":
            continue
        fewer = write.object["spec"]["replicas"] < sight.facts.pods(stable).asked
        if write.object["metadata"]["name"] == stable and fewer:
            assert sight.facts.switch(stable, sight.attempt[0]).accepted, "pods go that may still get requests"


def taking_back_leaves_nobody_without_a_server(sight: Sight) -> None:
    """Where stable has no ready pod, a candidate that has one keeps its share until stable has."""
    rollout, candidate, stable = sight.after.rollout, sight.after.candidate, sight.after.stable
    if rollout is None or rollout.phase != "RollingBack" or candidate is None or stable is None:
        return
    if sight.facts.pods(stable.revision).ready == 0 < sight.facts.pods(candidate.revision).ready:
        had = sight.facts.switch(stable.revision, candidate.revision).share(candidate.revision)
        assert (sight.share_left(candidate.revision) > 0) == (had > 0), "traffic for pods that are not there"


def what_is_mirrored_has_somebody_to_look_at_it(sight: Sight) -> None:
    """Copies begin with a ready inspector, and there are none of a version without a ready pod."""
    for write in (*sight.plan.lower, *sight.plan.after):
        if not isinstance(write, Apply) or write.object["kind"] != "HTTPRoute":
            continue
        filters = write.object["spec"]["rules"][0].get("filters", ())
        for copies in (one["requestMirror"] for one in filters):
            assert sight.after.stable is not None
            inspector = copies["backendRef"]["name"]
            about = sight.after.candidate or sight.after.stable
            assert inspector == names.inspector(about.revision), "copies for an inspector of nobody"
            assert sight.facts.pods(about.revision).ready > 0, "copies for a version that does not serve"
            before = sight.facts.switch(sight.after.stable.revision, None)
            if before.inspector != inspector or before.mirrored == 0:
                assert sight.facts.pods(inspector).ready > 0, "copies begin, and no inspector is ready"
            rollout = sight.after.rollout
            assert rollout is None or rollout.phase in ("Shadow", "AwaitingApproval"), "copies in another step"


PROMISES = (
    what_is_mirrored_has_somebody_to_look_at_it,
    stable_gives_up_pods_only_once_the_gateway_obeys,
    taking_back_leaves_nobody_without_a_server,
    percentages_are_percentages,
    harm_and_abort_end_the_attempt,
    what_is_over_has_no_traffic_left_by_this_plan,
    what_is_over_stays_over,
    a_step_ends_with_a_verdict_that_allows_it,
    a_promotion_has_a_reason,
    as_many_as_needed_stay_ready,
)
