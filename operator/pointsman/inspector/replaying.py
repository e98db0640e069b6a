"""Replays: one request to one version, and its answer to the last byte, within the limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import aiohttp
from yarl import URL

from pointsman.inspector.assignment import Arm, Limits
from pointsman.inspector.judgement import Outcome, Reply
from pointsman.inspector.room import Holding

_KEPT_SECONDS: Final = 4.0  # model servers close a connection that is idle for five
_CONNECT_SECONDS: Final = 5.0
_HEADERS: Final = 64 * 2**10
_READ: Final = 2**16
_AT_ONCE: Final = 2**16


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrored:
    """A request as both versions get it."""

    method: str
    target: str  # path and query, as they came
    headers: Sequence[tuple[str, str]]
    body: bytes


class Client:
    """Keeps connections to one version."""

    def __init__(self, arm: Arm, limits: Limits) -> None:
        self._base = arm.url
        self._limits = limits
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=limits.concurrency, keepalive_timeout=_KEPT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            read_bufsize=_READ,
            max_line_size=_HEADERS,
            max_field_size=_HEADERS,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    async def replay(self, mirrored: Mirrored, held: Holding) -> Reply:
        """Send it and read the answer to its end, into what is held."""
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await self._answered(mirrored, held, started)
        except aiohttp.ServerTimeoutError:  # a TimeoutError, too
            return _reply("unreachable", started)
        except TimeoutError:
            return _reply("timeout", started)
        except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError):  # it ended early, or is no HTTP
            return _reply("error", started)
        except (aiohttp.ClientError, OSError):
            return _reply("unreachable", started)

    async def _answered(self, mirrored: Mirrored, held: Holding, started: float) -> Reply:
        try:
            return await self._asked(mirrored, held, started)
        except (aiohttp.ServerDisconnectedError, ConnectionResetError):
            # Before a byte of an answer: most likely it closed a kept connection in the moment that we used it.
            return await self._asked(mirrored, held, started)

    async def _asked(self, mirrored: Mirrored, held: Holding, started: float) -> Reply:
        url = URL(self._base + mirrored.target, encoded=True)
        data: bytes | AsyncIterator[memoryview] | None = mirrored.body or None
        headers = mirrored.headers
        if len(mirrored.body) > _AT_ONCE:
            data, headers = _pieces(mirrored.body), [*headers, ("Content-Length", str(len(mirrored.body)))]
        async with self._session.request(
            mirrored.method, url, headers=headers, data=data, allow_redirects=False
        ) as response:
            body, outcome = await self._read(response, held)
            return Reply(
                outcome=outcome or _outcome(response.status),
                seconds=time.perf_counter() - started,
                status=response.status,
                body=body,
                content_type=response.headers.get("Content-Type", ""),
                content_encoding=response.headers.get("Content-Encoding", ""),
            )

    async def _read(self, response: aiohttp.ClientResponse, held: Holding) -> tuple[bytes, Outcome | None]:
        """The body, or why it was not read to the end."""
        parts: list[bytes] = []
        size = 0
        async for part in response.content.iter_any():
            size += len(part)
            if size > self._limits.bytes or not held.take(len(part)):
                response.close()
                return b"", "too_large" if size > self._limits.bytes else "shed"
            parts.append(part)
        return b"".join(parts), None


async def _pieces(body: bytes) -> AsyncIterator[memoryview]:
    """A large body as it is sent: in pieces, between which others are served, and which are no copies."""
    whole = memoryview(body)
    for start in range(0, len(body), _AT_ONCE):
        yield whole[start : start + _AT_ONCE]


def _reply(outcome: Outcome, started: float) -> Reply:
    return Reply(outcome=outcome, seconds=time.perf_counter() - started)


def _outcome(status: int) -> Outcome:
    match status // 100:
        case 2:
            return "ok"
        case 4:
            return "refused"
        case _:
            return "error"
