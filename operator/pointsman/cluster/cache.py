"""The last-seen objects: without what nobody reads, packed as JSON, never older than what was seen before.

A hint, not the truth: a watch that was interrupted hides deletions, so every kind is listed again from time to time
and what is irreversible names the resourceVersion that it saw.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json, to_json

from pointsman.api.names import DEPLOYMENT
from pointsman.cluster.kinds import (
    AUTOSCALER,
    GATEWAY,
    GATEWAY_CLASS,
    MODEL_DEPLOYMENT,
    MODEL_REVISION,
    Json,
    Kind,
    kind_of,
)

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
_READ: dict[Kind, tuple[tuple[str, str | None], ...]] = {
    GATEWAY: (("spec", "gatewayClassName"),),
    GATEWAY_CLASS: (("spec", "controllerName"), ("status", "supportedFeatures")),
    AUTOSCALER: (("spec", None),),
}
"""What is read of an object beside its metadata, where that is not spec and status: a part, or one field of it."""
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, kw_only=True)
class Change:
    """What an object was, and what it is now; None: not there."""

    before: Json | None
    after: Json | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """An object as last seen; a tenth of the memory of its dict. `going`: it is being deleted."""

    name: str
    uid: str
    version: str
    going: bool
    owner: Name | None
    packed: bytes

    @classmethod
    def of(cls, obj: Json) -> Seen:
        """The object, packed."""
        meta = obj["metadata"]
        return cls(
            name=meta["name"],
            uid=meta.get("uid", ""),
            version=meta["resourceVersion"],
            going="deletionTimestamp" in meta,
            owner=owner_of(obj),
            packed=to_json(obj),
        )

    def load(self) -> dict[str, Any]:
        """The object."""
        obj: dict[str, Any] = from_json(self.packed)
        return obj


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
    for part, field in _READ.get(kind_of(obj), (("spec", None), ("status", None))):
        found = obj.get(part)
        if found is not None and field is not None:
            found = {field: found[field]} if field in found else None
        if found is not None:
            kept[part] = found
    return kept


class Cache:
    """Objects by kind, namespace and name, and by the ModelDeployment they belong to."""

    def __init__(self) -> None:
        self._objects: dict[Kind, dict[Name, Seen]] = defaultdict(dict)
        self._owned: dict[Kind, dict[Name, set[Name]]] = defaultdict(lambda: defaultdict(set))
        self._graves: dict[Kind, dict[Name, _Grave]] = defaultdict(dict)
        self._listings: dict[Kind, int] = defaultdict(int)

    def seen(self, kind: Kind, namespace: str, name: str) -> Seen | None:
        """The object as last seen."""
        return self._objects[kind].get((namespace, name))

    def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any] | None:
        """The object as last seen, unpacked."""
        seen = self.seen(kind, namespace, name)
        return None if seen is None else seen.load()

    def names(self, kind: Kind) -> tuple[Name, ...]:
        """The names of all objects of a kind."""
        return tuple(self._objects[kind])

    def every(self, kind: Kind) -> tuple[Seen, ...]:
        """All objects of a kind."""
        return tuple(self._objects[kind].values())

    def all(self, kind: Kind) -> Iterator[dict[str, Any]]:
        """All objects of a kind, unpacked one after the other."""
        return (seen.load() for seen in self.every(kind))

    def owned(self, kind: Kind, owner: Name) -> tuple[Seen, ...]:
        """The objects of a kind that belong to a ModelDeployment, by name."""
        names = self._owned[kind].get(owner, ())
        return tuple(self._objects[kind][name] for name in sorted(names))

    def put(self, obj: Json) -> Change | None:
        """What a watch, a list, a read or a write of ours answered; None: nothing newer than what is here."""
        kind, name, version = kind_of(obj), name_of(obj), version_of(obj)
        before = self._objects[kind].get(name)
        if before is not None and int(before.version) >= version:
            return None
        grave = self._graves[kind].get(name)
        if grave is not None and grave.version >= version:
            return None
        kept = slim(obj)
        after = Seen.of(kept)
        self._remove(kind, name)
        self._objects[kind][name] = after
        if after.owner is not None:
            self._owned[kind][after.owner].add(name)
        return Change(before=None if before is None else before.load(), after=kept)

    def deleted(self, obj: Json) -> Change | None:
        """What a watch reports as deleted; None: a newer one of that name is here, or none was."""
        kind, name, version = kind_of(obj), name_of(obj), version_of(obj)
        self._graves[kind][name] = _Grave(version=version, listings=self._listings[kind])
        before = self._objects[kind].get(name)
        if before is None or int(before.version) > version:
            return None
        return self._gone(kind, name)

    def has_gone(self, kind: Kind, namespace: str, name: str) -> bool:
        """Whether a watch has told not long ago that an object of this name was deleted."""
        return (namespace, name) in self._graves[kind]

    def missing(self, kind: Kind, namespace: str, name: str) -> Change | None:
        """What a live read did not find."""
        return self._gone(kind, (namespace, name))

    def census(self, kind: Kind, namespace: str | None = None) -> Census:
        """Take in all there is of a kind (in a namespace), page by page."""
        return Census(self, kind, namespace)

    def evict(self, kind: Kind, listed: AbstractSet[Name], *, namespace: str | None, version: int) -> list[Change]:
        """Forget what a list at this version does not show."""
        ghosts = [
            name
            for name, seen in self._objects[kind].items()
            if name not in listed and int(seen.version) <= version and namespace in (None, name[0])
        ]
        self._listings[kind] += 1
        # A list that was on its way when an object went can bring it back: so graves outlive the next two lists.
        self._graves[kind] = {
            name: grave for name, grave in self._graves[kind].items() if grave.listings >= self._listings[kind] - 2
        }
        return [change for name in ghosts if (change := self._gone(kind, name)) is not None]

    def _gone(self, kind: Kind, name: Name) -> Change | None:
        before = self._remove(kind, name)
        return None if before is None else Change(before=before.load(), after=None)

    def _remove(self, kind: Kind, name: Name) -> Seen | None:
        before = self._objects[kind].pop(name, None)
        if before is not None and before.owner is not None:
            names = self._owned[kind][before.owner]
            names.discard(name)
            if not names:
                del self._owned[kind][before.owner]
        return before


class Census:
    """One list of a kind that comes in pages: what no watch has told, ghosts evicted at its end."""

    def __init__(self, cache: Cache, kind: Kind, namespace: str | None) -> None:
        self._cache = cache
        self._kind = kind
        self._namespace = namespace
        self._there: set[Name] = set()

    def page(self, items: Iterable[Json]) -> list[Change]:
        """Some of the objects, `apiVersion` and `kind` or not: the changes."""
        typed = [{"apiVersion": self._kind.api_version, "kind": self._kind.name, **item} for item in items]
        self._there.update(map(name_of, typed))
        return [change for obj in typed if (change := self._cache.put(obj)) is not None]

    def end(self, version: str) -> list[Change]:
        """That was all there is at this resourceVersion: the changes."""
        return self._cache.evict(self._kind, self._there, namespace=self._namespace, version=int(version))
