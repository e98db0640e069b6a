"""Replays requests at a bounded rate and counts what users saw."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus

import aiohttp

IN_FLIGHT = 64  # more users do not wait at once; what would be more is not sent, and said
TIMEOUT = 10.0  # seconds; nobody waits longer
_TICK = 0.02
_RECENT = 400  # requests that the shown latency is of


@dataclass(frozen=True)
class Traffic:
    """What users asked and got, since the beginning or within a time.

    Attributes:
        answered: requests that ended, well or not.
        failed: of those, all that were not answered with 200: every request is a real, valid row.
        held_back: requests not sent, because too many were waiting.
    """

    answered: int = 0
    failed: int = 0
    held_back: int = 0

    def since(self, earlier: Traffic) -> Traffic:
        """What came on top of an earlier count."""
        return Traffic(
            self.answered - earlier.answered, self.failed - earlier.failed, self.held_back - earlier.held_back
        )

    def plus(self, *, status: int | None) -> Traffic:
        """With one more ended request; None: no answer at all."""
        return replace(self, answered=self.answered + 1, failed=self.failed + (status != HTTPStatus.OK))


def due(*, elapsed: float, rate: float, begun: int) -> int:
    """How many requests should begin now, for `rate` a second over `elapsed` seconds of which `begun` have begun."""
    return max(0, int(elapsed * rate) - begun)


class Generator:
    """Users: they come at a fixed rate, however slow the answers are."""

    def __init__(
        self, client: aiohttp.ClientSession, *, url: str, host: str, bodies: Sequence[bytes], rate: float
    ) -> None:
        """`url` is the model's inference path at the gateway, `host` the model's host name, `rate` requests a second."""
        self._client = client
        self._url = url
        self._headers = {"host": host, "content-type": "application/json"}
        self._bodies = bodies
        self.rate = rate
        self.traffic = Traffic()
        self.failures: Counter[str] = Counter()  # by status, or by what went wrong where there was none
        self.last_failure = ""  # when it was, and what was answered
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._waiting: set[asyncio.Task[None]] = set()

    @property
    def median(self) -> float | None:
        """Seconds that half of the last requests took at most."""
        ordered = sorted(self._recent)
        return ordered[len(ordered) // 2] if ordered else None

    def ask_for(self, bodies: Sequence[bytes]) -> None:
        """Send other requests from now on."""
        self._bodies = bodies

    async def run(self) -> None:
        """Send until cancelled; then wait for the answers still on their way."""
        started, begun = time.monotonic(), 0
        try:
            while True:
                count = due(elapsed=time.monotonic() - started, rate=self.rate, begun=begun)
                for number in range(begun, begun + count):
                    self._begin(self._bodies[number % len(self._bodies)])
                begun += count
                await asyncio.sleep(_TICK)
        finally:
            await asyncio.gather(*self._waiting)

    def _begin(self, body: bytes) -> None:
        if len(self._waiting) >= IN_FLIGHT:
            self.traffic = replace(self.traffic, held_back=self.traffic.held_back + 1)
            return
        task = asyncio.create_task(self.ask(body))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def ask(self, body: bytes) -> None:
        """Send one request and count how it ended."""
        begun = time.monotonic()
        try:
            async with self._client.post(self._url, data=body, headers=self._headers) as answer:
                said = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as failure:
            self.traffic = self.traffic.plus(status=None)
            self.failures[type(failure).__name__] += 1
        else:
            self.traffic = self.traffic.plus(status=answer.status)
            if answer.status != HTTPStatus.OK:
                self.failures[str(answer.status)] += 1
                self.last_failure = f"{datetime.now(UTC):%H:%M:%S.%f}: {said[:500]!r}"
            self._recent.append(time.monotonic() - begun)


def client() -> aiohttp.ClientSession:
    """Connections that many users share. aiohttp, because it takes a tenth of httpx's time: the models need the processor."""
    connections = aiohttp.TCPConnector(limit=IN_FLIGHT)
    return aiohttp.ClientSession(connector=connections, timeout=aiohttp.ClientTimeout(total=TIMEOUT), trust_env=False)
