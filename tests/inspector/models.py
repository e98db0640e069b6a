"""Model servers of every temper: each answers as the request tells it to, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from aiohttp.client_exceptions import ClientConnectionResetError

_TURNS: Final = itertools.count()


@dataclass
class Asked:
    """One request that a model got, and the turn it came in among those to all models."""

    target: str
    headers: dict[str, str]
    body: bytes
    turn: int = field(default_factory=lambda: next(_TURNS))


class Model:
    """The requests' body says under the model's name what it does: `{"stable": ["says", 1], "candidate": ["hangs"]}`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.url = ""
        self.asked: list[Asked] = []
        self.release = asyncio.Event()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Do as the request says."""
        body = await request.content.read()
        self.asked.append(Asked(request.raw_path, dict(request.headers), body))
        packed = request.headers.get("Content-Encoding") == "gzip"
        verb, *rest = json.loads(gzip.decompress(body) if packed else body).get(self.name, ["says", 1])
        does: dict[str, Callable[..., Awaitable[web.StreamResponse]]] = {
            "says": self._says,
            "streams": self._streams,
            "refuses": self._refuses,
            "fails": self._fails,
            "waits": self._waits,
            "hangs": self._hangs,
            "never ends": self._never_ends,
            "drips": self._drips,
            "breaks off": self._breaks_off,
            "babbles": self._babbles,
            "bombs": self._bombs,
            "drops the first": self._drops_the_first,
        }
        return await does[verb](request, *rest)

    async def _says(self, _request: web.BaseRequest, value: Any) -> web.StreamResponse:
        return web.json_response({"v": value})

    async def _streams(self, request: web.BaseRequest, *words: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for word in words:
            piece = {"choices": [{"index": 0, "delta": {"content": word}}]}
            await response.write(f"data: {json.dumps(piece)}\n\n".encode())
            await asyncio.sleep(0)
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _refuses(self, _request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"error": "no"}, status=400)

    async def _fails(self, _request: web.BaseRequest, status: int = 500) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async def _waits(self, _request: web.BaseRequest) -> web.StreamResponse:
        await self.release.wait()
        return web.json_response({"v": 1})

    async def _hangs(self, _request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async def _never_ends(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._writes(request, bytes(2**16), pause=0)

    async def _drips(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._writes(request, b" ", pause=0.01)

    async def _writes(self, request: web.BaseRequest, part: bytes, pause: float) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ClientConnectionResetError, ConnectionError):
            while True:
                await response.write(part)
                await asyncio.sleep(pause)
        return response

    async def _breaks_off(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"{")
        return self._leaves(request, response)

    async def _babbles(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"220 smtp.example.com ready\r\n\r\n")
        await asyncio.sleep(0.05)
        return self._leaves(request, web.Response())

    async def _bombs(self, _request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=gzip.compress(bytes(20 * 2**20)), headers={"Content-Encoding": "gzip"})

    async def _drops_the_first(self, request: web.BaseRequest) -> web.StreamResponse:
        same = [one for one in self.asked if one.body == self.asked[-1].body]
        return web.json_response({"v": 1}) if len(same) > 1 else self._leaves(request, web.Response())

    def _leaves(self, request: web.BaseRequest, response: web.StreamResponse) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return response


@contextlib.asynccontextmanager
async def serving(name: str) -> AsyncIterator[Model]:
    """A model server on a port of its own."""
    model = Model(name)
    runner = web.ServerRunner(web.Server(model.answer, access_log=None, auto_decompress=False), shutdown_timeout=0.01)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        model.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield model
    finally:
        await runner.cleanup()
