"""A real Prometheus over pretended pods, and a proxy before it for the faults that a real one cannot be asked for."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import aiohttp
import yaml
from aiohttp import web

from bench.lab.exporter import FAILING, Exporter
from bench.lab.programs import free_port, scraping
from hack.cluster import binaries

RATE = 2000.0  # requests a second of every pod
SEED = 5
HARM = 0.2  # of a bad version's requests fail

Json = dict[str, Any]
Harms = Callable[[str], bool]


class Prometheus:
    """A process that can be killed, frozen and started again where it was."""

    def __init__(self, folder: Path, configuration: Json) -> None:
        self.port = free_port()
        self._folder = folder
        self._configuration = configuration
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it; returns when it answers."""
        config = self._folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(self._configuration))
        with (self._folder / "prometheus.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(binaries.program("prometheus")), f"--config.file={config}",
                f"--storage.tsdb.path={self._folder / 'data'}", f"--web.listen-address=127.0.0.1:{self.port}",
                "--log.level=warn", stdout=log, stderr=log,
            )  # fmt: skip
        async with asyncio.timeout(30), aiohttp.ClientSession() as session:
            while True:
                with suppress(aiohttp.ClientError):
                    async with session.get(f"{self.url}/-/ready") as answer:
                        if answer.ok:
                            return
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """Without a word, as a node that dies."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    @asynccontextmanager
    async def down(self) -> AsyncIterator[None]:
        """Not there for a while; afterwards it has what it had written."""
        await self.kill()
        yield
        await self.start()

    @asynccontextmanager
    async def frozen(self) -> AsyncIterator[None]:
        """Takes connections and answers none for a while."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    @asynccontextmanager
    async def losing_a_store(self) -> AsyncIterator[None]:
        """Part of its data is in a remote store that is away: it answers with what it has, and a warning."""
        whole = self._configuration
        away = {"url": f"http://127.0.0.1:{free_port()}/read", "read_recent": True, "remote_timeout": "1s"}
        await self._reload({**whole, "remote_read": [away]})
        try:
            yield
        finally:
            await self._reload(whole)

    async def _reload(self, configuration: Json) -> None:
        assert self._process is not None
        self._configuration = configuration
        (self._folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        self._process.send_signal(signal.SIGHUP)


class Skewed:
    """A way to Prometheus as if its clock were off: everything it stamps is, and so is what it takes a time to be."""

    def __init__(self, upstream: str, session: aiohttp.ClientSession) -> None:
        self.url = ""
        self._upstream = upstream
        self._session = session
        self._off = 0.0

    @contextmanager
    def by(self, seconds: float) -> Iterator[None]:
        """The clock is ahead by so much (behind, where negative) for a while."""
        self._off = seconds
        try:
            yield
        finally:
            self._off = 0.0

    async def handle(self, request: web.Request) -> web.Response:
        """Pass a query on."""
        off = self._off
        form = {key: found[0] for key, found in parse_qs((await request.read()).decode()).items()}
        for key in form.keys() & {"time", "start", "end"}:
            form[key] = f"{float(form[key]) - off:.3f}"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        url = f"{self._upstream}{request.path}"
        try:
            async with self._session.post(url, data=urlencode(form), headers=headers) as answer:
                status, said = answer.status, json.loads(await answer.read())
        except aiohttp.ClientError:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        for item in (said.get("data") or {}).get("result", ()):
            _shift(item, off, stamps=form.get("query", "").startswith("timestamp("))
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + off))
        return web.json_response(said, status=status, headers={"Date": date})


def _shift(item: Json, off: float, *, stamps: bool) -> None:
    if "value" in item:
        at, value = item["value"]
        item["value"] = [at + off, f"{float(value) + off:.3f}" if stamps else value]
    item.update({key: [[at + off, value] for at, value in item[key]] for key in ("values",) if key in item})


@dataclass(kw_only=True)
class Scraped:
    """Prometheus, and whose pods it scrapes."""

    prometheus: Prometheus
    session: aiohttp.ClientSession
    harms: dict[str, Harms] = field(default_factory=dict)
    """By namespace: whether the version of a pod of this name harms."""

    @asynccontextmanager
    async def way(self) -> AsyncIterator[Skewed]:
        """A way to it with a clock of its own."""
        made = Skewed(self.prometheus.url, self.session)
        async with _serving("POST", "/{path:.*}", made.handle) as port:
            made.url = f"http://127.0.0.1:{port}"
            yield made


@asynccontextmanager
async def scraped(kubeconfig: Path, namespaces: Sequence[str], folder: Path) -> AsyncIterator[Scraped]:
    """Prometheus, scraping every pod of the namespaces twice a second."""
    await asyncio.to_thread(binaries.build, tuple(tool for tool in binaries.NODE_TOOLS if tool.name == "prometheus"))
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        harms: dict[str, Harms] = {}

        def failing(name: str) -> float:
            namespace, _, pod = name.partition("/")
            return HARM if namespace in harms and harms[namespace](pod) else FAILING

        exporter = Exporter(seed=SEED, rate=RATE, failing=failing)

        async def pod(request: web.Request) -> web.Response:
            return web.Response(text=exporter.text(request.match_info["name"]), content_type="text/plain")

        port = await stack.enter_async_context(_serving("GET", "/pods/{name:.+}", pod))
        configuration = scraping(kubeconfig, namespaces[0], exporter=port, scrape="500ms")
        (job,) = configuration["scrape_configs"]
        job["kubernetes_sd_configs"][0]["namespaces"]["names"] = list(namespaces)
        prometheus = Prometheus(folder, configuration)
        stack.push_async_callback(prometheus.kill)
        await prometheus.start()
        yield Scraped(prometheus=prometheus, session=session, harms=harms)


@asynccontextmanager
async def _serving(method: str, where: str, handle: Callable[[web.Request], Any]) -> AsyncIterator[int]:
    application = web.Application()
    application.router.add_route(method, where, handle)
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
