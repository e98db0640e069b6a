"""Inspection: what is done with each mirrored request, from its arrival to the counters."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Sequence
from typing import Final

import aiohttp
import structlog
from aiohttp import web

from pointsman.inspector import sampling
from pointsman.inspector.assignment import Assignment
from pointsman.inspector.documents import UnreadableError
from pointsman.inspector.headers import forwarded
from pointsman.inspector.judgement import Asked, Conclusion, Finding, Handled, Judge
from pointsman.inspector.ledger import Ledger
from pointsman.inspector.replaying import Client, Mirrored
from pointsman.inspector.room import Holding, Room
from pointsman.inspector.sampling import Share, Tokens

_log = structlog.get_logger(__name__)

_BODIES: Final = 8 * 2**20  # bytes: the largest body that may be allowed fits, and twice as much for its two answers
_ANSWERS: Final = 2 * _BODIES
_QUEUE: Final = 4  # requests that are begun for each that may be replayed at a time: traffic comes in bursts


class _TurnedAwayError(Exception):
    """A request goes no further."""

    def __init__(self, handled: Handled) -> None:
        super().__init__(handled)
        self.handled = handled


class Inspector:
    """Receives requests, replays those that it has room for and counts what became of every one."""

    def __init__(self, assignment: Assignment, clients: Sequence[Client], ledger: Ledger) -> None:
        self._assignment = assignment
        self._limits = assignment.limits
        self._clients = clients
        self._ledger = ledger
        self._judge = Judge(assignment)
        self._credentials = frozenset(name.lower() for name in assignment.forward_headers)
        self._bodies, self._answers = Room(_BODIES), Room(_ANSWERS)
        self._tokens = Tokens(assignment.limits.requests_per_second, now=time.monotonic())
        self._share = Share()
        self._taken = self._shed = 0
        self._started = 0
        self._slots = asyncio.Semaphore(assignment.limits.concurrency)
        self._begun: set[asyncio.Task[Conclusion]] = set()

    async def receive(self, request: web.BaseRequest) -> web.Response:
        """Answer a mirrored request as soon as it is there; what is done with it is done afterwards."""
        self._ledger.received += 1
        held = self._bodies.holding()
        handled: Handled | None = "abandoned"
        try:
            await self._admit(request, held)
            handled = None
        except _TurnedAwayError as end:
            handled = end.handled
        except Exception as error:  # noqa: BLE001  whatever it was: it is counted, and the next request is served
            handled = _crashed(error)
        finally:
            if handled is not None:
                held.release()
                self._ledger.ended(handled)
        return web.Response(status=202)

    def adjust(self) -> None:
        """Set the share of requests that is replayed; once a second."""
        self._share = self._share.adjusted(taken=self._taken, shed=self._shed)
        self._taken = self._shed = 0
        self._ledger.share = self._share.value

    async def finish(self, seconds: float) -> None:
        """Let what was begun come to its end, for so long; the rest is abandoned."""
        if self._begun:
            _, late = await asyncio.wait(self._begun, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _admit(self, request: web.BaseRequest, held: Holding) -> None:
        """Start the replays of a request, or say why not."""
        body = await self._body(request, held)
        identity = request.headers.get("x-request-id", "").encode("utf-8", "replace")
        if not self._share.takes(sampling.place(identity, body)):
            raise _TurnedAwayError("sampled_out")
        self._taken += 1
        if len(self._begun) >= _QUEUE * self._limits.concurrency or not self._tokens.take(time.monotonic()):
            raise self._full()
        answers = self._answers.holding()
        task = asyncio.create_task(self._inspect(request, body, answers))
        self._begun.add(task)
        task.add_done_callback(lambda done: self._ended(done, held, answers))

    async def _body(self, request: web.BaseRequest, held: Holding) -> bytes:
        parts: list[bytes] = []
        known = request.content_length
        if known is not None and known > self._limits.bytes:
            raise _TurnedAwayError("too_large")
        self._hold(held, known or 0)
        size = 0
        try:
            async with asyncio.timeout(self._limits.seconds):
                async for part in request.content.iter_any():
                    size += len(part)
                    if size > self._limits.bytes:
                        raise _TurnedAwayError("too_large")
                    if known is None:
                        self._hold(held, len(part))
                    parts.append(part)
        except (TimeoutError, ConnectionError, aiohttp.ClientError, web.RequestPayloadError) as error:
            raise _TurnedAwayError("incomplete") from error
        return b"".join(parts)

    def _hold(self, held: Holding, size: int) -> None:
        if not held.take(size):
            self._taken += 1
            raise self._full()

    def _full(self) -> _TurnedAwayError:
        self._shed += 1
        return _TurnedAwayError("shed")

    async def _inspect(self, request: web.BaseRequest, body: bytes, answers: Holding) -> Conclusion:
        target = request.raw_path
        try:
            asked = self._judge.request(body, request.headers)
        except UnreadableError:
            return Conclusion(finding=Finding(handled="unparsed"))
        if not target.startswith("/"):
            return Conclusion(finding=Finding(handled="unparsed"))
        headers = forwarded(request.headers.items(), self._credentials)
        mirrored = Mirrored(method=request.method, target=target, headers=headers, body=body)
        async with self._slots:
            return await self._replayed(mirrored, answers, asked)

    async def _replayed(self, mirrored: Mirrored, answers: Holding, asked: Asked) -> Conclusion:
        """Both versions at the same moment, each first in every other request."""
        self._started += 1
        cold = self._started <= self._assignment.warmup
        turn = 1 if self._started % 2 else -1
        replies = await asyncio.gather(*(client.replay(mirrored, answers) for client in self._clients[::turn]))
        replies = replies[::turn]
        if cold:
            return Conclusion(finding=Finding(handled="warmup"))
        judged = self._judge.watched(*replies) if len(replies) == 1 else self._judge.compared(*replies)
        if judged.handled == "shed":
            return Conclusion(finding=judged)
        return Conclusion(finding=judged, replies=replies, asked=asked)

    def _ended(self, task: asyncio.Task[Conclusion], *held: Holding) -> None:
        """Counts a request whose task has ended, however it ended."""
        for holding in held:
            holding.release()
        self._begun.discard(task)
        if task.cancelled():
            self._ledger.ended("abandoned")
        elif (error := task.exception()) is not None:
            self._ledger.ended(_crashed(error))
        else:
            conclusion = task.result()
            self._shed += conclusion.finding.handled == "shed"
            self._ledger.concluded(conclusion)


def _crashed(error: BaseException) -> Handled:
    """A bug; what the error says may quote a body, so only its kind and place are logged."""
    _log.error("crashed", kind=type(error).__name__, at=traceback.format_tb(error.__traceback__))
    return "crashed"
