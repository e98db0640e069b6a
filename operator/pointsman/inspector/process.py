"""The inspector's process: it serves mirrored requests on one port, probes and metrics on another, and ends in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import structlog
from aiohttp import web

from pointsman import logs
from pointsman.inspector.assignment import Assignment
from pointsman.inspector.inspection import Inspector
from pointsman.inspector.ledger import Ledger
from pointsman.inspector.replaying import Client

if TYPE_CHECKING:
    from pointsman.inspector.norms import Norms

_log = structlog.get_logger(__name__)

_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_HEADERS: Final = 64 * 2**10  # as long as Envoy lets all headers together be
_MOST_HEADERS: Final = 256
_MOST_CONNECTIONS: Final = 512  # each may have as much as its buffer and its headers in memory
_LINGER_SECONDS: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where it listens, and for how many seconds it may finish when it is told to stop."""

    port: int = 8080
    probes_port: int = 8081
    grace: float = 20.0
    log_level: str = "info"


def main(assignment: Assignment, settings: Settings, norms: Norms | None = None) -> int:
    """Run the inspector in this process; the exit status."""
    return asyncio.run(run(assignment, settings, norms))


async def run(assignment: Assignment, settings: Settings, norms: Norms | None = None) -> int:
    """Run until SIGTERM or SIGINT; the exit status: 1 where it could not begin."""
    logs.configure(settings.log_level)
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    try:
        async with Serving(assignment, settings, norms) as serving:
            _log.info("serving", port=serving.port, probes_port=serving.probes_port, **_who(assignment))
            await told.wait()
    except OSError as failure:
        _log.error("ended", error=str(failure))
        return 1
    _log.info("stopped", received=serving.ledger.received, handled=dict(serving.ledger.handled))
    return 0


class Serving:
    """Everything that runs while the inspector does."""

    def __init__(self, assignment: Assignment, settings: Settings, norms: Norms | None = None) -> None:
        self._assignment = assignment
        self._settings = settings
        self._stack = contextlib.AsyncExitStack()
        self.stopping = False
        self.ledger = Ledger(assignment, norms)
        self.port = settings.port
        self.probes_port = settings.probes_port

    async def __aenter__(self) -> Self:
        """Serve.

        Raises:
            OSError: a port is taken.
        """
        async with contextlib.AsyncExitStack() as stack:
            arms = [arm for arm in (self._assignment.stable, self._assignment.candidate) if arm is not None]
            clients = [await stack.enter_async_context(Client(arm, self._assignment.limits)) for arm in arms]
            self.probes_port = await _served(stack, web.AppRunner(self._probes(), access_log=None), self.probes_port)
            inspector = Inspector(self._assignment, clients, self.ledger)
            stack.push_async_callback(inspector.finish, self._settings.grace)
            self.port = await _served(stack, web.ServerRunner(_server(inspector), shutdown_timeout=1.0), self.port)
            pace = asyncio.create_task(_pace(inspector))
            stack.callback(pace.cancel)
            stack.callback(self._stop)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Receive nothing more, finish what was begun, then stop."""
        await self._stack.aclose()

    def _stop(self) -> None:
        self.stopping = True

    def _probes(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        return app

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        return web.Response(status=503, text="it stops\n") if self.stopping else web.Response(text="ok\n")

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self.ledger.text(), headers={"Content-Type": _TEXT})


class _Server(web.Server):
    """Closes connections at once that are too many; users' requests do not hang on them."""

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self.connections) > _MOST_CONNECTIONS:
            transport.abort()


def _server(inspector: Inspector) -> web.Server:
    """Any path is a request to a model here, so there is no router; what aiohttp would log of a bad one quotes it."""
    silent = logging.getLogger("pointsman.inspector.http")
    silent.disabled = True
    return _Server(
        inspector.receive,
        access_log=None,
        logger=silent,
        auto_decompress=False,
        lingering_time=_LINGER_SECONDS,
        max_line_size=_HEADERS,
        max_field_size=_HEADERS,
        max_headers=_MOST_HEADERS,
    )


async def _served(stack: contextlib.AsyncExitStack, runner: web.BaseRunner, port: int) -> int:
    """Serve until the stack is left; the port, which port 0 lets the system choose."""
    stack.push_async_callback(runner.cleanup)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    # With port 0 each address family gets a port of its own: say which one is IPv4's, where there is one.
    return next(int(address[1]) for address in sorted(runner.addresses, key=len))


async def _pace(inspector: Inspector) -> None:
    while True:
        await asyncio.sleep(1.0)
        inspector.adjust()


def _who(assignment: Assignment) -> dict[str, Any]:
    return {
        "namespace": assignment.namespace,
        "deployment": assignment.deployment,
        "attempt": assignment.attempt,
        "stable": assignment.stable.revision,
        "candidate": assignment.candidate.revision if assignment.candidate is not None else None,
    }
