"""A proxy between the operator and the API server that can be slow, refuse, forget to answer, and be cut off; it writes down what it saw."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

from bench.lab.api import Credentials
from bench.lab.recorder import Request

_HOP_BY_HOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong with one request; a fault without a status only delays it."""

    delay: float = 0.0
    status: int | None = None  # answered instead of what the API server says
    retry_after: int | None = None
    lands: bool = False  # the API server gets it nevertheless
    silent: bool = False  # the connection is closed instead of an answer
    late: bool = False  # the API server gets it when the proxy is told to deliver


Fate = Callable[[str, str], Fault | None]
"""The fault of a request, by method and path with query; None: none."""


def no_fault(_method: str, _path: str) -> Fault | None:
    """All is well."""
    return None


class Proxy:
    """A way to the API server. Whoever uses its kubeconfig shares its fate."""

    def __init__(self, credentials: Credentials, session: aiohttp.ClientSession, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.port = 0
        self.token: str | None = None  # the one that proves who one is; None: nobody has to
        self.requests: list[Request] = []
        self.met = 0  # requests that a fault befell, and watches that were broken off
        self.underway: list[tuple[web.Request, bytes]] = []  # sent, and not there yet
        self._runner: web.AppRunner | None = None
        self._credentials = credentials
        self._session = session
        self._fate: Fate = no_fault
        self._connected = asyncio.Event()
        self._connected.set()
        self._streams: set[aiohttp.ClientResponse] = set()
        self._late: set[asyncio.Task[None]] = set()

    @contextmanager
    def fated(self, fate: Fate) -> Iterator[None]:
        """Let requests meet this fate for a while."""
        self._fate = fate
        try:
            yield
        finally:
            self._fate = no_fault

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Lose every packet for a while: nothing is refused, nothing answered; afterwards what was sent arrives, late."""
        self._connected.clear()
        self.met += 1
        try:
            yield
        finally:
            self._connected.set()

    async def deliver(self) -> list[int]:
        """Let what is underway arrive; what the API server makes of each, by HTTP status."""
        statuses = []
        while self.underway:
            async with self._send(*self.underway.pop(0)) as answer:
                statuses.append(answer.status)
        return statuses

    def cut_watches(self) -> None:
        """Break every watch off, in the middle of whatever it says."""
        broken = [stream for stream in self._streams if stream.connection is not None]
        for stream in broken:
            stream.close()
        self.met += len(broken)

    def since(self, begun: float, *, namespace: str) -> list[Request]:
        """What was asked for in a namespace since then, the lease excepted."""
        return [
            one
            for one in self.requests
            if one.at >= begun and namespace in one.path.split("/") and one.resource != "leases"
        ]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass a request on, as its fate allows."""
        body = await request.read()
        await self._arrival(request, body)
        if self.token is not None and request.headers.get("Authorization", "").lower() != f"bearer {self.token}":
            self.met += 1
            return _refusal(Fault(status=401))
        fault = self._fate(request.method, request.path_qs)
        self.met += fault is not None
        fault = fault or Fault()
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.lands:
            async with self._send(request, body) as answer:
                await answer.read()
        if fault.late:
            self.underway.append((request, body))
        if fault.silent:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if fault.status is not None:
            self._note(request, body, fault.status)
            return _refusal(fault)
        return await self._forward(request, body)

    async def _arrival(self, request: web.Request, body: bytes) -> None:
        """Wait until it gets through. Who gives up meanwhile has sent it nevertheless: a write lands late."""
        if self._connected.is_set():
            return
        try:
            await self._connected.wait()
        except asyncio.CancelledError:
            if request.method not in ("GET", "HEAD"):
                late = asyncio.create_task(self._land(request, body))
                self._late.add(late)
                late.add_done_callback(self._late.discard)
            raise

    async def _land(self, request: web.Request, body: bytes) -> None:
        await self._connected.wait()
        with suppress(aiohttp.ClientError):
            async with self._send(request, body) as answer:
                self._note(request, body, answer.status)

    async def _forward(self, request: web.Request, body: bytes) -> web.StreamResponse:
        try:
            async with self._send(request, body) as answer:
                self._note(request, body, answer.status)
                return await self._pass_on(request, answer)
        except aiohttp.ClientError:  # the API server is away: so are we
            if request.transport is not None:
                request.transport.abort()
            return web.Response()

    async def _pass_on(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        kept = {key: value for key, value in answer.headers.items() if key.lower() not in _HOP_BY_HOP}
        response = web.StreamResponse(status=answer.status, headers=kept)
        await self._connected.wait()
        await response.prepare(request)
        watching = "watch=" in request.query_string
        if watching:
            self._streams.add(answer)
        try:
            async for chunk in answer.content.iter_any():
                await self._connected.wait()
                await response.write(chunk)
            await response.write_eof()
        except (ConnectionError, aiohttp.ClientError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._streams.discard(answer)
        return response

    async def serve(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen on the loopback, from now on with this certificate, on the same port as before; connections are closed."""
        await self.close()
        application = web.Application(client_max_size=2**25)
        application.router.add_route("*", "/{path:.*}", self.handle)
        self._runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=tls).start()
        self.port = self._runner.addresses[0][1]
        self.kubeconfig.write_text(_kubeconfig(f"http://127.0.0.1:{self.port}"), encoding="utf-8")

    async def close(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _send(self, request: web.Request, body: bytes) -> aiohttp.client._RequestContextManager:
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP_BY_HOP}
        url = self._credentials.server + request.raw_path
        return self._session.request(request.method, url, headers=headers, data=body or None)

    def _note(self, request: web.Request, body: bytes, status: int) -> None:
        self.requests.append(
            Request(
                at=time.perf_counter(),
                method=request.method,
                path=request.path,
                query=request.query_string,
                status=status,
                body=body,
            )
        )


def _refusal(fault: Fault) -> web.Response:
    """A refusal in the API server's form."""
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "by the test", "code": fault.status}
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    body = json.dumps(said)
    return web.Response(status=fault.status or 500, text=body, content_type="application/json", headers=headers)


@asynccontextmanager
async def proxy(credentials: Credentials, folder: Path, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """A proxy on the loopback until the end of the block."""
    connector = aiohttp.TCPConnector(ssl=credentials.tls, limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
        made = Proxy(credentials, session, folder / f"{uuid.uuid4().hex}.kubeconfig")
        await made.serve(tls)
        try:
            yield made
        finally:
            await made.close()


def _kubeconfig(server: str) -> str:
    said = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "proxied",
        "clusters": [{"name": "proxied", "cluster": {"server": server}}],
        "users": [{"name": "proxied", "user": {}}],
        "contexts": [{"name": "proxied", "context": {"cluster": "proxied", "user": "proxied"}}],
    }
    return yaml.safe_dump(said)
