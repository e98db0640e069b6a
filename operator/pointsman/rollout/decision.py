"""The decision: what is observed and the time in, a plan out. Pure; every rule is one small step of `decide`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pointsman.api.values import WHOLE, ApiModel, basis_points, percent
from pointsman.rollout import children, course, folding, notices, readiness, report, scaling, steps, watching
from pointsman.rollout.draft import Draft
from pointsman.rollout.facts import Facts
from pointsman.rollout.observed import Observed
from pointsman.rollout.plan import Apply, Plan
from pointsman.rollout.shape import ALL_BUT_THE_LEAST, LEAST, Shape, goal_share, live_share, routed, shape
from pointsman.signals.profiles import Unanswerable
from pointsman.signals.reading import Watch, stale_after

_LOOKING = ("Warming", "Shadow", "Canary", "AwaitingApproval", "Promoting")


def decide(observed: Observed, now: datetime) -> Plan:
    """What to do about one ModelDeployment, as observed, at `now`."""
    draft = begin(observed, now)
    fold([draft])
    return end(draft)


def begin(observed: Observed, now: datetime) -> Draft:
    """A decision up to what Prometheus has said since the last one."""
    draft = course.adopt(Facts(observed, now))
    course.follow_spec(draft)
    course.obey_abort(draft)
    watching.look(draft)
    return draft


def fold(drafts: Sequence[Draft]) -> None:
    """What Prometheus has said becomes evidence: of many decisions at once, which takes little longer than of one."""
    steps.fold(drafts)


def end(draft: Draft) -> Plan:
    """A decision from the verdicts on."""
    steps.weigh(draft)
    readiness.judge(draft)
    steps.advance(draft)
    course.finish(draft)
    course.start(draft)
    course.expire_previous(draft)
    scaling.expire(draft)
    _served(draft)
    wanted = shape(draft)
    readiness.asked_for_more(draft, wanted.candidate)
    _say(draft, wanted)
    written = children.writes(draft, wanted)
    return _plan(draft, wanted, written)


def pods_wanted(observed: Observed) -> frozenset[str]:
    """The revisions and inspectors whose pods to list before deciding: those that are not as ready as they should be."""
    status = observed.deployment.status
    facts = Facts(observed, datetime.min)  # noqa: DTZ901  pods do not depend on the time
    arms = {arm.revision for arm in (status.stable, status.candidate) if arm is not None}
    wanted = set()
    for name in arms | facts.inspectors:
        seen = facts.pods(name)
        if seen.exists and seen.ready < seen.least:
            wanted.add(name)
    if status.stable is not None and status.rollout is not None and status.rollout.restarts + 1 >= readiness.RESTARTS:
        wanted |= {status.stable.revision} & observed.workloads.keys()  # to compare restarts
    return frozenset(wanted)


def _served(draft: Draft) -> None:
    """Note when a stable revision served first: from then on it is never replaced without a comparison."""
    if draft.stable is None or draft.record(draft.stable).served_at is not None:
        return
    if draft.facts.pods(draft.stable).ready > 0:
        draft.keep(draft.stable, served_at=draft.now)
    elif draft.facts.observed.revisions.get(draft.stable) is not None:
        since = draft.facts.observed.revisions[draft.stable].created_at
        draft.wakes.append(draft.now + readiness.patience(draft.now - since))


def _say(draft: Draft, wanted: Shape) -> None:
    """Write the share and the words of this decision into the rollout's status."""
    if draft.rollout is None:
        return
    share = wanted.share if routed(draft) or not wanted.share else live_share(draft)
    if share == ALL_BUT_THE_LEAST and goal_share(draft) == WHOLE:
        share = WHOLE  # decided on: the rest of stable's follows without another word
    before = draft.facts.observed.deployment.status.rollout
    if before is not None and before.attempt == draft.rollout.attempt and wanted.lags:
        share = basis_points(before.percent)  # still decided on: the route is raised to it after a fresh look
    steps.foresee_hold(draft, wanted.share)
    draft.update(percent=percent(share), shadow_percent=percent(wanted.mirror), message=report.message(draft))


def _plan(draft: Draft, wanted: Shape, written: children.Writes) -> Plan:
    observed = draft.facts.observed
    status = notices.owed(draft, report.status(draft, wanted))
    report.tell_refusal(draft, status)
    watching.tell(draft, status)
    changed = _differ(status, observed.deployment.status)
    moved = status.rollout is not None and _moved(draft)
    report.save_evidence(draft, commits=moved or _raises(draft, wanted))
    watching.save(draft)
    created = {
        write.object["metadata"]["name"]
        for write in written.prepare
        if isinstance(write, Apply) and write.object["kind"] == "ModelRevision"
    }
    revisions = {
        name: new
        for name, new in draft.revisions.items()
        if _differ(new, draft.facts.record(name)) and (name in observed.revisions or name in created)
    }
    looked_at = _watch(draft) if draft.candidate is not None else watching.watch(draft)
    return Plan(
        lower=tuple(written.lower),
        prepare=tuple(written.prepare),
        revisions=revisions,
        status=status if changed else None,
        after=tuple(written.after),
        events=tuple(draft.events),
        notices=notices.notices(draft, status),
        wake_at=min((at for at in draft.wakes if at > draft.now), default=None),
        evidence=draft.evidence,
        vigil=draft.vigil,
        weighed=draft.balance.gates,
        watch=looked_at,
        interval=_interval(draft, looked_at),
    )


def _differ(one: ApiModel, other: ApiModel) -> bool:
    """Whether they are written differently; mostly they are the same, which is quicker to see."""
    return one != other and one.dump() != other.dump()


def _moved(draft: Draft) -> bool:
    """Whether this decision changes the step or the phase."""
    before = draft.facts.observed.deployment.status.rollout
    now = draft.rollout
    return before is None or now is None or (before.phase, before.step) != (now.phase, now.step)


def _raises(draft: Draft, wanted: Shape) -> bool:
    """Whether this decision raises a share by what was seen just now.

    What follows the least share a second later rests on nothing newer than that, and a promotion on what it was decided by.
    """
    promoting = draft.rollout is not None and draft.rollout.phase == "Promoting"
    return wanted.share > live_share(draft) != LEAST and not promoting


def _interval(draft: Draft, looked_at: Watch | None) -> timedelta | None:
    if draft.policy is not None:
        return min(draft.policy.interval, draft.look_within)
    return None if looked_at is None else looked_at.interval


def _watch(draft: Draft) -> Watch | None:
    """What to look at until the next decision."""
    running = draft.running()
    if running is None or draft.policy is None or draft.stable is None or running[1].phase not in _LOOKING:
        return None
    questions = tuple(one for one in draft.questions().values() if not isinstance(one, Unanswerable))
    if not questions:
        return None
    compared = [one.gate for one in questions if folding.needs_past(one)]
    return Watch(
        namespace=draft.facts.observed.deployment.namespace,
        stable=draft.stable,
        candidate=running[0],
        questions=questions,
        stale_after=stale_after(draft.policy.interval),
        calibrate=folding.HISTORY if folding.uncalibrated(draft.evidence, compared) else None,
        interval=draft.policy.interval,
        warmup=draft.policy.warmup_requests,
    )
