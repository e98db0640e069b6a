"""The API server of the model cluster: optimistic locking, generations, ownership, watches, and faults at any write."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pointsman.api.names import MANAGED_BY, MANAGER
from pointsman.cluster.answers import Refused, Taken
from pointsman.cluster.client import Page
from pointsman.cluster.kinds import POD, Kind, kind_of
from pointsman.errors import Unavailable
from tests.controller.fake import FakeApi

Object = dict[str, Any]


class Died(BaseException):
    """The operator's process is gone: nothing may catch this."""


@dataclass
class Fault:
    """What happens at the operator's write number `after` from now, counted from 0; `landed`: after it took effect."""

    kind: Literal["dies", "no answer", "sleeps", "refused"]
    after: int
    landed: bool = False


@dataclass(frozen=True)
class News:
    """An event of a watch."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    obj: Object


class ApiServer(FakeApi):
    """FakeApi with what a real one does besides."""

    def __init__(self, clock: Callable[[], datetime], pods: Callable[[str], list[Object]]) -> None:
        super().__init__()
        self.news: defaultdict[str, list[News]] = defaultdict(list)  # by kind
        self.fault: Fault | None = None
        self.struck: Callable[[], None] = lambda: None  # what goes on at that moment
        self.leads: Callable[[], bool] = lambda: (
            True
        )  # whether who writes still holds the lease: else the client refuses
        self.landed: Callable[[Object | None, Object | None], None] = lambda _before, _after: None
        self._clock = clock
        self._pods = pods

    def live(self, kind: str, name: str) -> Object | None:
        """The object as it is, not to be changed."""
        return self.objects.get((kind, "ml", name))

    def of(self, kind: str) -> dict[str, Object]:
        """The live objects of a kind, by name."""
        return {name: obj for (named, _, name), obj in self.objects.items() if named == kind}

    def store(self, obj: Object) -> Object:
        before = self.objects.get((obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))
        meta = {"creationTimestamp": self._clock().isoformat(), **obj["metadata"]}
        if before is not None:
            meta["generation"] = before["metadata"]["generation"] + int(before.get("spec") != obj.get("spec"))
        stored = super().store({**obj, "metadata": meta})
        self.news[obj["kind"]].append(News("ADDED" if before is None else "MODIFIED", stored))
        return stored

    def remove(self, kind: str, name: str) -> None:
        """Somebody deletes an object."""
        gone = self.objects.pop((kind, "ml", name))
        self.version += 1
        last = {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(self.version)}}
        self.news[kind].append(News("DELETED", last))

    async def list(self, kind: Kind, namespace: str | None = None, *, labels: str | None = None) -> Page:
        if kind is POD:
            items = tuple(self._pods(str(labels).partition("=")[2]))
            return Page(resource_version=str(self.version), items=items, following="")
        return await super().list(kind, namespace, labels=labels)

    async def create(self, obj: Object) -> Object:
        """Server-side apply without force and without a guard: it merges into what is there, if that is ours."""
        before = self.live(obj["kind"], obj["metadata"]["name"])
        if before is None:
            if obj["kind"] == "ModelRevision":
                obj = {key: value for key, value in obj.items() if key != "status"}
            return self._done(None, await super().create(obj))
        if MANAGED_BY not in before["metadata"].get("labels", {}):
            raise Taken(f"{obj['kind']} {obj['metadata']['name']} is somebody else's")
        meta = before["metadata"]
        return self._done(before, await super().apply(obj, uid=meta["uid"], resource_version=meta["resourceVersion"]))

    async def apply(self, obj: Object, *, uid: str, resource_version: str, manager: str = MANAGER) -> Object:
        before = self.live(obj["kind"], obj["metadata"]["name"])
        applied = await super().apply(obj, uid=uid, resource_version=resource_version, manager=manager)
        return self._done(before, applied)

    async def update_status(self, seen: Object, status: Object) -> Object:
        before = self.live(kind_of(seen).name, seen["metadata"]["name"])
        json.dumps(status)
        return self._done(before, await super().update_status(seen, status))

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str) -> None:
        before = self.live(kind.name, name)
        await super().delete(kind, namespace, name, uid=uid)
        if before is not None:
            self.objects[kind.name, namespace, name] = before
            self.remove(kind.name, name)
            self._done(before, None)

    def _write(self, word: str) -> None:
        if not self.leads():
            raise Died
        super()._write(word)
        if self.fault is not None and self.fault.after == 0 and not self.fault.landed:
            fault, self.fault = self.fault, None
            self._strike(fault)

    def _done(self, before: Object | None, after: Any) -> Any:
        """A write of the operator's has taken effect."""
        self.landed(before, None if after is None else self.live(after["kind"], after["metadata"]["name"]))
        if self.fault is not None:
            if self.fault.after == 0:
                fault, self.fault = self.fault, None
                self._strike(fault)
            else:
                self.fault.after -= 1
        return after

    def _strike(self, fault: Fault) -> None:
        self.struck()
        if fault.kind == "dies":
            raise Died
        if fault.kind == "no answer":
            raise Unavailable("no answer")
        if fault.kind == "refused" and not fault.landed:
            raise Refused("admission webhook says no")
