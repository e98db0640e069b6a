"""Why an attempt ended as it did, or where it stands: policy, gates, evidence, Events, and the queries to check it by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.text import Text
from rich.tree import Tree

from pointsman.api.modelrevision import Attempt, Calibration
from pointsman.api.rolloutpolicy import RolloutFields
from pointsman.cli import saying
from pointsman.cli.faults import AbsentError
from pointsman.cli.model import Json, Model, Revision
from pointsman.cli.tree import gate_line
from pointsman.rollout import policy as policies
from pointsman.rollout import weighing
from pointsman.signals.own import Names, ThresholdQuestion
from pointsman.signals.profiles import Arm, Unanswerable
from pointsman.signals.queries import Labels, checks

_ARMS: tuple[Arm, Arm] = ("candidate", "stable")


@dataclass(frozen=True, kw_only=True)
class Happening:
    """An Event, as far as it belongs to the story."""

    at: str
    type: str
    reason: str
    note: str


@dataclass(frozen=True, kw_only=True)
class Story:
    """Everything about one attempt.

    queries  gate -> arm -> PromQL, all of it last; a threshold's is the candidate's alone
    """

    model: Model
    revision: Revision
    attempt: Attempt
    stable: str | None
    queries: Mapping[str, Mapping[str, tuple[str, ...]]]
    happenings: Sequence[Happening]


def story(model: Model, events: Sequence[Json], *, revision: str, labels: Labels, gateway: str | None) -> Story:
    """The story of an attempt.

    Args:
        model: the ModelDeployment with its revisions.
        events: Events about it (events.k8s.io/v1).
        revision: which; "" for the attempt that runs, or else the one that ended last.
        labels: what the scrape calls the pods' labels.
        gateway: how the gateway's metrics separate the arms; None: they are not read.

    Raises:
        AbsentError: there is no such revision or no attempt of it.
    """
    name, number = _which(model, revision)
    found = model.revisions.get(name)
    if found is None:
        known = ", ".join(sorted(model.revisions)) or "none"
        raise AbsentError(f"{model.name}: it has no ModelRevision {name!r}; there are: {known}")
    attempt = found.attempt(number)
    if attempt is None:
        raise AbsentError(
            f"{model.name}: nothing was decided about {name}: the first version serves without being compared"
        )
    stable = _stable(model, found, attempt)
    return Story(
        model=model,
        revision=found,
        attempt=attempt,
        stable=stable,
        queries=_queries(model, found, attempt, stable=stable, labels=labels, gateway=gateway),
        happenings=sorted(_happenings(events, attempt), key=lambda one: one.at),
    )


def tree(told: Story, *, now: datetime) -> Tree:
    """The story for people."""
    attempt, version = told.attempt, told.revision.spec.model.version
    head = Text.assemble((f"version {version}", "bold"), f"  {told.revision.name}, attempt {attempt.attempt}")
    root = Tree(head, guide_style="dim")
    root.add(_ending(told, now))
    if told.stable is not None:
        root.add(Text(f"compared with {told.stable}"))
    _add(root, "policy, as it was when the attempt began", _policy(attempt.policy))
    gates = root.add("gates")
    for gate in attempt.gates:
        branch = gates.add(gate_line(gate))
        if gate.calibration is not None:
            branch.add(_calibration(gate.calibration))
        if gate.harm_evidence is not None:
            branch.add(Text(_evidence(gate.harm_evidence, gate.safety_evidence), "dim"))
        for arm, queries in told.queries.get(gate.name, {}).items():
            for query in queries:
                branch.add(Text.assemble(f"{arm}: ", (query, "blue")))
    if told.queries:
        until = "now" if attempt.ended_at is None else saying.moment(attempt.ended_at)
        window = f"from {saying.moment(attempt.started_at)} to {until}"
        gates.add(Text(f"counters go on for ever: what a gate saw of them is how far they rose {window}", "dim"))
    if not attempt.gates:
        gates.add(Text("no look was recorded", "dim"))
    _add(root, "what happened", (_happening(one) for one in told.happenings))
    return root


def document(told: Story) -> dict[str, Any]:
    """The story as data: the attempt in the words of the API, with queries and Events."""
    return {
        "namespace": told.model.namespace,
        "name": told.model.name,
        "revision": told.revision.name,
        "version": told.revision.spec.model.version,
        **({} if told.stable is None else {"comparedWith": told.stable}),
        "attempt": told.attempt.dump(),
        "queries": {gate: {arm: list(each) for arm, each in arms.items()} for gate, arms in told.queries.items()},
        "events": [{"at": one.at, "type": one.type, "reason": one.reason, "note": one.note} for one in told.happenings],
    }


def _which(model: Model, revision: str) -> tuple[str, int | None]:
    if revision:
        return revision, None
    if model.status.candidate is not None and model.status.rollout is not None:
        return model.status.candidate.revision, model.status.rollout.attempt
    if model.status.history:
        return model.status.history[0].revision, model.status.history[0].attempt
    raise AbsentError(f"{model.name}: there is nothing to explain: no rollout runs, and none has ended yet")


def _stable(model: Model, found: Revision, attempt: Attempt) -> str | None:
    """What it was compared with: what serves while it runs, else what was promoted last before it began."""
    running = model.status.stable
    if attempt.ended_at is None and running is not None:
        return running.revision
    before = [
        (one.ended_at, other.name)
        for other in model.revisions.values()
        for one in other.status.attempts
        if other.name != found.name
        and one.outcome == "Promoted"
        and one.ended_at
        and one.ended_at <= attempt.started_at
    ]
    if before:
        return max(before)[1]
    first = [
        other.name
        for other in model.revisions.values()
        if not other.status.attempts and other.status.served_at and other.status.served_at <= attempt.started_at
    ]
    return first[0] if len(first) == 1 else None


def _queries(  # one argument a fact
    model: Model, found: Revision, attempt: Attempt, *, stable: str | None, labels: Labels, gateway: str | None
) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """What each gate asked; of a shadow step what it asks of the inspector."""
    other = model.revisions.get(stable or "")
    policy = policies.resolve(attempt.policy)
    names = Names(
        namespace=model.namespace,
        deployment=model.name,
        stable=stable or "",
        candidate=found.name,
        stable_version="" if other is None else other.spec.model.version,
        candidate_version=found.spec.model.version,
    )
    asked = {
        mirrored: weighing.questions(
            policy,
            stable=(found if other is None else other).spec.metrics,
            candidate=found.spec.metrics,
            names=names,
            gateway=gateway,
            routed=model.spec.traffic is not None,
            mirrored=mirrored,
        )
        for mirrored in (True, False)
    }
    queries: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, question in {**asked[True], **asked[False]}.items():
        if isinstance(question, Unanswerable):
            continue
        arms: tuple[Arm, ...] = _ARMS[:1] if isinstance(question, ThresholdQuestion) or stable is None else _ARMS
        queries[name] = {
            arm: checks(
                question,
                arm,
                namespace=model.namespace,
                revision=found.name if arm == "candidate" else (stable or ""),
                labels=labels,
            )
            for arm in arms
        }
    return queries


def _happenings(events: Sequence[Json], attempt: Attempt) -> Iterator[Happening]:
    """Those of the attempt's time; Events that begin the attempt are posted a moment after its start is written."""
    begin, end = attempt.started_at, attempt.ended_at
    for event in events:
        series = event.get("series") or {}
        at = event.get("eventTime") or event.get("deprecatedFirstTimestamp") or event["metadata"]["creationTimestamp"]
        when = datetime.fromisoformat(at)
        ending = end is not None and (when - end).total_seconds() > _AFTERWARDS
        if (begin - when).total_seconds() > _AFTERWARDS or ending:
            continue
        times = f" ({series['count']} times)" if series.get("count", 0) > 1 else ""
        yield Happening(
            at=saying.moment(when),
            type=event.get("type", "Normal"),
            reason=event.get("reason", ""),
            note=event.get("note", "") + times,
        )


_AFTERWARDS = 60  # seconds: an Event is posted after the status that it tells of


def _ending(told: Story, now: datetime) -> Text:
    attempt = told.attempt
    began = f"began {saying.moment(attempt.started_at)}"
    if attempt.outcome is None or attempt.ended_at is None:
        rollout = told.model.status.rollout
        where = "" if rollout is None else f", {rollout.phase} at {rollout.percent} %: {rollout.message}"
        return Text.assemble(("running", "bold cyan"), f" for {saying.age(attempt.started_at, now)}{where}")
    by = f", decided by {attempt.decided_by}" if attempt.decided_by else ""
    took = saying.lasting(attempt.ended_at - attempt.started_at)
    return Text.assemble(
        (attempt.outcome, f"bold {saying.OUTCOMES[attempt.outcome]}"),
        f" {saying.moment(attempt.ended_at)}, {began} ({took}); {attempt.reason}{by}\n{attempt.message}",
    )


def _policy(fields: RolloutFields) -> Iterator[Text]:
    for number, step in enumerate(fields.steps or (), 1):
        yield Text(f"{number}. {saying.step(step)}")
    sure = fields.confidence
    if sure is not None:
        yield Text(
            f"an equal version is rolled back with at most {sure.false_rollback} % probability, a worse one promoted with at"
            f" most {sure.false_promotion} %"
        )
    yield Text(f"a look every {fields.interval}, deadline {fields.deadline}, then {fields.when_undecided}")


def _calibration(known: Calibration) -> Text:
    if known.assumed:
        return Text("stable's history was too short: its noise was assumed", "dim")
    rate = "" if known.base_rate is None else f", {known.base_rate} % of them failed"
    return Text(
        f"before: {known.requests:,} requests to {known.pods} stable pods in {known.seconds} s{rate}; dispersion"
        f" {known.dispersion}, spread between pods {known.pod_spread}",
        "dim",
    )


def _evidence(harm: str, safety: str | None) -> str:
    return f"evidence (log e): harm {harm}" + ("" if safety is None else f", safety {safety}")


def _happening(one: Happening) -> Text:
    style = "yellow" if one.type == "Warning" else ""
    return Text.assemble((one.at, "dim"), "  ", (one.reason, style), f": {one.note}")


def _add(root: Tree, head: str, lines: Iterator[Text]) -> None:
    found = list(lines)
    if found:
        branch = root.add(head)
        for line in found:
            branch.add(line)
