"""Kills an operator at one of its writes: the write lands, and the operator never learns, or has learnt and gets no further."""

from __future__ import annotations

import asyncio
import enum

from bench.lab.recorder import Request


class Moment(enum.Enum):
    """When an operator dies."""

    UNANSWERED = "before it saw the answer"
    ANSWERED = "when it wrote again"


Point = tuple[int, Moment]
"""After how many writes, counted from 1."""


class Guillotine:
    """A tap that counts the writes in a namespace, the lease's excepted, and kills `victim` after the one that is asked for."""

    victim: asyncio.subprocess.Process

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._at: Point | None = None
        self._killed = False
        self._landed: list[Request] = []

    def set(self, at: Point | None) -> None:
        """Kill after so many writes from now on."""
        self._landed, self._at, self._killed = [], at, False

    def clear(self) -> tuple[list[Request], bool]:
        """What was written since, and whether somebody was killed."""
        self._at = None
        return self._landed, self._killed

    async def asked(self, request: Request) -> None:
        """The write after the one that is asked for is not let through."""
        if self._at == (len(self._landed), Moment.ANSWERED) and self._counts(request):
            await self._fall()

    async def answered(self, request: Request) -> None:
        """Nobody hears of the one that is asked for."""
        if self._counts(request) and request.status < 400:
            self._landed.append(request)
            if self._at == (len(self._landed), Moment.UNANSWERED):
                await self._fall()

    async def _fall(self) -> None:
        self._at, self._killed = None, True
        self.victim.kill()
        await asyncio.Event().wait()  # for ever: nobody is there to hear an answer

    def _counts(self, request: Request) -> bool:
        return request.writes and self._namespace in request.path.split("/") and request.resource != "leases"
