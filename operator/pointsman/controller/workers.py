"""The workers: they take keys from the agenda and survive whatever happens while one is worked on."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from pointsman.cluster.answers import Busy
from pointsman.controller.agenda import Agenda
from pointsman.controller.keys import Key
from pointsman.errors import Conflict, PointsmanError, Terminal

_log = structlog.get_logger(__name__)


_REFUSED_SECONDS = 5.0  # somebody has to change something first
_BUSY_SECONDS = 30.0  # the most that an API server can ask us to wait: an abort may be waiting too


class Gauge(Protocol):
    """What counts the workers' work."""

    def reconciled(self, result: str, seconds: float) -> None:
        """A reconcile has ended: `ok`, `conflict`, `retry` or `crash`."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """A reconcile came to its end; `wake_at` is when to come back (loop time), `gone` that the object is no more."""

    wake_at: float | None = None
    gone: bool = False


class Workers:
    """Reconciles keys, several at a time, each by one worker only."""

    def __init__(self, work: Callable[[Key], Awaitable[Done]], *, count: int, gauge: Gauge) -> None:
        self._work = work
        self._count = count
        self._gauge = gauge
        self._agenda: Agenda[Key] = Agenda(max(1, count // 2))  # the others are there for who has changed something
        self._idle: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = False
        self._begun = asyncio.Event()

    def __len__(self) -> int:
        return len(self._agenda)

    def waited(self) -> float:
        """Seconds that the one which waits longest has waited."""
        return self._agenda.waited(time.monotonic())

    def add(self, key: Key) -> None:
        """Reconcile the key as soon as a worker is free."""
        self._agenda.add(key, time.monotonic())
        self._rouse()

    def add_round(self, key: Key) -> None:
        """Reconcile the key when its turn comes, after all that have changed."""
        self._agenda.add_round(key, time.monotonic())
        self._rouse()

    async def run(self) -> None:
        """Work from `begin` until `stop`, and then to the end of what is being worked on."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._count):
                group.create_task(self._worker(), name=f"worker {number}")

    def begin(self) -> None:
        """Take keys from now on."""
        self._begun.set()

    def stop(self) -> None:
        """Take no more keys."""
        self._stopping = True
        self._begun.set()
        if self._timer is not None:
            self._timer.cancel()
        while self._idle:
            self._rouse()

    async def _worker(self) -> None:
        await self._begun.wait()
        while (key := await self._next()) is not None:
            try:
                await self._reconcile(key)
            finally:
                self._agenda.done(key, time.monotonic())
                self._rouse()

    async def _next(self) -> Key | None:
        loop = asyncio.get_running_loop()
        while not self._stopping:
            if (key := self._agenda.take(loop.time())) is not None:
                if len(self._agenda):
                    self._rouse()
                return key
            self._arm()
            idle: asyncio.Future[None] = loop.create_future()
            self._idle.append(idle)
            await idle
        return None

    async def _reconcile(self, key: Key) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            done = await self._work(key)
        except PointsmanError as failure:
            delay = self._agenda.failed(key, loop.time(), _at_least(failure))
            if isinstance(failure, Busy):
                self._agenda.hold(key)
            _log.warning("reconcile failed", key=str(key), error=str(failure), retry_seconds=round(delay, 3))
            self._gauge.reconciled("conflict" if isinstance(failure, Conflict) else "retry", loop.time() - started)
        except Exception:  # noqa: BLE001  a bug met by one object must not stop the others
            delay = self._agenda.failed(key, loop.time())
            _log.exception("reconcile crashed", key=str(key), retry_seconds=round(delay, 3))
            self._gauge.reconciled("crash", loop.time() - started)
        else:
            self._agenda.succeeded(key)
            if done.gone:
                self._agenda.forget(key)
            else:
                self._agenda.wake(key, done.wake_at)
            self._gauge.reconciled("ok", loop.time() - started)

    def _rouse(self) -> None:
        while self._idle:
            idle = self._idle.popleft()
            if not idle.done():
                idle.set_result(None)
                return

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (at := self._agenda.next_at()) is not None:
            self._timer = asyncio.get_running_loop().call_at(at, self._rouse)


def _at_least(failure: PointsmanError) -> float:
    """How long to wait, whatever the back-off says; seconds."""
    if isinstance(failure, Busy):
        return min(failure.after, _BUSY_SECONDS)
    return _REFUSED_SECONDS if isinstance(failure, Terminal) else 0.0
