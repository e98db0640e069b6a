"""Says when a rollout starts that its policy is not expected to reach a verdict at the traffic at hand; it starts all the same."""

from __future__ import annotations

from pointsman.api.values import WHOLE
from pointsman.evidence.model import Gate
from pointsman.rollout import reach
from pointsman.rollout.draft import Draft
from pointsman.rollout.policy import Policy
from pointsman.rollout.shape import real_share, split_at


def tell(draft: Draft, policy: Policy) -> None:
    """Post an Event and leave a line in status where a required gate is not expected to be proven within the deadline."""
    asked = {
        one.gate.name: reach.Asked(gate=one.numbers, rps=int(one.calibration.requests) / one.calibration.seconds)
        for one in draft.balance.required
        if isinstance(one.numbers, Gate) and one.calibration is not None and one.calibration.seconds > 0
    }
    stages = _stages(draft, policy)
    text = reach.sentence(asked, stages, deadline=policy.deadline.total_seconds())
    if text:
        draft.update(outlook=text[:1024])
        draft.event("VerdictOutOfReach", text, action="Start", warning=True)


def _stages(draft: Draft, policy: Policy) -> list[reach.Stage]:
    stages = []
    for stage in policy.stages:
        if stage.kind == "Canary":
            share = real_share(draft, stage.share)
            pods = split_at(draft, share)
            stages.append(
                reach.Stage(
                    share=share / WHOLE,
                    hold=stage.hold.total_seconds(),
                    candidate_pods=pods.candidate,
                    stable_pods=pods.stable,
                )
            )
    return stages
