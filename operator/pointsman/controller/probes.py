"""The HTTP server for probes and metrics.

Alive: the loop turns, or there would be no answer, and the watches flow; a standby has none. Ready: the API server answers,
and a leader has listed everything; a standby is ready when it could lead.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from aiohttp import web

from pointsman.controller.metrics import Metrics

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_UNANSWERED_SECONDS = 60.0  # leaders and standbys ask for the lease every few seconds


class Pulse:
    """When the API server last answered, and each watch was last heard of: an event, a bookmark (one a minute) or a list."""

    def __init__(self, limit: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._heard: dict[str, float] = {}
        self._answered: float | None = None
        self._listing = False

    def answered(self, code: int) -> None:
        """The API server has answered a request with this HTTP status; 0: it has not."""
        if code:
            self._answered = self._clock()

    def complete(self) -> None:
        """Everything that is watched has been listed."""
        self._listing = False

    def expect(self, paths: Mapping[str, str] | list[str]) -> None:
        """Watches of these URL paths are running from now on."""
        self._heard = dict.fromkeys(paths, self._clock())
        self._listing = True

    def heard(self, path: str) -> None:
        """Something came in."""
        if path in self._heard:
            self._heard[path] = self._clock()

    def ages(self) -> dict[str, float]:
        """How long ago each watch was heard of; seconds."""
        now = self._clock()
        return {path: now - at for path, at in self._heard.items()}

    def unready(self) -> str | None:
        """Why it cannot do its work; None: it can."""
        if self._answered is None:
            return "the API server has not answered yet"
        age = self._clock() - self._answered
        if age > _UNANSWERED_SECONDS:
            return f"the API server has not answered for {age:.0f} s"
        return "not everything is listed yet" if self._listing else None

    def silent(self) -> dict[str, float]:
        """The watches that are silent for too long, and for how long."""
        return {path: age for path, age in self.ages().items() if age > self._limit}


class Probes:
    """Serves /healthz, /readyz and /metrics."""

    def __init__(self, pulse: Pulse, metrics: Metrics, port: int) -> None:
        self._pulse = pulse
        self._metrics = metrics
        self._port = port
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._text)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        self.port = port

    async def start(self) -> None:
        """Serve until `stop`."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, port=self._port)
        await site.start()
        # With port 0 each address family gets a port of its own: say which one is IPv4's, where there is one.
        self.port = next(int(address[1]) for address in sorted(self._runner.addresses, key=len))

    async def stop(self) -> None:
        """Stop serving."""
        await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        silent = self._pulse.silent()
        if not silent:
            return web.Response(text="ok\n")
        lines = (f"nothing heard of {path} for {age:.0f} s\n" for path, age in sorted(silent.items()))
        return web.Response(status=503, text="".join(lines))

    async def _readyz(self, _request: web.Request) -> web.Response:
        why = self._pulse.unready()
        return web.Response(text="ok\n") if why is None else web.Response(status=503, text=f"{why}\n")

    async def _text(self, request: web.Request) -> web.Response:
        names = request.query.getall("name[]", [])  # as in other programs that use Prometheus' client library
        body = await asyncio.to_thread(self._metrics.text, names)  # an abort does not wait for thousands of series
        return web.Response(body=body, headers={"Content-Type": _TEXT})
