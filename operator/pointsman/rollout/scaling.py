"""N, the pods that all of the traffic needs: as the spec says, or as the HPAs of both arms count it.

An HPA asks for no fewer pods than its arm's traffic needs, so what they come to at that arm's share is enough for all of it,
and so is what both arms ask for together. N stays as it is during a step: pods that come and go with the load are no
change of the rollout.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from pointsman.api.modeldeployment import KeptPods
from pointsman.api.values import WHOLE
from pointsman.rollout.draft import Draft

SETTLING = timedelta(minutes=5)
"""So long an HPA remembers what it saw before it takes pods away (Kubernetes' own default for scaling down)."""


def replicas(draft: Draft) -> int:
    """N now."""
    spec = draft.facts.observed.deployment.spec
    if spec.autoscaling is None:
        return spec.replicas or 1
    counted = draft.rollout.replicas if draft.rollout is not None else None
    if counted is None:
        counted = max(draft.facts.pods(draft.stable).asked, idle_pods(draft))
    return spec.autoscaling.clamp(counted)


def idle_pods(draft: Draft) -> int:
    """The fewest pods of stable while no rollout runs."""
    spec = draft.facts.observed.deployment.spec
    if spec.autoscaling is None:
        return spec.replicas or 1
    return spec.autoscaling.clamp(draft.kept_pods.replicas if draft.kept_pods is not None else 0)


def adopt(draft: Draft) -> None:
    """A running rollout counts as the spec says now, whatever it said when the rollout began."""
    if draft.rollout is None:
        return
    if draft.facts.autoscaling is None:
        draft.rollout = draft.rollout.model_copy(update={"replicas": None})
    elif draft.rollout.replicas is None:
        for_candidate(draft)


def for_candidate(draft: Draft) -> None:
    """All of the traffic goes to the candidate: N is what its pods come to then."""
    stable, candidate = _arms(draft)
    _raise(draft, _for_all(candidate, stable))


def for_stable(draft: Draft) -> None:
    """All of the traffic goes back to stable: N is what its pods come to then, whatever a bad candidate's HPA makes of it."""
    stable, candidate = _arms(draft)
    _raise(draft, _for_all(stable, candidate))


def for_step(draft: Draft) -> None:
    """A step begins: N follows where stable's HPA asks for more than N for a part of the traffic.

    Else the candidate would get a share of today's traffic with a share of yesterday's pods. Up to N they may be pods that
    the HPA has not taken away yet.
    """
    if draft.facts.pods(draft.stable).asked > replicas(draft):
        for_candidate(draft)


def keep(draft: Draft) -> None:
    """A rollout is over: its pods stay until the HPA's metrics show all of the traffic, which they trail."""
    if draft.facts.autoscaling is not None:
        draft.kept_pods = KeptPods(replicas=replicas(draft), until=draft.now + SETTLING)


def expire(draft: Draft) -> None:
    """Let the HPA count alone again when the time is over."""
    if draft.kept_pods is None:
        return
    if draft.facts.autoscaling is None or draft.now >= draft.kept_pods.until:
        draft.kept_pods = None
    else:
        draft.wakes.append(draft.kept_pods.until)


@dataclass(frozen=True)
class _Arm:
    asked: int
    share: int


def _arms(draft: Draft) -> tuple[_Arm, _Arm]:
    share = draft.facts.switch(draft.stable, draft.candidate).share(draft.candidate)
    stable, candidate = draft.facts.pods(draft.stable), draft.facts.pods(draft.candidate)
    return _Arm(stable.asked, WHOLE - share), _Arm(candidate.asked, share)


def _for_all(winner: _Arm, other: _Arm) -> int:
    """Pods for all of the traffic: what the winner's for its share come to, but no more than both have."""
    if winner.share == 0:
        return other.asked
    asked = winner.asked + (other.asked if other.share else 0)
    return min(asked, -(-winner.asked * WHOLE // winner.share))


def _raise(draft: Draft, counted: int) -> None:
    """N never falls during a rollout."""
    if draft.facts.autoscaling is None or draft.rollout is None:
        return
    draft.update(replicas=draft.facts.autoscaling.clamp(max(counted, draft.rollout.replicas or 0)))
