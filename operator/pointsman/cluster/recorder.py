"""Events (events.k8s.io/v1) on users' objects: repeats become a series, a flood is dropped, nobody ever waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from pointsman.cluster.answers import Busy, Missing
from pointsman.cluster.client import Client
from pointsman.cluster.kinds import EVENT, Json
from pointsman.errors import Conflict, PointsmanError, Retryable

COMPONENT = "pointsman.dev/operator"
_NOTE_LIMIT = 1024  # bytes, the API server's
_WAITING = 512  # kinds of events that wait to be posted; more are dropped
_SERIES_SECONDS = 360.0  # as client-go: a repeat within this belongs to the series
_BURST = 25
_PER_SECOND = 5.0
_TRIES = 12  # as client-go


@dataclass(frozen=True, kw_only=True)
class Occurrence:
    """What happened to an object; the same again is the same occurrence."""

    regarding: tuple[str, str, str, str, str]  # apiVersion, kind, namespace, name, uid
    type: Literal["Normal", "Warning"]
    reason: str
    action: str
    note: str


@dataclass(frozen=True, kw_only=True)
class _Posted:
    name: str
    count: int
    at: float  # monotonic


def occurrence(
    regarding: Json, *, type_: Literal["Normal", "Warning"], reason: str, action: str, note: str
) -> Occurrence:
    """An occurrence on an object as it came from the API server."""
    meta = regarding["metadata"]
    reference = (regarding["apiVersion"], regarding["kind"], meta.get("namespace", ""), meta["name"], meta["uid"])
    short = note.encode()[:_NOTE_LIMIT].decode(errors="ignore")
    return Occurrence(regarding=reference, type=type_, reason=reason, action=action, note=short)


class Recorder:
    """Posts occurrences one after the other, at its own pace."""

    def __init__(
        self,
        client: Client,
        *,
        instance: str,
        dropped: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._instance = instance
        self._dropped = dropped
        self._clock = clock
        self._waiting: OrderedDict[Occurrence, int] = OrderedDict()  # -> how often it happened meanwhile
        self._posted: OrderedDict[Occurrence, _Posted] = OrderedDict()
        self._wakened = asyncio.Event()
        self._tokens = float(_BURST)
        self._refilled_at = clock()

    def record(self, what: Occurrence) -> None:
        """Take note of an occurrence; returns at once."""
        if what in self._waiting:
            self._waiting[what] += 1
        elif len(self._waiting) < _WAITING:
            self._waiting[what] = 1
        else:
            self._dropped()
        self._wakened.set()

    async def run(self) -> None:
        """Post until cancelled."""
        while True:
            await self._wakened.wait()
            self._wakened.clear()
            await self.flush()

    async def flush(self) -> None:
        """Post all that waits."""
        while self._waiting:
            await self._pace()
            what, times = self._waiting.popitem(last=False)
            await self._post(what, times)

    async def _pace(self) -> None:
        now = self._clock()
        self._tokens = min(float(_BURST), self._tokens + (now - self._refilled_at) * _PER_SECOND)
        self._refilled_at = now
        if self._tokens < 1.0:
            await asyncio.sleep((1.0 - self._tokens) / _PER_SECOND)
        self._tokens -= 1.0

    async def _post(self, what: Occurrence, times: int) -> None:
        name = f"{what.regarding[3][:200]}.{uuid.uuid4().hex[:16]}"
        for _ in range(_TRIES):
            try:
                await self._send(what, times, name)
            except Busy as busy:
                await asyncio.sleep(busy.after)
            except Retryable:
                await asyncio.sleep(1.0)
            except PointsmanError:
                break  # the namespace is going, or we may not: an Event is not worth more
            else:
                return
        self._dropped()

    async def _send(self, what: Occurrence, times: int, name: str) -> None:
        before = self._posted.get(what)
        now = self._clock()
        if before is not None and now - before.at < _SERIES_SECONDS:
            try:
                self._posted[what] = await self._repeat(what, replace(before, count=before.count + times, at=now))
            except Missing:
                self._posted.pop(what)  # it was deleted meanwhile
            else:
                return
        with contextlib.suppress(Conflict):  # the try before has landed, and its answer was lost
            await self._client.post(self._event(what, name))
        counted = _Posted(name=name, count=times, at=now)
        self._posted[what] = counted if times == 1 else replace(counted, count=0)  # until the count has landed
        self._posted.move_to_end(what)
        if times > 1:
            self._posted[what] = await self._repeat(what, counted)
        while len(self._posted) > _WAITING:
            self._posted.popitem(last=False)

    async def _repeat(self, what: Occurrence, posted: _Posted) -> _Posted:
        patch = {"series": {"count": posted.count, "lastObservedTime": _now()}}
        await self._client.merge(EVENT, _namespace(what), posted.name, patch)
        return posted

    def _event(self, what: Occurrence, name: str) -> dict[str, Any]:
        api_version, kind, namespace, regarding, uid = what.regarding
        reference = {"apiVersion": api_version, "kind": kind, "name": regarding, "uid": uid}
        return {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.name,
            "metadata": {"name": name, "namespace": _namespace(what)},
            "eventTime": _now(),
            "type": what.type,
            "reason": what.reason,
            "action": what.action,
            "note": what.note,
            "reportingController": COMPONENT,
            "reportingInstance": self._instance,
            "regarding": reference | ({"namespace": namespace} if namespace else {}),
        }


def _namespace(what: Occurrence) -> str:
    return what.regarding[2] or "default"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
