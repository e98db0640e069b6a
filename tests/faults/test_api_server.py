"""An API server that misbehaves: nothing rises that should not, nothing is written twice, and rollouts and aborts end as they should."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from bench.lab.recorder import Request
from pointsman.controller import news
from tests.cluster.service_account import Authorities, ServiceAccount
from tests.faults.chronicle import overfull, shares, unearned
from tests.faults.own_cluster import OwnCluster, own_cluster
from tests.faults.proxy import Fault
from tests.faults.stories import Story, Telling, ended, told
from tests.faults.world import HOLDING, POLICY, REPLICAS, SURGE, Site, World, in_a_pod, world
from tests.sizes import FULL

if TYPE_CHECKING:
    from hack.cluster.fixtures import Cluster

pytestmark = [pytest.mark.bare, pytest.mark.asyncio(loop_scope="module")]

SHORT = () if FULL else ("--lease-duration=6", "--renew-deadline=4", "--retry-period=1")
LONG = (
    "--lease-duration=90",
    "--renew-deadline=60",
)  # the same process from beginning to end, however long a fault takes
CUT = 60.0 if FULL else 6.0  # seconds without a network: longer than the lease lasts without a renewal
SEED = 20
UNDISTURBED = {"going": ([0, 20, 50, 100],), "harmful": ([0, 20, 0], [0]), "aborted": ([0, 20, 0],)}
"""The shares that each candidate is given when all is well: a fault may delay them, and change nothing of them.

Harm may be seen in the moment in which the first share begins with the least there is.
"""
BUSY = 2  # seconds, by Retry-After
FIRST, SECOND = "first", "second"  # tokens, and authorities


# -- what every story has in common


async def prepare(here: World) -> None:
    """Four models: one that nobody touches, and three whose rollouts will end promoted, rolled back and aborted."""
    await here.until_led()
    for name in ("idle", *UNDISTURBED):
        await here.apply(name, "1", policy=HOLDING if name == "aborted" else POLICY)
    for name in ("idle", *UNDISTURBED):
        await here.until_serves(name, "1")
    await here.apply("aborted", "2", policy=HOLDING)
    await here.until_share("aborted", 20)


async def ends_well(here: World) -> None:
    """All three rollouts end as without the fault, by the same steps, and then nothing is written any more."""
    await here.until_outcome("aborted", "2", "Aborted")
    await here.until_outcome("harmful", "2-bad", "RolledBack")
    await here.until_outcome("going", "2", "Promoted")
    for name, expected in UNDISTURBED.items():
        history = here.status(name)["history"]
        assert [(one["attempt"], one["version"].split("-")[0]) for one in history] == [(1, "2")], name
        assert len(here.revisions(name)) == 2, name
        candidate = history[0]["revision"]
        assert shares(here.chronicle, name, candidate) in expected, name
        assert not unearned(here.chronicle, name, candidate)
        assert not overfull(here.chronicle, name, REPLICAS + SURGE)
    await here.chronicle.quiet(news.PAUSE.total_seconds() + 1)
    last = time.perf_counter() - news.PAUSE.total_seconds()
    assert not [one for one in here.proxy.since(last, namespace=here.namespace) if one.writes]
    assert here.proxy.met
    assert not here.operator.crashes()


def written(here: World, model: str, since: float) -> list[Request]:
    """What was written to a model's objects."""
    return [one for one in here.proxy.since(since, namespace=here.namespace) if one.writes and about(one, model)]


def about(request: Request, model: str) -> bool:
    """Whether a request is about a model's objects."""
    return any(part == model or part.startswith(f"{model}-") for part in request.path.split("/"))


# -- faults that last as long as the rollouts


@asynccontextmanager
async def flaky(here: World) -> AsyncIterator[None]:
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
async def slow_and_deaf(here: World) -> AsyncIterator[None]:
    """Every answer takes half a second longer, and every watch is broken off again and again."""

    async def cut() -> None:
        while True:
            here.proxy.cut_watches()
            await asyncio.sleep(0.3)

    cutting = asyncio.create_task(cut())
    with here.proxy.fated(lambda _method, _path: Fault(delay=0.5)):
        try:
            yield
        finally:
            await ended([cutting])


async def slow_throughout(site: Site) -> None:
    """Rollouts that begin, run and end on an API server that is slow and breaks off every watch."""
    async with world(site, *LONG) as here:
        await prepare(here)
        begun = time.perf_counter()
        async with slow_and_deaf(here):
            await here.apply("going", "2")
            await here.apply("harmful", "2-bad")
            await here.abort("aborted")
            await ends_well(here)
        assert not here.operator.ended
        assert not written(here, "idle", begun)


# -- faults that pass


async def cut_off(site: Site) -> None:
    """No network in the middle of two canaries, with an abort meanwhile; what was sent into the void arrives afterwards."""
    async with world(site, *SHORT) as here:
        await prepare(here)
        begun = time.perf_counter()
        await here.apply("going", "2")
        await here.apply("harmful", "2-bad")
        await here.until_share("going", 20)
        with here.proxy.cut():
            await here.abort("aborted")
            await asyncio.sleep(CUT)
        restored = time.perf_counter()
        await ends_well(here)
        landed = [one.resource for one in written(here, "aborted", restored) if one.status == HTTPStatus.OK]
        assert landed.index("httproutes") < landed.index("modeldeployments/status")  # the abort waits for nothing else
        assert not written(here, "idle", begun)
        await overtaken(here)


async def overtaken(here: World) -> None:
    """A raise is sent and does not arrive; then the rollout is aborted; then the raise arrives."""
    await here.apply("idle", "2")
    candidate = await here.until_share("idle", 20)

    def fate(method: str, path: str) -> Fault | None:
        return Fault(silent=True, late=True) if method == "PATCH" and "/httproutes/idle" in path else None

    with here.proxy.fated(fate):
        await here.chronicle.until(lambda: here.proxy.underway, "the next step's share is sent")
    raises = here.proxy.underway.copy()
    assert all(b'"weight"' in body for _, body in raises)
    await here.abort("idle")
    await here.until_outcome("idle", "2", "Aborted")
    assert set(await here.proxy.deliver()) == {HTTPStatus.CONFLICT}
    assert shares(here.chronicle, "idle", candidate)[-1] == 0


async def flaky_throughout(site: Site) -> None:
    """The same where requests go wrong, with an operator that dies in the middle of two canaries, and one that meets nothing else from its first list on."""
    async with world(site, *LONG) as here:
        await prepare(here)
        begun = time.perf_counter()
        async with flaky(here):
            await here.apply("going", "2")
            await here.apply("harmful", "2-bad")
            await here.until_share("going", 20)
            await here.operator.kill()
            await here.abort("aborted")
            await ends_well(here)
        assert here.operator.ended == [-signal.SIGKILL]
        assert not written(here, "idle", begun)


async def busy(site: Site) -> None:
    """Every write is put off by Retry-After for a while, one that aborts too: nobody comes back sooner than he was told."""
    async with world(site, *LONG) as here:
        await prepare(here)
        await here.apply("going", "2")
        await here.apply("harmful", "2-bad")
        await here.until_share("going", 20)

        def fate(method: str, path: str) -> Fault | None:
            return None if method == "GET" or "/leases/" in path else Fault(status=429, retry_after=BUSY)

        begun = time.perf_counter()
        with here.proxy.fated(fate):
            await here.abort("aborted")
            await here.chronicle.until(
                lambda: len(written(here, "aborted", begun)) >= 3, "it has been tried three times"
            )
        tries: dict[str, list[float]] = defaultdict(list)
        for one in here.proxy.since(begun, namespace=here.namespace):
            if one.status == HTTPStatus.TOO_MANY_REQUESTS and one.resource != "events":
                tries[one.path].append(one.at)
        assert tries
        soonest = min(after - before for times in tries.values() for before, after in pairwise(times))
        assert soonest >= BUSY - 0.1
        await ends_well(here)


async def rotated(site: Site) -> None:
    """The pod's token is replaced, and then the authority that vouches for the API server; the old ones are refused at once."""
    folder = site.folder / site.namespace
    folder.mkdir()
    authorities, account = Authorities(folder), ServiceAccount(folder / "account")
    account.is_given(token=FIRST, authority=authorities.make(FIRST))
    async with world(site, *LONG, seat=in_a_pod(account.folder), tls=authorities.serving(FIRST)) as here:
        here.proxy.token = FIRST
        await prepare(here)
        begun = time.perf_counter()
        await here.apply("going", "2")
        await here.apply("harmful", "2-bad")
        await here.until_share("going", 20)
        here.proxy.token = SECOND
        here.proxy.cut_watches()
        account.is_given(token=SECOND, authority=authorities.certificate(FIRST))
        await here.until_share("going", 50)
        other = await asyncio.to_thread(authorities.make, SECOND)
        await here.proxy.serve(authorities.serving(SECOND))
        account.is_given(token=SECOND, authority=other)
        await here.abort("aborted")
        await ends_well(here)
        assert not here.operator.ended
        assert not written(here, "idle", begun)


async def forgetful(site: Site, cluster: OwnCluster) -> None:
    """The API server is killed, objects go while it is away, and no watch will ever tell: etcd has forgotten what it was."""
    async with world(site, *LONG) as here:
        await here.apply("gone", "1")
        await prepare(here)
        await here.until_serves("gone", "1")
        lost = here.stable("idle")
        await here.apply("going", "2")
        await here.apply("harmful", "2-bad")
        await here.until_share("going", 20)
        here.proxy.met += 1
        begun = time.perf_counter()
        async with cluster.away():
            cluster.forget("services/specs", here.namespace, lost)
            cluster.forget("gateway.networking.k8s.io/httproutes", here.namespace, "idle")
            cluster.forget("pointsman.dev/modeldeployments", here.namespace, "gone")
            cluster.compact()
        await here.abort("aborted")
        there = here.chronicle.objects
        await here.chronicle.until(
            lambda: lost in there["Service"] and "idle" in there["HTTPRoute"], "what was lost is back", seconds=20
        )
        await ends_well(here)
        assert not here.operator.ended
        await here.chronicle.until(
            lambda: not any(name.startswith("gone") for kind in there.values() for name in kind), "nothing is left"
        )
        assert not [one for one in written(here, "gone", begun) if one.status == HTTPStatus.CREATED]


STORIES: dict[str, Story] = {
    "slow, and watches are cut": slow_throughout,
    "flaky": flaky_throughout,
    "no network": cut_off,
    "busy": busy,
    "token and authority replaced": rotated,
}
FORGETFUL = "restarted and forgetful"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stories(crds: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Telling]:
    folder = tmp_path_factory.mktemp("stories")

    async def away() -> None:
        async with _own_cluster(folder) as cluster:
            (folder / "own").mkdir()
            story = {FORGETFUL: lambda site: forgetful(site, cluster)}
            async with told(cluster.kubeconfig, folder / "own", story) as begun:
                await begun[FORGETFUL]

    aside = asyncio.create_task(away())
    async with told(crds.kubeconfig, folder, STORIES) as begun:
        try:
            yield {**begun, FORGETFUL: aside}
        finally:
            await ended([aside])


@asynccontextmanager
async def _own_cluster(folder: Path) -> AsyncIterator[OwnCluster]:
    """Started and taken down without holding up the stories that are told meanwhile."""
    lent = own_cluster(folder)
    cluster = await asyncio.to_thread(lent.__enter__)
    try:
        yield cluster
    finally:
        await asyncio.to_thread(lent.__exit__, None, None, None)


@pytest.mark.parametrize("fault", [*STORIES, FORGETFUL])
async def test_rollouts_end_as_if_nothing_had_been(stories: Telling, fault: str) -> None:
    await stories[fault]
