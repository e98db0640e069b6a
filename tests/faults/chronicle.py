"""Everything that happened to the objects of a namespace, in the API server's own order, and what must be true of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp

from bench.lab import gateway
from bench.lab.api import Api, ApiError, Json

KINDS = ("ModelDeployment", "ModelRevision", "Deployment", "HTTPRoute", "Pod", "Service")
_GONE = 410
LEAST = 0.01  # percent
PATIENCE = 180.0  # seconds until what is waited for counts as never; machines may be busy
_PAUSE = 0.1  # before a watch that has ended is begun again


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An object after a change; `version` orders the changes of all kinds: it is etcd's revision."""

    version: int
    kind: str
    type: str
    obj: Json

    @property
    def name(self) -> str:
        """The object's name."""
        name: str = self.obj["metadata"]["name"]
        return name


@dataclass(kw_only=True)
class Chronicle:
    """What is there, and every change that led to it; survives an API server that goes and comes back."""

    api: Api
    namespace: str
    objects: dict[str, dict[str, Json]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    entries: list[Entry] = field(default_factory=list)
    unseen: dict[str, list[range]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    """The versions between which a kind's changes were forgotten before they were told: what was written there nobody knows."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, holds: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
        """Wait until it holds; looked at again after every change."""
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    self._changed.clear()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._changed.wait(), 0.5)
        except TimeoutError:
            status = {name: obj.get("status") for name, obj in self.objects["ModelDeployment"].items()}
            raise AssertionError(f"after {seconds:g} s still not: {what}; it is {status}") from None

    async def quiet(self, seconds: float, patience: float = PATIENCE) -> None:
        """Wait until nothing has changed for so long."""
        async with asyncio.timeout(patience):
            while True:
                seen = len(self.entries)
                await asyncio.sleep(seconds)
                if len(self.entries) == seen:
                    return

    def of(self, kind: str, name: str, since: int = 0) -> Iterator[Entry]:
        """The changes of one object after a version, in their order."""
        found = [one for one in self.entries if (one.kind, one.name) == (kind, name) and one.version > since]
        yield from sorted(found, key=lambda one: one.version)

    async def follow(self, kind: str) -> None:
        """Watch a kind until cancelled."""
        version, told = "", 0
        while True:
            try:
                if not version:
                    version = await self._list(kind)
                    if told:
                        self.unseen[kind].append(range(told + 1, int(version) + 1))
                async for type_, obj, _ in self.api.watch(kind, self.namespace, version):
                    version = obj["metadata"]["resourceVersion"]
                    self._take(kind, type_, obj)
            except ApiError as failure:
                if failure.status == _GONE and version:
                    version, told = "", int(version)
            except (aiohttp.ClientError, OSError, ValueError, KeyError):  # also where it answers, and is not ready
                pass  # it is away: the same version again
            await asyncio.sleep(_PAUSE)

    async def _list(self, kind: str) -> str:
        listing = await self.api.list(kind, self.namespace)
        there = {item["metadata"]["name"] for item in listing["items"]}
        for name in self.objects[kind].keys() - there:
            del self.objects[kind][name]
        for item in listing["items"]:
            self._take(kind, "ADDED", item)
        version: str = listing["metadata"]["resourceVersion"]
        return version

    def _take(self, kind: str, type_: str, obj: Json) -> None:
        entry = Entry(version=int(obj["metadata"]["resourceVersion"]), kind=kind, type=type_, obj=obj)
        if type_ == "DELETED":
            self.objects[kind].pop(entry.name, None)
        else:
            self.objects[kind][entry.name] = obj
        self.entries.append(entry)
        self._changed.set()


async def obey(chronicle: Chronicle) -> None:
    """Stand for a gateway until cancelled: accept every route's newest generation, also after the API server was away."""
    while True:
        for name, route in list(chronicle.objects["HTTPRoute"].items()):
            if gateway.unanswered(route):
                patch = gateway.accepted(route, datetime.now(UTC))
                with suppress(ApiError, aiohttp.ClientError, OSError):
                    await chronicle.api.merge("HTTPRoute", chronicle.namespace, name, "status", patch=patch)
        await asyncio.sleep(_PAUSE)


@asynccontextmanager
async def chronicle(api: Api, namespace: str) -> AsyncIterator[Chronicle]:
    """Write down what happens in a namespace, and play its gateway, until the end of the block."""
    made = Chronicle(api=api, namespace=namespace)
    async with AsyncExitStack() as stack:
        for work in (*(made.follow(kind) for kind in KINDS), obey(made)):
            stack.push_async_callback(_ended, asyncio.create_task(work))
        yield made


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def shares(chronicle: Chronicle, model: str, candidate: str, since: int = 0) -> list[float]:
    """The percentages of users' requests that a revision was given, one after the other.

    Left out are repeats, and the least there is, with which each begins and with which stable's ends (docs/adr/0015).
    """
    found: list[float] = []
    for entry in chronicle.of("HTTPRoute", model, since):
        percent = gateway.percent(entry.obj, candidate)
        if percent not in (LEAST, 100 - LEAST) and found[-1:] != [percent]:
            found.append(percent)
    return found


def unearned(chronicle: Chronicle, model: str, candidate: str) -> list[str]:
    """The moments at which a candidate had a larger share than the last status before allowed; there must be none.

    Not judged is what was written while nobody saw the statuses: the one that allowed it may have been among them.
    """
    unseen = chronicle.unseen["ModelDeployment"]
    allowed, found = 0.0, []
    changes = [*chronicle.of("ModelDeployment", model), *chronicle.of("HTTPRoute", model)]
    for entry in sorted(changes, key=lambda one: one.version):
        if entry.kind == "ModelDeployment":
            allowed = _allowed(entry.obj.get("status") or {}, candidate)
            continue
        share = gateway.percent(entry.obj, candidate)
        if share > allowed + LEAST and not any(entry.version in versions for versions in unseen):
            found.append(f"{share:g} % at {entry.version}, where the status allowed {allowed:g} %")
    return found


def _allowed(status: Json, candidate: str) -> float:
    if (status.get("stable") or {}).get("revision") == candidate:
        return 100.0
    rollout = status.get("rollout") or {}
    if (status.get("candidate") or {}).get("revision") != candidate:
        return 0.0
    return 100.0 if rollout.get("phase") == "Promoting" else float(rollout.get("percent") or 0)


def overfull(chronicle: Chronicle, model: str, most: int) -> list[str]:
    """The moments at which a model's Deployments asked for more pods than the capacity rule allows; there must be none."""
    asked: dict[str, int] = {}
    found = []
    entries = [one for one in chronicle.entries if one.kind == "Deployment" and one.name.startswith(f"{model}-")]
    for entry in sorted(entries, key=lambda one: one.version):
        asked[entry.name] = 0 if entry.type == "DELETED" else int(entry.obj["spec"]["replicas"])
        if sum(asked.values()) > most:
            found.append(f"{asked} at {entry.version}")
    return found


def starved(chronicle: Chronicle, model: str, least: int, since: int = 0) -> list[str]:
    """The moments after `since` at which fewer pods of a model were ready than the capacity rule demands."""
    ready: dict[str, int] = {}
    found = []
    entries = [one for one in chronicle.entries if one.kind == "Deployment" and one.name.startswith(f"{model}-")]
    for entry in sorted(entries, key=lambda one: one.version):
        status = entry.obj.get("status") or {}
        ready[entry.name] = 0 if entry.type == "DELETED" else int(status.get("readyReplicas") or 0)
        if entry.version > since and sum(ready.values()) < least:
            found.append(f"{ready} at {entry.version}")
    return found


def version_of(obj: Json) -> int:
    """An object's resourceVersion, as a number."""
    return int(obj["metadata"]["resourceVersion"])
