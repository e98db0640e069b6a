"""Carries a plan out, in its order: what lowers, what prepares, statuses, and only then what raises or deletes."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from pointsman.api.names import REVISION
from pointsman.api.values import ApiModel
from pointsman.cluster.answers import Missing, Refused, Taken
from pointsman.cluster.cache import Cache, Change, Name, owner_of
from pointsman.cluster.client import Client
from pointsman.cluster.kinds import MODEL_DEPLOYMENT, MODEL_REVISION, Json, Kind, kind_of, named
from pointsman.controller import news
from pointsman.controller.memory import Memory
from pointsman.errors import Conflict
from pointsman.rollout.observed import Observed
from pointsman.rollout.plan import Apply, Delete, Event, Plan, Write


class Outcome(enum.Enum):
    """How a plan ended."""

    SETTLED = "settled"  # nothing was to be changed
    CHANGED = "changed"  # all of it is done: what a decision sees is different now
    OVERTAKEN = "overtaken"  # the world is not as the decision saw it; what is cached is fresh again: decide anew
    REFUSED = "refused"  # the API server refused something, which the next decision knows: decide anew


class Carrier:
    """Carries out the plans of one ModelDeployment, one at a time."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        memory: Memory,
        *,
        namespace: str,
        learnt: Callable[[Change], None],
        tell: Callable[[Event], None],
    ) -> None:
        self._client = client
        self._cache = cache
        self._memory = memory
        self._namespace = namespace
        self._learnt = learnt  # told what a live read has found
        self._tell = tell  # what a write that changed something has to say
        self._written: dict[tuple[str, str], tuple[str, str]] = {}  # versions as seen, and what our write made of them
        self._changed = False
        self._refused: Refused | None = None  # what lowers
        self.committed = False  # the plan's status is written; or it had none, and all the rest is done

    async def lower(self, plan: Plan, now: datetime) -> Outcome:
        """Step 1 alone. Raises Unavailable: the caller comes back until it lands."""
        self._begin()
        return await self._lower(plan, now) or self._end()

    async def out(self, observed: Observed, plan: Plan, now: datetime) -> Outcome:
        """Steps 1 to 4. Raises Unavailable; Refused where a status is, or what lowers: then nothing is raised."""
        self._begin()
        return (
            await self._lower(plan, now)
            or await self._refusable(plan.prepare, now)
            or await self._statuses(observed, plan, now)
            or self._unless_refused()
            or await self._refusable(plan.after, now)
            or self._done()
        )

    def _done(self) -> Outcome:
        self.committed = True
        return self._end()

    def _begin(self) -> None:
        self._written.clear()
        self._changed = False
        self._refused = None
        self.committed = False

    def _end(self) -> Outcome:
        return Outcome.CHANGED if self._changed else Outcome.SETTLED

    async def _lower(self, plan: Plan, now: datetime) -> Outcome | None:
        """Every one of them is tried, whatever becomes of the others."""
        outcome: Outcome | None = None
        for write in plan.lower:
            try:
                one = await self._one(write, now)
            except Refused as refused:
                self._refused = refused
            else:
                outcome = outcome or one
        return outcome

    def _unless_refused(self) -> Outcome | None:
        if self._refused is not None:
            raise self._refused
        return None

    async def _refusable(self, writes: Iterable[Write], now: datetime) -> Outcome | None:
        for write in writes:
            try:
                outcome = await self._one(write, now)
            except Refused:
                return None  # known already: the plan is what the decision makes of it, its statuses included
            if outcome is not None:
                return outcome
        return None

    async def _one(self, write: Write, now: datetime) -> Outcome | None:
        """One write; Refused where the decision knew of the refusal already."""
        kind, name = _target(write)
        try:
            await self._write(write)
        except Conflict:
            await self._look_again(kind, name)
            return Outcome.OVERTAKEN
        except Refused as refused:
            if self._memory.refuse(_revision(write) or name, _said(kind, name, refused), now):
                return Outcome.REFUSED
            raise
        return None

    async def _statuses(self, observed: Observed, plan: Plan, now: datetime) -> Outcome | None:
        for name, status in plan.revisions.items():
            seen = observed.revisions.get(name)
            version = None if seen is None else seen.resource_version
            if (overtaken := await self._status(MODEL_REVISION, name, version, status)) is not None:
                return overtaken
        self._memory.tell_at = None
        if plan.status is None:
            return None
        deployment = observed.deployment
        relied_on = plan.after or plan.events or news.is_news(deployment.status, plan.status)
        if not relied_on and (later := news.next_time(self._memory.told_at, now)) is not None:
            self._memory.tell_at = later
            return None
        overtaken = await self._status(MODEL_DEPLOYMENT, deployment.name, deployment.resource_version, plan.status)
        self.committed = overtaken is None
        if self.committed:
            self._memory.told_at = now
        return overtaken

    async def _status(self, kind: Kind, name: str, version: str | None, status: ApiModel) -> Outcome | None:
        """Write a status over what was seen at `version`; None: over the object that this plan created."""
        cached = self._cache.get(kind, self._namespace, name)
        if cached is None:
            await self._look_again(kind, name)
            return Outcome.OVERTAKEN
        try:
            expected = self._current(kind, name, version)
            seen = {**cached, "metadata": {**cached["metadata"], "resourceVersion": expected}}
            answer = await self._client.update_status(seen, status.dump())
        except (Conflict, Missing):
            await self._look_again(kind, name)
            return Outcome.OVERTAKEN
        self._keep(kind, name, expected, answer)
        return None

    async def _write(self, write: Write) -> None:
        if isinstance(write, Delete):
            await self._delete(write)
        elif write.resource_version is None:
            await self._create(write.object)
        else:
            await self._apply(write, write.resource_version)

    async def _create(self, obj: Json) -> None:
        kind, name = kind_of(obj), obj["metadata"]["name"]
        if self._cache.seen(kind, self._namespace, name) is not None:
            raise Conflict(f"{kind.name} {name} has appeared meanwhile")
        if self._cache.has_gone(kind, self._namespace, name) and (owner := owner_of(obj)) is not None:
            await self._look_for(owner)
        answer = await self._client.create(obj)
        self._memory.settle(answer, obj)
        self._keep(kind, name, "", answer)

    async def _look_for(self, owner: Name) -> None:
        """Conflict where the ModelDeployment is gone: its children go after it, and are not to be made again.

        A watch that was interrupted does not tell at once.
        """
        namespace, name = owner
        await self._look_again(MODEL_DEPLOYMENT, name)
        if self._cache.seen(MODEL_DEPLOYMENT, namespace, name) is None:
            raise Conflict(f"ModelDeployment {name} is gone")

    async def _apply(self, write: Apply, version: str) -> None:
        obj = write.object
        kind, name = kind_of(obj), obj["metadata"]["name"]
        cached = self._cache.get(kind, self._namespace, name)
        if cached is None:
            raise Conflict(f"{kind.name} {name} is gone")
        if self._memory.is_settled(cached, obj):
            return
        expected = self._current(kind, name, version)
        answer = await self._client.apply(
            obj, uid=cached["metadata"]["uid"], resource_version=expected, manager=write.manager
        )
        self._memory.settle(answer, obj)
        self._keep(kind, name, expected, answer)
        if write.event is not None and answer["metadata"]["resourceVersion"] != expected:
            self._tell(write.event)

    async def _delete(self, delete: Delete) -> None:
        kind = named(delete.api_version, delete.kind)
        seen = self._cache.seen(kind, self._namespace, delete.name)
        if seen is None or seen.uid != delete.uid or seen.going:
            return
        with contextlib.suppress(Missing):  # somebody was faster
            await self._client.delete(kind, self._namespace, delete.name, uid=delete.uid)
        self._memory.unsettle(kind.name, delete.name)
        self._cache.missing(kind, self._namespace, delete.name)
        self._changed = True

    def _keep(self, kind: Kind, name: str, expected: str, answer: dict[str, Any]) -> None:
        version = answer["metadata"]["resourceVersion"]
        if version != expected:
            self._changed = True
            self._written[kind.name, name] = (expected, version)
        self._cache.put(answer)

    def _current(self, kind: Kind, name: str, seen: str | None) -> str:
        """The version to write over: the one the decision saw, or what this plan's own write made of it."""
        before, after = self._written.get((kind.name, name), ("", ""))
        if after and (seen is None or seen == before):
            return after
        if seen is None:
            raise Conflict(f"{kind.name} {name} was not there for the decision")
        return seen

    async def _look_again(self, kind: Kind, name: str) -> None:
        """A live read: the cache was behind."""
        try:
            change = self._cache.put(await self._client.get(kind, self._namespace, name))
        except Missing:
            change = self._cache.missing(kind, self._namespace, name)
        if change is not None:
            self._learnt(change)


def _said(kind: Kind, name: str, refused: Refused) -> str:
    words = " ".join(str(refused).split())
    if isinstance(refused, Taken):
        return f"{kind.name} {name} exists and is somebody else's: delete it or choose another name ({words})"
    return f"{kind.name} {name}: {words}"


def _target(write: Write) -> tuple[Kind, str]:
    if isinstance(write, Delete):
        return named(write.api_version, write.kind), write.name
    return kind_of(write.object), write.object["metadata"]["name"]


def _revision(write: Write) -> str | None:
    """The revision that a write is for."""
    if isinstance(write, Apply):
        labels: Mapping[str, str] = write.object["metadata"].get("labels") or {}
        return labels.get(REVISION)
    return None
