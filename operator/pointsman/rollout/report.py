"""What a decision tells people: the ModelDeployment's status with its conditions, and the records of revisions."""

from __future__ import annotations

from datetime import timedelta

from pointsman.api import conditions as c
from pointsman.api.modeldeployment import ArmStatus, ModelDeploymentStatus
from pointsman.api.values import percent
from pointsman.rollout import actions, readiness, watching, wording
from pointsman.rollout.acceptance import Refusal
from pointsman.rollout.draft import Draft
from pointsman.rollout.record import is_due
from pointsman.rollout.shape import Shape, live_share, routed
from pointsman.rollout.steps import past_deadline
from pointsman.rollout.weighing import Weighed
from pointsman.signals.profiles import Unanswerable
from pointsman.signals.queries import Labels, pasted

SAVE_EVERY = timedelta(minutes=1)
_REST = timedelta(seconds=45)  # after what a step has written
_Says = tuple[bool | None, str, str]


def status(draft: Draft, wanted: Shape) -> ModelDeploymentStatus:
    """The status to write; equal to the one that is there where nothing changed."""
    facts, deployment = draft.facts, draft.facts.observed.deployment
    generation = deployment.generation
    said: dict[str, _Says] = {
        c.ACCEPTED: _accepted(draft),
        c.READY: _ready(draft),
        c.UP_TO_DATE: _up_to_date(draft),
        c.OBSERVED: _observed(draft),
        c.PAUSED: _paused(draft),
    }
    drift = watching.drifted(draft)
    if drift is not None:
        said[c.DRIFTED] = drift
    said[c.RECONCILING] = _reconciling(draft)
    said[c.STALLED] = _stalled(draft, said[c.ACCEPTED])
    written = [
        c.condition(kind, holds=holds, reason=reason, message=message, now=draft.now, generation=generation)
        for kind, (holds, reason, message) in said.items()
    ]
    traffic = facts.traffic
    return ModelDeploymentStatus(
        observed_generation=generation,
        url=f"http://{traffic.hostnames[0]}" if traffic is not None and traffic.hostnames else None,
        stable=_arm(draft, draft.stable, _counted(draft, draft.stable, wanted.stable, wanted.most.stable)),
        candidate=_arm(
            draft, draft.candidate, _counted(draft, draft.candidate, wanted.candidate, wanted.most.candidate)
        ),
        previous=_arm(draft, draft.previous, wanted.previous),
        previous_until=draft.previous_until,
        kept_pods=draft.kept_pods,
        rollout=draft.rollout,
        actions=draft.actions,
        history=draft.history,
        conditions=c.merge(deployment.status.conditions, written),
    )


def tell_refusal(draft: Draft, status_: ModelDeploymentStatus) -> None:
    """Post an Event when the spec begins to be refused, or is refused for another reason."""
    before = c.find(draft.facts.observed.deployment.status.conditions, c.ACCEPTED)
    said = c.find(status_.conditions, c.ACCEPTED)
    if said is None or said.status != "False":
        return
    if before is None or (before.status, before.reason, before.message) != (said.status, said.reason, said.message):
        draft.event(said.reason, said.message, action="Accept", warning=True)


def _counted(draft: Draft, revision: str | None, pods: int, most: int) -> int:
    """Pods of an arm: what the rule asks for, or its HPA, which may ask for more."""
    return max(pods, min(draft.facts.pods(revision).asked, most))


def _arm(draft: Draft, revision: str | None, replicas: int) -> ArmStatus | None:
    if revision is None:
        return None
    ready = min(replicas, draft.facts.pods(revision).ready)
    return ArmStatus(revision=revision, version=draft.version(revision), replicas=replicas, ready_replicas=ready)


def _accepted(draft: Draft) -> _Says:
    found = draft.facts.found
    if isinstance(found, Refusal):
        return False, found.reason, found.message
    running = draft.running()
    if (
        running is not None
        and draft.policy is not None
        and draft.policy.fields != found.fields
        and running[0] == found.revision
    ):
        return True, "PolicyChanged", "the policy changed since this attempt began: it acts from the next attempt on"
    served = None if draft.stable is None else draft.facts.spec(draft.stable)
    if (
        served is not None
        and served.runtime is not None
        and found.revision == draft.stable
        and found.runtime is not None
    ):
        runs, offered = served.runtime.generation, found.runtime.generation
        if runs != offered:
            return (
                True,
                "RuntimeChanged",
                f"ModelRuntime {found.runtime.name} changed (generation {runs} runs, {offered} is current): the next revision takes it",
            )
    return True, "Accepted", ""


def _ready(draft: Draft) -> _Says:
    if draft.stable is None:
        return False, "NotAccepted", "nothing serves: the spec is not accepted"
    pods = draft.facts.pods(draft.stable)
    switch = draft.facts.switch(draft.stable, draft.candidate)
    if pods.ready == 0:
        why = readiness.trouble(draft.facts.observed.pods.get(draft.stable, ())) or pods.problem
        return False, "NoReadyPod", f"no pod of {draft.stable} is ready" + (f": {why}" if why else "")
    if routed(draft) and not switch.accepted and not _settling(draft, pending=switch.pending):
        return False, "RouteNotAccepted", switch.problem or ""
    return True, "Serving", f"version {draft.version(draft.stable)} serves"


def _settling(draft: Draft, *, pending: bool) -> bool:
    """Whether the gateway obeyed before and is just taking new weights: no reason to call a serving model unready."""
    before = c.find(draft.facts.observed.deployment.status.conditions, c.READY)
    return before is not None and before.status == "True" and pending


def _up_to_date(draft: Draft) -> _Says:
    facts = draft.facts
    if draft.candidate is not None and draft.rollout is not None:
        return _running(draft)
    if draft.stable is None or not facts.accepted:
        same = draft.stable is not None and facts.target == draft.stable
        return (True, "UpToDate", "") if same else (False, "NotAccepted", "the spec is not accepted")
    if facts.target == draft.stable:
        if facts.pods(draft.stable).ready:
            return True, "UpToDate", f"version {draft.version(draft.stable)} takes all traffic"
        return False, "InProgress", f"version {draft.version(draft.stable)} is not ready yet"
    last = next((entry for entry in draft.history if entry.revision == facts.target), None)
    if last is None:
        return False, "InProgress", ""
    retry = actions.command(
        "retry",
        actions.attempt_value(last.revision, last.attempt),
        namespace=facts.observed.deployment.namespace,
        deployment=facts.observed.deployment.name,
    )
    return False, last.outcome, f"version {last.version}: {last.message}. To try it again: {retry}"


def _running(draft: Draft) -> _Says:
    rollout = draft.rollout
    if rollout is None:
        raise AssertionError("no rollout runs")
    if rollout.phase == "RollingBack":
        if live_share(draft) and draft.facts.pods(draft.stable).ready == 0:
            return False, "WaitingForStable", "the candidate serves until stable has a ready pod: " + rollout.message
        outcome = draft.history[0].outcome if draft.history else "RolledBack"
        return False, outcome, rollout.message
    if draft.facts.asked.paused:
        return False, "Paused", rollout.message
    if rollout.phase == "AwaitingApproval" and rollout.clock_stopped_at is not None:
        return False, "AwaitingApproval", rollout.message
    if past_deadline(draft):
        return False, "Undecided", rollout.message
    return False, "InProgress", rollout.message


def _observed(draft: Draft) -> _Says:
    if draft.running() is None:
        return None, "NotObserving", "no rollout runs, so nothing is measured"
    if draft.policy is None or not draft.policy.required:
        return True, "NoGates", "no gate is asked"
    if draft.evidence is None or not draft.evidence.gates:
        return None, "NoLookYet", "the candidate has no traffic yet"
    missing = [gate for gate in draft.balance.required if gate.verdict == "NoData"]
    if (
        draft.rollout is not None
        and not draft.rollout.step
        and not (missing and draft.facts.pods(draft.candidate).warm)
    ):
        return None, "NoLookYet", "the candidate has no traffic yet"
    if missing:
        why = readiness.inspector_trouble(draft)
        said = (f"{gate.gate.name}: {gate.problem}{_query(draft, gate)}" for gate in missing)
        return False, "NoData", "; ".join([*([why] if why else []), *said])
    return True, "Fresh", "every required gate has fresh data"


def _query(draft: Draft, gate: Weighed) -> str:
    """What to paste into Prometheus to see what this gate sees of the candidate."""
    question = draft.questions().get(gate.gate.name)
    if question is None or isinstance(question, Unanswerable) or draft.candidate is None or draft.stable is None:
        return ""
    deployment, revision = draft.facts.observed.settings.scrape_labels
    labels = Labels(deployment=deployment, revision=revision)
    namespace = draft.facts.observed.deployment.namespace
    query = pasted(question, "candidate", namespace=namespace, revision=draft.candidate, labels=labels)
    return f" (query: {query})"


def _paused(draft: Draft) -> _Says:
    if draft.facts.asked.paused:
        return True, "Annotation", "steps and deadline stand still; remove the annotation pointsman.dev/pause to go on"
    return False, "NotPaused", ""


def _reconciling(draft: Draft) -> _Says:
    if draft.candidate is not None and draft.rollout is not None:
        return True, draft.rollout.phase, draft.rollout.message
    if draft.stable is not None and draft.facts.pods(draft.stable).ready == 0:
        return True, "Starting", f"version {draft.version(draft.stable)} is not ready yet"
    return False, "Idle", ""


def _stalled(draft: Draft, accepted: _Says) -> _Says:
    if accepted[0] is False:
        return True, accepted[1], accepted[2]
    if draft.candidate is None and draft.stable is not None and draft.facts.target != draft.stable:
        last = next((entry for entry in draft.history if entry.revision == draft.facts.target), None)
        if last is not None:
            return True, last.outcome, last.message
    return False, "Progressing", ""


def message(draft: Draft) -> str:
    """What the rollout is doing or waiting for, with the line that answers an approval."""
    rollout = draft.rollout
    if rollout is None:
        return ""
    if rollout.phase == "RollingBack":
        return rollout.message
    if rollout.phase == "Promoting":
        return rollout.message
    text = draft.waiting
    if rollout.phase == "AwaitingApproval" and rollout.clock_stopped_at is not None and draft.candidate is not None:
        value = actions.step_value(draft.candidate, rollout.attempt, rollout.step)
        deployment = draft.facts.observed.deployment
        line = actions.command("approve", value, namespace=deployment.namespace, deployment=deployment.name)
        text = f"step {rollout.step} at {percent(_share(draft))} % waits for approval: {line}"
    return text[:2048]


def _share(draft: Draft) -> int:
    if draft.policy is None or draft.rollout is None or not draft.rollout.step:
        return 0
    return draft.policy.stages[draft.rollout.step - 1].share


def save_evidence(draft: Draft, *, commits: bool) -> None:
    """Write the evidence into the revision before anything that relies on it, and once a minute."""
    running = draft.running()
    if running is None or draft.evidence is None or draft.policy is None or not draft.policy.gates:
        return
    if draft.evidence.looked_at is None:
        return
    revision, rollout = running
    saved = draft.evidence.saved_at or rollout.started_at
    due = is_due(saved, draft.now, every=SAVE_EVERY, name=revision, rest=_REST)
    behind = saved < draft.evidence.looked_at  # what was saved after the look is the look's
    if not (due or (commits and behind)):
        return
    draft.evidence = draft.evidence.saved(draft.now)
    records = [wording.gate_record(gate) for gate in draft.balance.gates]  # works out what is still needed
    stored = draft.record(revision)
    attempts = [
        one.model_copy(update={"gates": records}) if one.attempt == rollout.attempt else one for one in stored.attempts
    ]
    draft.keep(revision, attempts=attempts, evidence=draft.evidence.dump(), looked_at=draft.evidence.looked_at)
