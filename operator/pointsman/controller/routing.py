"""Whom a change concerns: the ModelDeployments that have to be reconciled after it."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman.cluster.cache import Cache, Change, Name, name_of, owner_of
from pointsman.cluster.kinds import (
    AUTOSCALER,
    GATEWAY,
    GATEWAY_CLASS,
    MODEL_DEPLOYMENT,
    MODEL_RUNTIME,
    ROLLOUT_POLICY,
    Json,
    Kind,
    kind_of,
)
from pointsman.controller.claims import Claims
from pointsman.controller.gateways import class_of, features_of
from pointsman.controller.keys import Key, deployment, key_of


def concerned(change: Change, cache: Cache, claims: Claims) -> frozenset[Key]:
    """The keys to reconcile; also keeps the claims on hostnames up to date."""
    there = change.after or change.before
    if there is None:
        return frozenset()
    kind, name = kind_of(there), name_of(there)
    if kind is MODEL_DEPLOYMENT:
        return frozenset(map(deployment, {name, *claims.update(change)}))
    if kind in (GATEWAY, GATEWAY_CLASS):
        gateways = [name] if kind is GATEWAY else _of_class(name[1], cache)
        users = (user for gateway in gateways for user in claims.on(gateway))
        return frozenset(map(deployment, users)) if _read_differs(change) else frozenset()
    if kind in (MODEL_RUNTIME, ROLLOUT_POLICY):
        if not _differs(change):
            return frozenset([key_of(there)])  # a status: ours, or one that somebody wrote over it
        # One runtime's formats concern the verdict on all of them.
        judged = [Key(kind.name, *one) for one in cache.names(kind)] if kind is MODEL_RUNTIME else [key_of(there)]
        return frozenset(map(deployment, _users(kind, name[1], cache))) | frozenset(judged)
    news = kind is not AUTOSCALER or _edited(change)
    owners = {owner_of(obj) for obj in (change.before, change.after) if obj is not None and news}
    return frozenset(deployment(owner) for owner in owners if owner is not None)


def _users(kind: Kind, name: str, cache: Cache) -> Iterator[Name]:
    for obj in cache.all(MODEL_DEPLOYMENT):
        spec = obj.get("spec") or {}
        if kind is MODEL_RUNTIME:
            by_format = "runtime" not in spec and "format" in spec.get("model", {})
            uses = spec.get("runtime") == name or by_format
        else:
            uses = (spec.get("rollout") or {}).get("policy") == name
        if uses:
            yield name_of(obj)


def _of_class(name: str, cache: Cache) -> Iterator[Name]:
    """The Gateways of a GatewayClass."""
    return (name_of(obj) for obj in cache.all(GATEWAY) if class_of(obj) == name)


def _read_differs(change: Change) -> bool:
    """Whether a Gateway or GatewayClass appeared, went, or says something else of what is read of it."""

    def read(obj: Json | None) -> object:
        return None if obj is None else (class_of(obj), features_of(obj))

    return read(change.before) != read(change.after)


def _edited(change: Change) -> bool:
    """Whether more than the status changed of an object whose generation nobody counts: an HPA says all the time what it sees."""

    def written(obj: Json | None) -> object:
        if obj is None:
            return None
        meta = obj["metadata"]
        kept = (meta.get(field) for field in ("labels", "annotations", "ownerReferences", "deletionTimestamp"))
        return (*kept, obj.get("spec"))

    return written(change.before) != written(change.after)


def _differs(change: Change) -> bool:
    """Whether more than the status changed."""

    def generation(obj: Json | None) -> object:
        return None if obj is None else (obj["metadata"].get("generation"), "deletionTimestamp" in obj["metadata"])

    return generation(change.before) != generation(change.after)
