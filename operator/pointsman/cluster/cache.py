"""The last-seen objects: plain dicts without what nobody reads, never older than what was seen before.

A hint, not the truth: a watch that was interrupted hides deletions, so every kind is listed again from time to time
and what is irreversible names the resourceVersion that it saw.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pointsman.api.names import DEPLOYMENT
from pointsman.cluster.client import Listing
from pointsman.cluster.kinds import GATEWAY, MODEL_DEPLOYMENT, MODEL_REVISION, Json, Kind, kind_of

Name = tuple[str, str]
"""Namespace (empty for what has none) and name."""

_KEPT = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "labels",
    "annotations",
    "ownerReferences",
    "creationTimestamp",
    "deletionTimestamp",
)
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, kw_only=True)
class Change:
    """What an object was, and what it is now; None: not there."""

    before: Json | None
    after: Json | None


@dataclass(frozen=True, kw_only=True)
class _Grave:
    version: int
    listings: int  # of its kind, when it was dug


def name_of(obj: Json) -> Name:
    """Namespace and name."""
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]


def version_of(obj: Json) -> int:
    """The resourceVersion as a number: comparable within a kind (KEP-5504, and always so with etcd)."""
    return int(obj["metadata"]["resourceVersion"])


def owner_of(obj: Json) -> Name | None:
    """The ModelDeployment that an object belongs to."""
    namespace, name = name_of(obj)
    if (kind := kind_of(obj)) is MODEL_DEPLOYMENT:
        return namespace, name
    meta = obj["metadata"]
    for reference in meta.get("ownerReferences") or ():
        if reference.get("controller") and reference["kind"] == MODEL_DEPLOYMENT.name:
            return namespace, reference["name"]
    if kind is MODEL_REVISION and "spec" in obj:
        return namespace, obj["spec"]["deployment"]
    label = (meta.get("labels") or {}).get(DEPLOYMENT)
    return (namespace, label) if label else None


def slim(obj: Json) -> dict[str, Any]:
    """The object without what nobody reads: managedFields are often more than the rest of it."""
    meta = {key: obj["metadata"][key] for key in _KEPT if key in obj["metadata"]}
    if annotations := meta.get("annotations"):
        meta["annotations"] = {key: value for key, value in annotations.items() if key != _LAST_APPLIED}
    kept = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": meta}
    if kind_of(obj) is not GATEWAY:
        kept |= {key: obj[key] for key in ("spec", "status") if key in obj}
    return kept


class Cache:
    """Objects by kind, namespace and name, and by the ModelDeployment they belong to."""

    def __init__(self) -> None:
        self._objects: dict[Kind, dict[Name, dict[str, Any]]] = defaultdict(dict)
        self._owned: dict[Kind, dict[Name, set[Name]]] = defaultdict(lambda: defaultdict(set))
        self._graves: dict[Kind, dict[Name, _Grave]] = defaultdict(dict)
        self._listings: dict[Kind, int] = defaultdict(int)

    def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any] | None:
        """The object as last seen."""
        return self._objects[kind].get((namespace, name))

    def all(self, kind: Kind) -> Iterator[dict[str, Any]]:
        """All objects of a kind."""
        yield from self._objects[kind].values()

    def owned(self, kind: Kind, owner: Name) -> tuple[dict[str, Any], ...]:
        """The objects of a kind that belong to a ModelDeployment, by name."""
        names = self._owned[kind].get(owner, ())
        return tuple(self._objects[kind][name] for name in sorted(names))

    def size(self, kind: Kind) -> int:
        """How many objects of a kind there are."""
        return len(self._objects[kind])

    def put(self, obj: Json) -> Change | None:
        """What a watch, a list, a read or a write of ours answered; None: nothing newer than what is here."""
        kind, name, version = kind_of(obj), name_of(obj), version_of(obj)
        before = self._objects[kind].get(name)
        if before is not None and version_of(before) >= version:
            return None
        grave = self._graves[kind].get(name)
        if grave is not None and grave.version >= version:
            return None
        after = slim(obj)
        self._remove(kind, name)
        self._objects[kind][name] = after
        if (owner := owner_of(after)) is not None:
            self._owned[kind][owner].add(name)
        return Change(before=before, after=after)

    def deleted(self, obj: Json) -> Change | None:
        """What a watch reports as deleted; None: a newer one of that name is here, or none was."""
        kind, name, version = kind_of(obj), name_of(obj), version_of(obj)
        self._graves[kind][name] = _Grave(version=version, listings=self._listings[kind])
        before = self._objects[kind].get(name)
        if before is None or version_of(before) > version:
            return None
        return self._remove(kind, name)

    def missing(self, kind: Kind, namespace: str, name: str) -> Change | None:
        """What a live read did not find."""
        return self._remove(kind, (namespace, name))

    def replace(self, kind: Kind, listing: Listing, namespace: str | None = None) -> list[Change]:
        """All there is of a kind (in a namespace): the changes that no watch has told, ghosts evicted."""
        at = int(listing.resource_version)
        there = {name_of(item) for item in listing.items}
        ghosts = [
            name
            for name, obj in self._objects[kind].items()
            if name not in there and version_of(obj) <= at and namespace in (None, name[0])
        ]
        changes = [change for item in listing.items if (change := self.put(item)) is not None]
        changes += [change for name in ghosts if (change := self._remove(kind, name)) is not None]
        self._listings[kind] += 1
        # A list that was on its way when an object went can bring it back: so graves outlive the next two lists.
        self._graves[kind] = {
            name: grave for name, grave in self._graves[kind].items() if grave.listings >= self._listings[kind] - 2
        }
        return changes

    def _remove(self, kind: Kind, name: Name) -> Change | None:
        before = self._objects[kind].pop(name, None)
        if before is None:
            return None
        if (owner := owner_of(before)) is not None:
            names = self._owned[kind][owner]
            names.discard(name)
            if not names:
                del self._owned[kind][owner]
        return Change(before=before, after=None)
