"""Users' requests are sent at the rate asked for, and every one that is not answered with 200 counts as failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from hack.demo import load
from hack.demo.load import Generator, Traffic, due


@pytest.mark.parametrize(
    ("elapsed", "begun", "now"),
    [
        (0.0, 0, 0),
        (0.5, 0, 40),
        (0.5, 40, 0),
        (1.0, 79, 1),
        (1.0, 100, 0),  # never a negative number, whatever has happened
    ],
)
def test_requests_are_due_by_the_clock(elapsed: float, begun: int, now: int) -> None:
    assert due(elapsed=elapsed, rate=80.0, begun=begun) == now


@pytest.mark.parametrize(
    ("status", "failed"),
    [(200, 0), (500, 1), (503, 1), (404, 1), (302, 1), (None, 1)],
)
def test_only_a_200_is_a_success(status: int | None, failed: int) -> None:
    assert Traffic().plus(status=status) == Traffic(answered=1, failed=failed)


def test_traffic_since_an_earlier_count() -> None:
    assert Traffic(100, 7, 2).since(Traffic(60, 5, 2)) == Traffic(40, 2, 0)


Answer = Callable[[web.Request], Awaitable[web.Response]]


@pytest.fixture
async def users_of(unused_tcp_port: int) -> AsyncIterator[Callable[[Answer], Awaitable[Generator]]]:
    """Makes users of a gateway that answers as told."""
    async with AsyncExitStack() as opened:

        async def make(answer: Answer) -> Generator:
            gateway = web.Application()
            gateway.router.add_post("/infer", answer)
            server = await opened.enter_async_context(TestServer(gateway, port=unused_tcp_port))
            client = await opened.enter_async_context(load.client())
            url = str(server.make_url("/infer"))
            return Generator(client, url=url, host="cells.example.com", bodies=[b"a", b"b"], rate=100.0)

        yield make


Users = Callable[[Answer], Awaitable[Generator]]


async def test_requests_go_to_the_gateway_with_the_models_host_and_their_rows_in_turn(users_of: Users) -> None:
    seen: list[tuple[str, bytes]] = []
    enough = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.headers["host"], await request.read()))
        if len(seen) == 3:
            enough.set()
        return web.Response()

    users = await users_of(answer)
    running = asyncio.create_task(users.run())
    await enough.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert sorted(seen)[:2] == [("cells.example.com", b"a")] * 2
    assert ("cells.example.com", b"b") in seen
    assert users.traffic == Traffic(answered=len(seen))
    assert users.median is not None


async def test_an_answer_that_is_not_200_failed_and_so_did_none_at_all(users_of: Users) -> None:
    async def answer(request: web.Request) -> web.Response:
        if await request.read() == b"a":
            return web.Response(status=500)
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    users = await users_of(answer)
    await users.ask(b"a")
    assert users.traffic == Traffic(answered=1, failed=1)
    await users.ask(b"b")
    assert users.traffic == Traffic(answered=2, failed=2)
    assert users.failures == {"500": 1, "ServerDisconnectedError": 1}


async def test_no_more_users_wait_than_the_bound_and_the_others_are_counted(
    users_of: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "IN_FLIGHT", 2)
    gate = asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        await gate.wait()
        return web.Response()

    users = await users_of(slow)
    for body in (b"a", b"b", b"c"):
        users._begin(body)
    assert users.traffic == Traffic(held_back=1)
    gate.set()
    await asyncio.gather(*users._waiting)
    assert users.traffic == Traffic(answered=2, held_back=1)
