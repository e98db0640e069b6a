"""An API server in memory, for what a real one cannot be made to do on demand: a fault at the k-th write."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from typing import Any

from pointsman.api.names import MANAGER
from pointsman.cluster.answers import Missing
from pointsman.cluster.client import Page
from pointsman.cluster.kinds import Kind, kind_of
from pointsman.errors import Conflict

Name = tuple[str, str, str]


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that plain objects show."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  nothing sets an Event here
            await asyncio.sleep(0.001)


class FakeApi:
    """Objects with uids and resourceVersions; `writes` is what was asked for, in order, as short words."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects: dict[Name, dict[str, Any]] = {}
        self.writes: list[str] = []
        self.reads: list[str] = []
        self.faults: dict[int, Exception | Callable[[], None]] = {}  # number of the write, from 1 -> what happens then
        self.refuse: dict[str, Exception] = {}  # word of a write -> its answer, every time
        self.version = 100
        for obj in objects:
            self.store(obj)

    def store(self, obj: dict[str, Any]) -> dict[str, Any]:
        """What somebody else writes."""
        self.version += 1
        stored = copy.deepcopy(obj)
        stored["metadata"].setdefault("uid", f"uid-{stored['metadata']['name']}-{self.version}")
        stored["metadata"].setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        stored["metadata"].setdefault("generation", 1)
        stored["metadata"]["resourceVersion"] = str(self.version)
        self.objects[_name(obj)] = stored
        return stored

    def edit(self, kind: Kind, name: str, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """What somebody else changes."""
        obj = copy.deepcopy(self.objects[kind.name, "ml", name])
        change(obj)
        return self.store(obj)

    async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        self.reads.append(f"get {kind.name} {name}")
        return copy.deepcopy(self._there(kind, namespace, name))

    async def list(self, kind: Kind, namespace: str | None = None, *, labels: str | None = None) -> Page:
        self.reads.append(f"list {kind.name} {labels}")
        items = tuple(copy.deepcopy(obj) for (named, _, _), obj in self.objects.items() if named == kind.name)
        assert namespace in (None, "ml")
        return Page(resource_version=str(self.version), items=items, following="")

    async def pages(
        self, kind: Kind, namespace: str | None = None, *, labels: str | None = None
    ) -> AsyncIterator[Page]:
        yield await self.list(kind, namespace, labels=labels)

    async def probe(self, kind: Kind, namespace: str | None = None) -> None:
        await self.list(kind, namespace)

    async def create(self, obj: dict[str, Any]) -> dict[str, Any]:
        self._write(f"create {obj['kind']} {obj['metadata']['name']}")
        return copy.deepcopy(self.store(obj))

    async def apply(
        self, obj: dict[str, Any], *, uid: str, resource_version: str, manager: str = MANAGER
    ) -> dict[str, Any]:
        del manager
        self._write(f"apply {obj['kind']} {obj['metadata']['name']}")
        before = self.objects.get(_name(obj))
        if before is None or before["metadata"]["uid"] != uid:
            raise Conflict("gone")
        if before["metadata"]["resourceVersion"] != resource_version:
            raise Conflict("modified")
        merged = {**before, **copy.deepcopy(obj), "metadata": {**before["metadata"], **obj["metadata"]}}
        return copy.deepcopy(before if merged == before else self.store(merged))

    async def update_status(self, seen: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
        kind, name = kind_of(seen), seen["metadata"]["name"]
        self._write(f"status {kind.name} {name}")
        before = self._there(kind, seen["metadata"]["namespace"], name)
        if before["metadata"]["resourceVersion"] != seen["metadata"]["resourceVersion"]:
            raise Conflict("modified")
        return copy.deepcopy(self.store({**before, "status": status}))

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str) -> None:
        self._write(f"delete {kind.name} {name}")
        if self._there(kind, namespace, name)["metadata"]["uid"] != uid:
            raise Conflict("another")
        del self.objects[kind.name, namespace, name]

    def _there(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        try:
            return self.objects[kind.name, namespace, name]
        except KeyError:
            raise Missing(f"{kind.name} {name} not found") from None

    def _write(self, word: str) -> None:
        self.writes.append(word)
        fault = self.faults.get(len(self.writes))
        if isinstance(fault, Exception):
            raise fault
        if fault is not None:
            fault()
        if word in self.refuse:
            raise self.refuse[word]


def _name(obj: dict[str, Any]) -> Name:
    return obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
