"""Delivers what statuses owe, beside everything else: few at a time, again and again, at least once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Final, Generic, Literal, TypeVar
from urllib.parse import urlsplit

import structlog

from pointsman.rollout.plan import Notice
from pointsman.webhooks.sending import Undelivered

K = TypeVar("K", bound=Hashable)
Name = tuple[str, str]
"""Of a notice: its id and its webhook."""

_log = structlog.get_logger(__name__)

_AT_ONCE: Final = 8
_AT_ONCE_PER_HOST: Final = 2  # so that one that does not answer leaves room for the others
_FIRST_DELAY: Final = 1.0
_LONGEST_DELAY: Final = 600.0


@dataclass
class _Entry:
    notice: Notice
    due: float
    failures: int = 0
    state: Literal["waiting", "sending", "sent"] = "waiting"
    host: str = field(init=False)

    def __post_init__(self) -> None:
        self.host = urlsplit(self.notice.url).netloc


class Courier(Generic[K]):
    """Keeps what is owed, by whom it is owed for; all of it is in statuses, so nothing is lost with it.

    send      delivers one; raises Undelivered
    sent      told of each that was delivered
    failed    told of each that was not, and why
    counted   told `sent`, `failed` for each try, and `dropped` for each that is owed no longer and was not delivered
    """

    def __init__(
        self,
        send: Callable[[Notice], Awaitable[None]],
        *,
        sent: Callable[[K, Name], None],
        failed: Callable[[K, Name, str], None],
        counted: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._sent = sent
        self._failed = failed
        self._counted = counted
        self._clock = clock
        self._owed: dict[K, dict[Name, _Entry]] = {}
        self._sending: Counter[str] = Counter()  # by host
        self._woken = asyncio.Event()

    def __len__(self) -> int:
        waiting = (entry for entries in self._owed.values() for entry in entries.values() if entry.state != "sent")
        return sum(entry.notice.event is not None for entry in waiting)

    def owe(self, key: K, notices: Iterable[Notice]) -> None:
        """All that is owed for somebody now. What was delivered, and is owed still, waits only for its status to say so."""
        before = self._owed.pop(key, {})
        now = self._clock()
        entries: dict[Name, _Entry] = {}
        for notice in notices:
            name = (notice.id, notice.webhook)
            entries[name] = before.pop(name) if name in before else _Entry(notice, due=now)
        for gone in before.values():
            if gone.state != "sent":
                self._count(gone, "dropped")
        if entries:
            self._owed[key] = entries
            self._woken.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as sending:
            while True:
                self._woken.clear()
                for key, entry in self._due():
                    entry.state = "sending"
                    self._sending[entry.host] += 1
                    sending.create_task(self._deliver(key, entry))
                await self._wait()

    def _due(self) -> list[tuple[K, _Entry]]:
        """Those to begin with now, the longest due first."""
        now, room, taken = self._clock(), _AT_ONCE - self._sending.total(), self._sending.copy()
        found: list[tuple[K, _Entry]] = []
        for key, entry in sorted(self._waiting(), key=lambda one: one[1].due):
            if entry.due > now or len(found) >= room:
                break
            if taken[entry.host] < _AT_ONCE_PER_HOST:
                taken[entry.host] += 1
                found.append((key, entry))
        return found

    def _waiting(self) -> list[tuple[K, _Entry]]:
        return [(key, entry) for key, all_ in self._owed.items() for entry in all_.values() if entry.state == "waiting"]

    async def _wait(self) -> None:
        """Until something is owed, a delivery has ended, or the next is due that was not due yet."""
        now = self._clock()
        later = min((entry.due for _, entry in self._waiting() if entry.due > now), default=None)
        try:
            async with asyncio.timeout(None if later is None else later - now):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _deliver(self, key: K, entry: _Entry) -> None:
        notice, name = entry.notice, (entry.notice.id, entry.notice.webhook)
        try:
            await self._send(notice)
        except Undelivered as failure:
            self._again(entry, failure.after)
            self._failed(key, name, str(failure))
        except Exception as bug:  # noqa: BLE001  one that cannot be sent at all keeps nobody else's
            _log.exception("notification crashed", key=str(key), id=notice.id)
            self._again(entry, 0.0)
            self._failed(key, name, f"a fault of the operator ({type(bug).__name__})")
        else:
            entry.state = "sent"
            self._count(entry, "sent")
            _log.info("notified", key=str(key), id=notice.id, host=urlsplit(notice.url).hostname)
            self._sent(key, name)
        finally:
            self._sending[entry.host] -= 1
            self._woken.set()

    def _again(self, entry: _Entry, after: float) -> None:
        delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(entry.failures, 32))
        entry.failures += 1
        entry.due = self._clock() + max(delay, after)
        entry.state = "waiting"
        self._count(entry, "failed")

    def _count(self, entry: _Entry, outcome: str) -> None:
        """What tells nothing counts for nothing."""
        if entry.notice.event is not None:
            self._counted(outcome)
