"""Builds what a decision looks at from the cache; reads nothing live, so that an abort waits for nothing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from pointsman.api.modeldeployment import ModelDeploymentSpec, ModelDeploymentStatus
from pointsman.api.modelrevision import ModelRevisionSpec, ModelRevisionStatus
from pointsman.api.modelruntime import ModelRuntimeSpec
from pointsman.api.rolloutpolicy import RolloutPolicySpec
from pointsman.cluster.cache import Cache, Name, Seen, name_of
from pointsman.cluster.kinds import (
    AUTOSCALER,
    GATEWAY,
    MODEL_DEPLOYMENT,
    MODEL_REVISION,
    MODEL_RUNTIME,
    ROLLOUT_POLICY,
    ROUTE,
    SERVICE,
    WORKLOAD,
    Json,
    Kind,
)
from pointsman.controller.claims import Claims
from pointsman.controller.gateways import gateways
from pointsman.controller.keys import Key
from pointsman.controller.memory import Memory
from pointsman.errors import Terminal
from pointsman.rollout.arms import is_users, parents
from pointsman.rollout.observed import Deployment, Observed, Revision, Runtime, Settings

_log = structlog.get_logger(__name__)

_REMEMBERED = 2048  # parsed objects: those of hundreds of rollouts at a time
M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


class Gatherer:
    """Reads the cache into the terms of a decision."""

    def __init__(self, cache: Cache, claims: Claims, settings: Settings) -> None:
        self._cache = cache
        self._claims = claims
        self._settings = settings
        self._parsed: OrderedDict[str, tuple[str, Any]] = OrderedDict()

    def observe(self, key: Key, memory: Memory, now: datetime) -> Observed | None:
        """Everything about a ModelDeployment; None: it is gone, or going.

        Raises Terminal where an object does not read as its kind, which its schema should have prevented.
        """
        deployment = self._cache.seen(MODEL_DEPLOYMENT, key.namespace, key.name)
        if deployment is None or deployment.going:
            return None
        read = self._read(deployment, _deployment)
        users_route = self._users_route(read)
        return Observed(
            deployment=read,
            settings=self._settings,
            revisions=self._owned(MODEL_REVISION, key, lambda revision: self._read(revision, _revision)),
            workloads=self._owned(WORKLOAD, key, Seen.load),
            autoscalers=self._owned(AUTOSCALER, key, Seen.load),
            services=self._owned(SERVICE, key, Seen.load),
            route=self._route(read),
            users_route=users_route,
            runtimes=self._every(MODEL_RUNTIME, runtime),
            policies=self._every(ROLLOUT_POLICY, policy),
            gateways=gateways(self._cache, _gateways_named(read, users_route)),
            holder=self._claims.holder(key.owner),
            refusals=memory.refused(now),
            evidence=memory.evidence,
            vigil=memory.vigil,
            reading=memory.reading,
            post=memory.post,
        )

    def _route(self, deployment: Deployment) -> Json | None:
        """The route that we made; under the same name may be one that the user lets us switch."""
        seen = self._cache.seen(ROUTE, deployment.namespace, deployment.name)
        found = None if seen is None or seen.going else seen.load()
        traffic = deployment.spec.traffic
        named = traffic is not None and traffic.route_ref is not None and traffic.route_ref.name == deployment.name
        return None if found is not None and named and is_users(found) else found

    def _users_route(self, deployment: Deployment) -> Json | None:
        """The route that spec.traffic.routeRef names, where its label says that this ModelDeployment may switch it."""
        traffic = deployment.spec.traffic
        if traffic is None or traffic.route_ref is None:
            return None
        seen = self._cache.seen(ROUTE, deployment.namespace, traffic.route_ref.name)
        if seen is None or seen.going or seen.owner != (deployment.namespace, deployment.name):
            return None
        found = seen.load()
        return found if is_users(found) else None

    def _owned(self, kind: Kind, key: Key, read: Callable[[Seen], T]) -> Mapping[str, T]:
        return {seen.name: read(seen) for seen in self._cache.owned(kind, key.owner) if not seen.going}

    def _every(self, kind: Kind, read: Callable[[Json], T]) -> Mapping[str, T]:
        return {seen.name: self._read(seen, read) for seen in self._cache.every(kind) if not seen.going}

    def _read(self, seen: Seen, read: Callable[[Json], T]) -> T:
        """Parsed once for each resourceVersion: a revision carries its whole record."""
        known = self._parsed.get(seen.uid)
        if known is None or known[0] != seen.version:
            known = (seen.version, read(seen.load()))
            self._parsed[seen.uid] = known
            if len(self._parsed) > _REMEMBERED:
                self._parsed.popitem(last=False)
        self._parsed.move_to_end(seen.uid)
        parsed: T = known[1]
        return parsed


def _gateways_named(deployment: Deployment, users_route: Json | None) -> Iterator[Name]:
    """The Gateways that a ModelDeployment's traffic passes."""
    traffic = deployment.spec.traffic
    written = () if traffic is None else traffic.parent_refs
    for parent in written if users_route is None else parents(users_route):
        if (parent.kind or GATEWAY.name) == GATEWAY.name:
            yield parent.namespace or deployment.namespace, parent.name


def falling(observed: Observed, memory: Memory) -> frozenset[str]:
    """The revisions with fewer pods ready or warm than at the last reconcile; takes note of how many there are now.

    A pod that dies and is back before anybody looks is not warm for a while. What happened before this process came is
    not known: all of a running rollout's are suspect then.
    """
    before, memory.pods = memory.pods, {name: _counts(workload) for name, workload in observed.workloads.items()}
    if before is None:
        return frozenset(memory.pods) if observed.deployment.status.rollout is not None else frozenset()
    return frozenset(
        name
        for name, now in memory.pods.items()
        if any(count < earlier for count, earlier in zip(now, before.get(name, (0, 0)), strict=True))
    )


def _counts(workload: Json) -> tuple[int, int]:
    status = workload.get("status") or {}
    return int(status.get("readyReplicas") or 0), int(status.get("availableReplicas") or 0)


def _deployment(obj: Json) -> Deployment:
    meta = obj["metadata"]
    return Deployment(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        generation=meta["generation"],
        resource_version=meta["resourceVersion"],
        annotations=meta.get("annotations") or {},
        written=obj["spec"],
        spec=parse(ModelDeploymentSpec, obj, "spec"),
        status=_status(ModelDeploymentStatus, obj),
    )


def _revision(obj: Json) -> Revision:
    meta = obj["metadata"]
    return Revision(
        name=meta["name"],
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        created_at=datetime.fromisoformat(meta["creationTimestamp"]),
        spec=parse(ModelRevisionSpec, obj, "spec"),
        status=_status(ModelRevisionStatus, obj),
    )


def runtime(obj: Json) -> Runtime:
    """A ModelRuntime, parsed."""
    meta = obj["metadata"]
    return Runtime(name=meta["name"], generation=meta["generation"], spec=parse(ModelRuntimeSpec, obj, "spec"))


def policy(obj: Json) -> RolloutPolicySpec:
    """The spec of a RolloutPolicy, parsed."""
    return parse(RolloutPolicySpec, obj, "spec")


def _status(model: type[M], obj: Json) -> M:
    """A status as our type; fields that do not read are as good as absent: they are ours to write, and an abort must not wait.

    Its schema prevents most of what does not read, but not all of what hands can write.
    """
    readable = dict(obj.get("status") or {})
    while True:
        try:
            return model.model_validate(readable)
        except ValidationError as invalid:
            faults = invalid.errors(include_url=False, include_input=False)
            lost = {str(fault["loc"][0]) for fault in faults if fault["loc"]} & readable.keys()
            if not lost:
                return parse(model, obj, "status")
            _log.warning("status not readable", kind=obj["kind"], name="/".join(name_of(obj)), ignored=sorted(lost))
            readable = {field: value for field, value in readable.items() if field not in lost}


def parse(model: type[M], obj: Json, part: str) -> M:
    """A part of an object as our type; Terminal, with the field, where it is not that."""
    try:
        return model.model_validate(obj.get(part) or {})
    except ValidationError as invalid:
        meta = obj["metadata"]
        first = invalid.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in (part, *first["loc"]))
        raise Terminal(
            f"{obj['kind']} {meta.get('namespace', '')}/{meta['name']}: {where}: {first['msg']};"
            " it was stored under another version of the CRD: apply it again"
        ) from invalid
