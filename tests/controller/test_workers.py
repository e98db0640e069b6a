from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from pointsman.cluster.answers import Busy
from pointsman.controller.keys import Key, deployment
from pointsman.controller.workers import Done, Workers
from pointsman.errors import Conflict, Terminal, Unavailable
from tests.controller.fake import until


class Tally:
    def __init__(self) -> None:
        self.results: list[str] = []

    def reconciled(self, result: str, seconds: float) -> None:
        assert seconds >= 0
        self.results.append(result)


def key(name: str) -> Key:
    return deployment(("ml", name))


@asynccontextmanager
async def working(work: Callable[[Key], Awaitable[Done]], count: int = 2) -> AsyncIterator[tuple[Workers, Tally]]:
    tally = Tally()
    workers = Workers(work, count=count, gauge=tally)
    workers.begin()
    running = asyncio.create_task(workers.run())
    try:
        yield workers, tally
    finally:
        workers.stop()
        await running


async def test_different_keys_at_the_same_time_one_key_never_twice() -> None:
    active: list[str] = []
    most: dict[str, int] = {}
    together: set[frozenset[str]] = set()
    release = asyncio.Event()

    async def work(key: Key) -> Done:
        active.append(key.name)
        most[key.name] = max(most.get(key.name, 0), active.count(key.name))
        together.add(frozenset(active))
        await release.wait()
        active.remove(key.name)
        return Done()

    async with working(work) as (workers, tally):
        for name in ("a", "a", "b"):
            workers.add(key(name))
        await until(lambda: len(active) == 2)
        workers.add(key("a"))
        release.set()
        await until(lambda: len(tally.results) == 3)
    assert most == {"a": 1, "b": 1}
    assert frozenset("ab") in together


@pytest.mark.parametrize(
    ("failure", "result"),
    [
        (Conflict("again"), "conflict"),
        (Unavailable("down"), "retry"),
        (Busy("too much", 0.01), "retry"),
        (Terminal("no"), "retry"),
        (KeyError("bug"), "crash"),
    ],
)
async def test_a_failure_is_counted_tried_again_and_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, result: str
) -> None:
    monkeypatch.setattr("pointsman.controller.workers._REFUSED_SECONDS", 0.01)
    tries: list[str] = []

    async def work(key: Key) -> Done:
        tries.append(key.name)
        if key.name == "bad" and tries.count("bad") == 1:
            raise failure
        return Done()

    async with working(work, count=1) as (workers, tally):
        workers.add(key("bad"))
        workers.add(key("good"))
        await until(lambda: len(tally.results) == 3)
    assert tries == ["bad", "good", "bad"]
    assert tally.results == [result, "ok", "ok"]


async def test_a_wake_time_brings_a_key_back_and_a_gone_one_stays_away() -> None:
    tries: list[str] = []

    async def work(key: Key) -> Done:
        tries.append(key.name)
        soon = asyncio.get_running_loop().time()
        return Done(wake_at=soon, gone=key.name == "gone") if tries.count(key.name) < 3 else Done()

    async with working(work) as (workers, _):
        workers.add(key("gone"))
        workers.add(key("here"))
        await until(lambda: tries.count("here") == 3)
    assert tries.count("gone") == 1


async def test_stop_finishes_what_is_begun_and_begins_nothing_else() -> None:
    begun, release, finished = asyncio.Event(), asyncio.Event(), []

    async def work(key: Key) -> Done:
        begun.set()
        await release.wait()
        finished.append(key.name)
        return Done()

    workers = Workers(work, count=1, gauge=Tally())
    workers.begin()
    running = asyncio.create_task(workers.run())
    workers.add(key("begun"))
    workers.add(key("waits"))
    await begun.wait()
    workers.stop()
    assert not running.done()
    release.set()
    await running
    assert finished == ["begun"]
    assert len(workers) == 1


async def test_before_it_begins_what_comes_in_waits() -> None:
    done: list[str] = []

    async def work(key: Key) -> Done:
        done.append(key.name)
        return Done()

    workers = Workers(work, count=1, gauge=Tally())
    running = asyncio.create_task(workers.run())
    workers.add(key("early"))
    await asyncio.sleep(0)
    assert (done, len(workers)) == ([], 1)
    workers.begin()
    await until(lambda: done == ["early"])
    workers.stop()
    await running
