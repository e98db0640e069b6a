"""A reverse proxy in front of the API server that records every request of who is told to use it, and may hold it up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import aiohttp
import yaml
from aiohttp import web

from bench.lab.api import Credentials

_HOP_BY_HOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})
_READING = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request that was answered; `at` by `time.perf_counter`."""

    at: float
    method: str
    path: str
    query: str
    status: int
    body: bytes

    @property
    def writes(self) -> bool:
        """Whether it changes something: a dry run does not."""
        return self.method not in _READING and "dryRun=" not in self.query

    @property
    def resource(self) -> str:
        """Such as `httproutes` or `modelrevisions/status`."""
        parts = self.path.strip("/").split("/")
        parts = parts[2:] if parts[0] == "api" else parts[3:]
        if parts[0] == "namespaces" and len(parts) > 2:
            parts = parts[2:]
        return "/".join((parts[0], *parts[2:]))


class Tap(Protocol):
    """Stands in the way of requests: what it waits for or raises, the one who asked gets to feel."""

    async def asked(self, request: Request) -> None:
        """Before a request is passed on; its status is 0."""

    async def answered(self, request: Request) -> None:
        """Before its answer is passed back: what it asked for is done."""


class Open:
    """A tap that lets everything through."""

    async def asked(self, request: Request) -> None:
        """At once."""

    async def answered(self, request: Request) -> None:
        """At once."""


class Recorder:
    """The requests so far, and how to be the one that is recorded."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self.kubeconfig = kubeconfig
        self._namespace = namespace
        self.requests: list[Request] = []

    def writes(self, since: float = 0.0, until: float = float("inf")) -> list[Request]:
        """What was written for the benchmark's own objects, the lease excepted.

        Its runtime and policy are named like its namespace; those of others on the same API server are not its business.
        """
        own = [one for one in self.requests if self._namespace in one.path.split("/") and one.resource != "leases"]
        return [one for one in own if one.writes and since <= one.at <= until]

    def reads(self, since: float = 0.0, until: float = float("inf")) -> list[Request]:
        """What was read."""
        return [one for one in self.requests if not one.writes and since <= one.at <= until]


@asynccontextmanager
async def recording(
    credentials: Credentials, folder: Path, namespace: str, tap: Tap | None = None
) -> AsyncIterator[Recorder]:
    """Listen on the loopback until the end of the block; the recorder's kubeconfig leads there."""
    recorder = Recorder(folder / "recorded.kubeconfig", namespace)
    connector = aiohttp.TCPConnector(ssl=credentials.tls, limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:

        async def handle(request: web.Request) -> web.StreamResponse:
            return await _forward(
                request, session=session, server=credentials.server, recorder=recorder, tap=tap or Open()
            )

        application = web.Application(client_max_size=2**25)
        application.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        recorder.kubeconfig.write_text(yaml.safe_dump(_kubeconfig(f"http://127.0.0.1:{port}")), encoding="utf-8")
        try:
            yield recorder
        finally:
            await runner.cleanup()


async def _forward(
    request: web.Request, *, session: aiohttp.ClientSession, server: str, recorder: Recorder, tap: Tap
) -> web.StreamResponse:
    headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP_BY_HOP}
    body, at = await request.read(), time.perf_counter()
    asked = Request(at=at, method=request.method, path=request.path, query=request.query_string, status=0, body=body)
    await tap.asked(asked)
    url = server + request.raw_path
    async with session.request(request.method, url, headers=headers, data=body or None) as answer:
        answered = replace(asked, status=answer.status)
        recorder.requests.append(answered)
        await tap.answered(answered)
        kept = {key: value for key, value in answer.headers.items() if key.lower() not in _HOP_BY_HOP}
        response = web.StreamResponse(status=answer.status, headers=kept)
        with suppress(ConnectionError, asyncio.CancelledError):
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
        return response


def _kubeconfig(server: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "recorded",
        "clusters": [{"name": "recorded", "cluster": {"server": server}}],
        "users": [{"name": "recorded", "user": {}}],
        "contexts": [{"name": "recorded", "context": {"cluster": "recorded", "user": "recorded"}}],
    }
