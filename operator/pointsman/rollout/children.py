"""From the shape to writes: renders every object that should exist and keeps those that differ from what is there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_json

from pointsman.api import names
from pointsman.api.modelrevision import ModelRevisionSpec
from pointsman.api.values import WHOLE
from pointsman.render import drift, inspector, objects, users_route
from pointsman.rollout.draft import Draft
from pointsman.rollout.plan import Apply, Delete, Event, Write
from pointsman.rollout.shape import Shape, live_share, room, routed

Json = Mapping[str, Any]
KEPT_REVISIONS = 10


@dataclass(frozen=True)
class Arm:
    """A revision's pods: how many we ask for, and how many an HPA may make of them (0: it has none)."""

    revision: str
    pods: int
    most: int = 0


@dataclass(frozen=True)
class Split:
    """How a route shares the model's traffic, and what that follows from."""

    backends: list[objects.Backend]
    mirror: objects.Mirror | None
    decided: str | None


@dataclass(kw_only=True)
class Writes:
    """The writes of a plan, by the place they have in its order."""

    lower: list[Write] = field(default_factory=list)
    prepare: list[Write] = field(default_factory=list)
    after: list[Write] = field(default_factory=list)


def writes(draft: Draft, shape: Shape) -> Writes:
    """What has to be written for the shape."""
    plan = Writes()
    if draft.stable is None:
        return plan
    first = not draft.facts.pods(draft.stable).exists and draft.candidate is None
    name = draft.facts.observed.deployment.name
    if routed(draft):
        _route(draft, shape, plan, restore=plan.after if first else plan.lower)
        _stable_service(draft, names.selector(name, draft.stable), plan.after)
    else:
        _plain_service(draft, shape, plan, restore=plan.after if first else plan.lower)
    if draft.candidate is not None:
        # What is taken back gives up its pods in the same step as its traffic: stable needs their room.
        going = draft.rollout is not None and draft.rollout.phase == "RollingBack"
        raises = not routed(draft) and live_share(draft) > 0
        up = plan.after if raises else plan.prepare
        candidate = Arm(draft.candidate, shape.candidate, shape.most.candidate)
        _arm(draft, plan, candidate, up=up, down=plan.lower if going else plan.after)
    if shape.inspected is not None and draft.facts.accepted:
        _inspector(draft, shape.inspected, plan.prepare)
    _shrink_leftovers(draft, shape, plan)
    stable = Arm(draft.stable, shape.stable, shape.most.stable)
    _arm(draft, plan, stable, up=plan.prepare if first else plan.lower, down=plan.after)
    if draft.next is not None:
        _arm(draft, plan, Arm(draft.next, 0), up=plan.prepare, down=plan.after)
    if draft.previous is not None:
        _arm(draft, plan, Arm(draft.previous, shape.previous), up=plan.after, down=plan.after)
    plan.after += _leftovers(draft, shape)
    return plan


def _owner(draft: Draft) -> objects.Owner:
    deployment = draft.facts.observed.deployment
    return objects.Owner(kind="ModelDeployment", name=deployment.name, uid=deployment.uid)


def _arm(draft: Draft, plan: Writes, arm: Arm, *, up: list[Write], down: list[Write]) -> None:
    """A revision's Deployment (the API server's first word on its template), its ModelRevision, its Service and its HPA.

    The ModelRevision comes before the statuses, which are written into it.
    """
    revision = arm.revision
    spec = draft.facts.spec(revision)
    if spec is None:
        return
    observed, namespace = draft.facts.observed, draft.facts.observed.deployment.namespace
    live = observed.workloads.get(revision)
    scaled = arm.most > 0 and live is not None  # a new Deployment comes with its first count; then the HPA takes over
    workload = objects.deployment(
        revision=revision,
        namespace=namespace,
        spec=spec,
        replicas=None if scaled else arm.pods,
        min_ready=_min_ready(draft, revision, live),
        owner=_owner(draft),
    )
    if scaled and live is not None:
        _leave_count(draft, arm, workload, live, up)
    else:
        fewer = down if live is not None and arm.pods < draft.facts.pods(revision).asked else up
        fewer += _without_autoscaler(draft, revision)
        _want(workload, live, fewer)
    known = observed.revisions.get(revision)
    # One that was deleted by hand waits for a spec that is accepted: till then nobody knows what measures it.
    if draft.facts.accepted if known is None else known.spec.metrics != spec.metrics:
        _revision(draft, revision, spec, None if known is None else known.resource_version, plan.prepare)
    service = objects.revision_service(revision=revision, namespace=namespace, spec=spec, owner=_owner(draft))
    _want(service, observed.services.get(revision), up)
    if scaled:
        _autoscaler(draft, arm, up=up, down=down)


def _leave_count(draft: Draft, arm: Arm, workload: dict[str, Any], live: Json, into: list[Write]) -> None:
    """The Deployment of an arm with an HPA: the number of pods is the HPA's, but that there are too few does not wait for it.

    Server-side apply takes away what only its manager had and no longer has: before we leave the field out, another manager
    has it, which an HPA takes it from.
    """
    written: list[Write] = []
    _want(workload, live, written)
    observed, asked = draft.facts.observed, draft.facts.pods(arm.revision).asked
    if asked < arm.pods or (written and arm.revision not in observed.autoscalers):
        count = objects.deployment_count(
            revision=arm.revision, namespace=observed.deployment.namespace, replicas=max(asked, arm.pods)
        )
        into.append(
            Apply(object=count, resource_version=live["metadata"].get("resourceVersion"), manager=names.COUNTER)
        )
    into += written


def _autoscaler(draft: Draft, arm: Arm, *, up: list[Write], down: list[Write]) -> None:
    """The HPA of an arm."""
    observed, autoscaling = draft.facts.observed, draft.facts.autoscaling
    if autoscaling is None:
        return
    live = observed.autoscalers.get(arm.revision)
    desired = objects.autoscaler(
        revision=arm.revision,
        deployment=observed.deployment.name,
        namespace=observed.deployment.namespace,
        bounds=objects.Bounds(arm.pods, arm.most),
        metrics=autoscaling.metrics or (),
        owner=_owner(draft),
    )
    before = {} if live is None else live["spec"]
    lowers = arm.pods < before.get("minReplicas", 0) or arm.most < before.get("maxReplicas", 0)
    _want(desired, live, down if lowers else up)


def _without_autoscaler(draft: Draft, revision: str) -> list[Write]:
    """Delete an HPA, before it undoes what we write."""
    live = draft.facts.observed.autoscalers.get(revision)
    return [] if live is None else [_delete("autoscaling/v2", "HorizontalPodAutoscaler", live)]


def _delete(api: str, kind: str, live: Json) -> Delete:
    return Delete(api_version=api, kind=kind, name=live["metadata"]["name"], uid=live["metadata"]["uid"])


def _revision(draft: Draft, revision: str, spec: ModelRevisionSpec, version: str | None, into: list[Write]) -> None:
    namespace = draft.facts.observed.deployment.namespace
    rendered = objects.model_revision(name=revision, namespace=namespace, spec=spec, owner=_owner(draft))
    into.append(Apply(object=rendered, resource_version=version))


def _min_ready(draft: Draft, revision: str, live: Json | None) -> int:
    """Seconds of being ready after which a pod is warm: the attempt's; a Deployment that is there keeps its own."""
    if revision == draft.candidate and draft.policy is not None:
        return int(draft.policy.warmup.total_seconds())
    return 0 if live is None else int(live["spec"].get("minReadySeconds", 0))


def _want(desired: dict[str, Any], live: Json | None, into: list[Write]) -> None:
    """Write what differs; what differs although it is what we wrote last was edited by hand, and is set back."""
    sealed = _sealed(desired)
    if live is None:
        into.append(Apply(object=sealed))
        return
    if drift.covers(dict(live), sealed):
        return
    meta, event = live["metadata"], None
    if meta.get("annotations", {}).get(names.APPLIED) == sealed["metadata"]["annotations"][names.APPLIED]:
        where = drift.difference(dict(live), sealed)
        said = f"{desired['kind']} {meta['name']} was changed by somebody else ({', '.join(where[:3])}); it is set back"
        if "spec.replicas" in where:
            said += ". Write spec.replicas of the ModelDeployment, or spec.autoscaling to let an HPA count its pods"
        event = Event(type="Warning", reason="SetBack", message=said[:1024], action="SetBack")
    into.append(Apply(object=sealed, resource_version=meta.get("resourceVersion"), event=event))


def _sealed(desired: dict[str, Any]) -> dict[str, Any]:
    """The object with a hash of itself, by which a later edit is recognised."""
    meta = desired["metadata"]
    annotations = {**meta.get("annotations", {}), names.APPLIED: _digest(desired)}
    return {**desired, "metadata": {**meta, "annotations": annotations}}


def _digest(value: object) -> str:
    """Of the text with keys as they come, which is always the same: ours are written in one order, the API server sorts others'."""
    return hashlib.sha256(to_json(value)).hexdigest()[:16]


def _route(draft: Draft, shape: Shape, plan: Writes, *, restore: list[Write]) -> None:
    observed, traffic = draft.facts.observed, draft.facts.traffic
    if traffic is None or draft.stable is None or shape.lags:
        return  # what somebody lowered is set back when it may rise again
    switch = draft.facts.switch(draft.stable, draft.candidate)
    live = live_share(draft)
    # A final decision is written where it lowers nothing, too: a raise that is still under way must not land after it.
    lowers = switch.exists and (
        draft.final is not None
        or shape.share < live
        or switch.share(draft.stable) + live < WHOLE
        or shape.mirror < switch.mirrored
    )
    raised = shape.share > live or shape.mirror > switch.mirrored
    decided = draft.final or (None if raised else switch.decided)
    share = 0 if not switch.exists else shape.share  # a route that is gone comes back with stable alone
    copies = None
    if shape.mirror:
        copies = objects.Mirror(names.inspector(draft.candidate or draft.stable), shape.mirror)
    if draft.facts.shared:
        split = Split(list(_backends(draft, share, switch.weights)), copies, decided)
        _users_route(draft, split, plan.lower if lowers else plan.after)
        return
    desired = objects.route(
        deployment=observed.deployment.name,
        namespace=observed.deployment.namespace,
        traffic=traffic,
        backends=list(_backends(draft, share, switch.weights)),
        mirror=copies,
        decided=decided,
        owner=_owner(draft),
    )
    into = plan.lower if lowers else plan.after
    _want(desired, observed.route, into if switch.exists else restore)


def _users_route(draft: Draft, split: Split, into: list[Write]) -> None:
    """Our part of the user's route; a difference in it although it is what we wrote last is somebody else's, and is set back."""
    live = draft.facts.observed.users_route
    if live is None:
        return  # only its owner makes it again
    place = draft.facts.place(draft.stable)
    before = live["spec"].get("rules") or []
    rules = users_route.with_shares(before, place, backends=split.backends, mirror=split.mirror)
    annotations = live["metadata"].get("annotations", {})
    if rules == before and annotations.get(names.DECIDED) == split.decided:
        return
    applied, event = _digest([split.backends, split.mirror, split.decided]), None
    if annotations.get(names.APPLIED) == applied:
        said = (
            f"the shares of {place.deployment} in HTTPRoute {live['metadata']['name']} were changed by somebody else; they are"
            " set back. Whoever applies the route from Git should leave its backendRefs alone: see docs/gitops.md"
        )
        event = Event(type="Warning", reason="SetBack", message=said, action="SetBack")
    desired = users_route.rendered(live, rules, decided=split.decided, applied=applied)
    into.append(Apply(object=desired, resource_version=live["metadata"].get("resourceVersion"), event=event))


def _inspector(draft: Draft, revision: str, into: list[Write]) -> None:
    """The inspector of a revision: of the candidate, or of the version that serves alone."""
    observed, settings = draft.facts.observed, draft.facts.observed.settings
    spec, policy = draft.facts.spec(revision), draft.policy or draft.facts.policy
    compared = draft.candidate is not None and draft.rollout is not None
    compare = policy.fields.compare if compared else draft.facts.compare(revision)
    if spec is None or draft.stable is None or compare is None or settings.inspector_image is None:
        return
    watching = draft.watching
    inspection = inspector.Inspection(
        namespace=observed.deployment.namespace,
        deployment=observed.deployment.name,
        attempt=draft.rollout.attempt if draft.rollout is not None else 0,
        stable=draft.stable,
        candidate=revision if compared else None,
        model=spec.model,
        compare=compare,
        slices=next((gate.slices for gate in policy.gates if gate.slices is not None), None) if compared else None,
        tolerance=None if watching is None else watching.tolerance,
        warmup=policy.warmup_requests if compared else 0,
    )
    image = inspector.Image(settings.inspector_image, settings.inspector_pull_secrets)
    name = names.inspector(revision)
    _want(inspector.deployment(inspection, image=image, owner=_owner(draft)), observed.workloads.get(name), into)
    _want(inspector.service(inspection, owner=_owner(draft)), observed.services.get(name), into)


def _backends(draft: Draft, share: int, listed: Mapping[str, int]) -> Iterable[objects.Backend]:
    """Stable and candidate, in the order in which they came: who is who changes no route.

    A backend on its way out stays listed at 0, so that the gateway lets its requests finish.
    """
    if draft.stable is None:
        return
    weights = {draft.stable: WHOLE - share}
    if draft.candidate is not None and (share or draft.candidate in listed):
        weights[draft.candidate] = share
    for name, weight in listed.items():
        there = name in draft.facts.observed.services and (weight or draft.facts.pods(name).exists)
        if name not in weights and there:
            weights[name] = 0
    known = [name for name in listed if name in weights]
    for name in [*known, *(name for name in weights if name not in listed)]:
        yield objects.Backend(name, weights[name])


def _stable_service(draft: Draft, selector: dict[str, str], into: list[Write], decided: str | None = None) -> None:
    if draft.stable is None:
        return
    spec = draft.facts.spec(draft.stable)
    if spec is None:
        return
    observed = draft.facts.observed
    desired = objects.stable_service(
        deployment=observed.deployment.name,
        namespace=observed.deployment.namespace,
        port=spec.port,
        selector=selector,
        decided=decided,
        owner=_owner(draft),
    )
    _want(desired, observed.services.get(observed.deployment.name), into)


def _plain_service(draft: Draft, shape: Shape, plan: Writes, *, restore: list[Write]) -> None:
    """Without a gateway the Service selects stable, or both arms, or in the end the candidate alone."""
    name = draft.facts.observed.deployment.name
    selected: str | None = draft.stable
    if draft.candidate is not None and shape.share:
        done = shape.share == WHOLE and draft.facts.pods(draft.candidate).ready >= room(draft).replicas
        selected = draft.candidate if done else None
    live = draft.facts.switch(draft.stable, draft.candidate)
    lowers = live.exists and (draft.final is not None or (live_share(draft) > 0 and not shape.share))
    decided = draft.final or (live.decided if not shape.share else None)
    into = plan.lower if lowers else plan.after
    into = into if live.exists else restore
    _stable_service(draft, names.selector(name, selected), into, decided)


def _arms(draft: Draft) -> set[str | None]:
    """The revisions that pods and Services are for."""
    return {draft.stable, draft.candidate, draft.previous, draft.next}


def _shrink_leftovers(draft: Draft, shape: Shape, plan: Writes) -> None:
    """What belongs to no arm any more, and cannot go before the gateway obeys, leaves room for the arms' pods at once."""
    spare = room(draft).limit - shape.stable - shape.candidate - shape.previous
    alive = _arms(draft)
    for name in draft.facts.observed.workloads:
        if name not in alive and name not in draft.facts.inspectors:
            asked = draft.facts.pods(name).asked
            kept = max(0, min(asked, spare))
            spare -= kept
            if kept < asked:
                _arm(draft, plan, Arm(name, kept), up=plan.lower, down=plan.lower)


def _leftovers(draft: Draft, shape: Shape) -> list[Write]:
    """Delete what belongs to no arm any more, once no traffic can reach it, and the oldest records."""
    observed, alive = draft.facts.observed, _arms(draft)
    if shape.inspected is not None:
        alive = alive | {names.inspector(shape.inspected)}
    switch = draft.facts.switch(draft.stable, draft.candidate)
    gone: list[Write] = []
    for kind, api, found in (
        ("HorizontalPodAutoscaler", "autoscaling/v2", observed.autoscalers),
        ("Deployment", "apps/v1", observed.workloads),
        ("Service", "v1", observed.services),
    ):
        for name, live in found.items():
            served = switch.weights.get(name, 0) > 0 or name == switch.inspector or not switch.accepted
            listed = kind == "Service" and name in switch.weights
            if name in alive or name == observed.deployment.name or served or (listed and routed(draft)):
                continue
            if not live["metadata"].get("deletionTimestamp"):
                gone.append(_delete(api, kind, live))
    if observed.route is not None and switch.accepted and (draft.facts.shared or not routed(draft)):
        gone.append(_delete("gateway.networking.k8s.io/v1", "HTTPRoute", observed.route))  # the spec has another way in
    spare = sorted(
        (one for one in observed.revisions.values() if one.name not in alive and one.name != draft.facts.target),
        key=lambda one: one.created_at,
        reverse=True,
    )
    gone += [
        Delete(api_version="pointsman.dev/v1alpha1", kind="ModelRevision", name=one.name, uid=one.uid)
        for one in spare[KEPT_REVISIONS:]
    ]
    return gone
