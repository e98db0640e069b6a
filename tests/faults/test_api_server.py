"""An API server that misbehaves: nothing rises that should not, nothing is written twice, and rollouts and aborts end as they should."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from bench.lab.recorder import Request
from pointsman.controller import news
from tests.faults.chronicle import overfull, shares, unearned
from tests.faults.proxy import Fault
from tests.faults.stories import Story, told
from tests.faults.world import HOLDING, POLICY, REPLICAS, SURGE, World
from tests.sizes import FULL

if TYPE_CHECKING:
    from hack.cluster.fixtures import Cluster

pytestmark = [pytest.mark.bare, pytest.mark.asyncio(loop_scope="module")]

CUT = 60.0 if FULL else 8.0  # seconds without a network: longer than the lease lasts without a renewal
SEED = 20
UNDISTURBED = {"going": [0, 20, 50, 100], "harmful": [0, 20, 0], "aborted": [0, 20, 0]}
"""The shares that each candidate is given when all is well: a fault may delay them, and change nothing of them."""


# -- the faults, each as long as the block lasts


@contextmanager
def slow(here: World) -> Iterator[None]:
    """Every answer takes half a second longer."""
    with here.proxy.fated(lambda _method, _path: Fault(delay=0.5)):
        yield


@contextmanager
def flaky(here: World) -> Iterator[None]:
    """Two requests in five go wrong, in every way there is; of half of these the server has done what was asked."""
    draw = random.Random(SEED)  # noqa: S311  seeded, not secret
    ways = (
        Fault(status=429, retry_after=1),
        Fault(status=500),
        Fault(status=503),
        Fault(silent=True),
        Fault(status=500, lands=True),
        Fault(status=504, lands=True),
        Fault(silent=True, lands=True),
    )

    def fate(method: str, path: str) -> Fault | None:
        if "watch=" in path or "/leases/" in path or draw.random() > 0.4:
            return None
        return draw.choice(ways if method != "GET" else ways[:4])

    with here.proxy.fated(fate):
        yield


@asynccontextmanager
async def deaf(here: World) -> AsyncIterator[None]:
    """Every watch is broken off again and again."""

    async def cut() -> None:
        while True:
            here.proxy.cut_watches()
            await asyncio.sleep(0.3)

    cutting = asyncio.create_task(cut())
    try:
        yield
    finally:
        cutting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await cutting


# -- what is told


async def prepare(here: World) -> None:
    """Four models: one that nobody touches, and three whose rollouts will end promoted, rolled back and aborted."""
    for name in ("idle", *UNDISTURBED):
        await here.apply(name, "1", policy=HOLDING if name == "aborted" else POLICY)
    for name in ("idle", *UNDISTURBED):
        await here.until_serves(name, "1")
    await here.apply("aborted", "2", policy=HOLDING)
    await here.until_share("aborted", 20)


async def ends_well(here: World, begun: float) -> None:
    """All three rollouts end as without the fault, by the same steps."""
    await here.until_outcome("aborted", "2", "Aborted")
    await here.until_outcome("harmful", "2-bad", "RolledBack", seconds=90)
    await here.until_outcome("going", "2", "Promoted", seconds=90)
    for name, expected in UNDISTURBED.items():
        ended = here.status(name)["history"]
        assert [(one["attempt"], one["version"].split("-")[0]) for one in ended] == [(1, "2")], name
        assert len(here.revisions(name)) == 2, name
        candidate = ended[0]["revision"]
        assert shares(here.chronicle, name, candidate) == expected, name
        assert not unearned(here.chronicle, name, candidate)
        assert not overfull(here.chronicle, name, REPLICAS + SURGE)
    assert not [one for one in here.proxy.since(begun, namespace=here.namespace) if one.writes and about(one, "idle")]


async def settles(here: World) -> None:
    """And then nothing is written any more."""
    await here.chronicle.quiet(news.PAUSE.total_seconds() + 1)
    last = time.perf_counter() - news.PAUSE.total_seconds()
    assert not [one for one in here.proxy.since(last, namespace=here.namespace) if one.writes]


def about(request: Request, model: str) -> bool:
    """Whether a request is about a model's objects."""
    return any(part == model or part.startswith(f"{model}-") for part in request.path.split("/"))


def through(fault: Callable[[World], AbstractContextManager[None] | AbstractAsyncContextManager[None]]) -> Story:
    """Rollouts that begin, run and end while something goes wrong all the time."""

    async def story(here: World) -> None:
        await prepare(here)
        begun = time.perf_counter()
        async with contextlib.AsyncExitStack() as stack:
            during = fault(here)
            if isinstance(during, AbstractAsyncContextManager):
                await stack.enter_async_context(during)
            else:
                stack.enter_context(during)
            await here.apply("going", "2")
            await here.apply("harmful", "2-bad")
            await here.abort("aborted")
            await ends_well(here, begun)
        await settles(here)

    return story


async def cut_off(here: World) -> None:
    """No network in the middle of two canaries, with an abort meanwhile; what was sent into the void arrives afterwards."""
    await prepare(here)
    begun = time.perf_counter()
    await here.apply("going", "2")
    await here.apply("harmful", "2-bad")
    await here.until_share("going", 20)
    with here.proxy.cut():
        await here.abort("aborted")
        await asyncio.sleep(CUT)
    await ends_well(here, begun)
    await settles(here)


STORIES: dict[str, Story] = {
    "slow": through(slow),
    "flaky": through(flaky),
    "watches are cut": through(deaf),
    "no network": cut_off,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stories(
    crds: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, asyncio.Task[None]]]:
    async with told(crds.kubeconfig, tmp_path_factory.mktemp("stories"), STORIES) as begun:
        yield begun


@pytest.mark.parametrize("fault", STORIES)
async def test_rollouts_end_as_if_nothing_had_been(stories: dict[str, asyncio.Task[None]], fault: str) -> None:
    await stories[fault]
